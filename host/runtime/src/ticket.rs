//! One request under way, as its caller and its worker both see it.
//!
//! The caller holds a [`Guard`], first while it waits for the head and then inside the
//! response's body; dropped too early it stops the guest. The worker holds the
//! [`Ticket`] and leaves in it why it failed.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Instant;

use futures::task::AtomicWaker;
use lakehouse_trace::{Cause, Span};
use parking_lot::Mutex;

use crate::CallContext;
use crate::plugin::Shared;

/// Why a guest did not finish a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The deadline passed.
    Timeout,
    /// It trapped: the message and the innermost frames.
    Trap(String),
    /// The caller went away.
    Cancelled,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("it took longer than it may"),
            Self::Trap(trap) => f.write_str(trap),
            Self::Cancelled => f.write_str("the client went away"),
        }
    }
}

/// One request under way.
pub(crate) struct Ticket {
    pub(crate) plugin: Arc<Shared>,
    pub(crate) cause: Cause,
    /// Ends when caller and worker are both through.
    span: Span,
    pub(crate) deadline: Instant,
    started: Instant,
    /// The caller is gone before the end.
    cancelled: AtomicBool,
    /// The caller has all it wanted.
    delivered: AtomicBool,
    /// The worker is done with the request, well or not.
    settled: AtomicBool,
    failure: Mutex<Option<Failure>>,
    /// The worker, to be woken on `cancelled` and `delivered`.
    pub(crate) worker: AtomicWaker,
    /// The caller, to be woken on `settled`.
    caller: AtomicWaker,
}

impl Ticket {
    pub(crate) fn new(
        plugin: Arc<Shared>,
        cause: Cause,
        span: Span,
        started: Instant,
    ) -> Arc<Self> {
        let deadline = started + plugin.spec.limits.deadline;
        Arc::new(Self {
            plugin,
            cause,
            span,
            deadline,
            started,
            cancelled: AtomicBool::new(false),
            delivered: AtomicBool::new(false),
            settled: AtomicBool::new(false),
            failure: Mutex::new(None),
            worker: AtomicWaker::new(),
            caller: AtomicWaker::new(),
        })
    }

    /// What a call that is made for the request inherits.
    pub(crate) fn context(&self) -> CallContext {
        CallContext {
            deadline: Some(self.deadline),
            cause: Some(self.cause.clone()),
            ..CallContext::default()
        }
    }

    /// Runs a closure on behalf of the request.
    pub(crate) fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        lakehouse_trace::enter(Some(self.cause.clone()), work)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    pub(crate) fn is_delivered(&self) -> bool {
        self.delivered.load(Ordering::Acquire)
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failure.lock().clone()
    }

    /// Notes a failure; the first one stays. Says whether this was it.
    pub(crate) fn fail(&self, failure: Failure) -> bool {
        let mut slot = self.failure.lock();
        let first = slot.is_none();
        if first {
            *slot = Some(failure);
        }
        first
    }

    /// The worker is done with it.
    pub(crate) fn settle(&self) {
        self.settled.store(true, Ordering::Release);
        self.caller.wake();
    }

    /// Waits until the worker is done with it.
    pub(crate) async fn settled(&self) {
        poll_fn(|cx| {
            self.caller.register(cx.waker());
            if self.settled.load(Ordering::Acquire) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

impl Drop for Ticket {
    /// Caller and worker are both through: its place is free.
    fn drop(&mut self) {
        let failed = match self.failure.get_mut() {
            Some(failure) => {
                self.span.fail(|| failure.to_string());
                matches!(failure, Failure::Timeout | Failure::Trap(_))
            }
            None => false,
        };
        self.plugin.trial.ended(failed);
        self.plugin.requests.release();
    }
}

/// The caller's hold on a request.
pub(crate) struct Guard {
    ticket: Arc<Ticket>,
    /// Bytes of body still to come, if the head told.
    remaining: Option<u64>,
    /// The caller has no use for a body.
    headless: bool,
    complete: bool,
}

impl Guard {
    pub(crate) fn new(ticket: Arc<Ticket>, method: &http::Method) -> Self {
        Self {
            ticket,
            remaining: None,
            headless: method == http::Method::HEAD,
            complete: false,
        }
    }

    /// Reads from the head how long the body is: a server stops polling at the last
    /// byte, before the end shows.
    pub(crate) fn expect(&mut self, head: &http::HeaderMap) {
        self.remaining = head
            .get(http::header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        self.passed(0);
    }

    pub(crate) fn passed(&mut self, bytes: usize) {
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(bytes as u64);
            if *remaining == 0 {
                self.complete = true;
            }
        }
    }

    pub(crate) fn complete(&mut self) {
        self.complete = true;
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether the caller has all that it wanted.
    pub(crate) fn is_satisfied(&self) -> bool {
        self.complete || self.headless
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        self.ticket.failure()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let ticket = &self.ticket;
        if self.is_satisfied() {
            ticket.delivered.store(true, Ordering::Release);
        } else {
            ticket.cancelled.store(true, Ordering::Release);
            ticket.plugin.stats.cancelled();
        }
        ticket.worker.wake();
        ticket.plugin.stats.finished(ticket.started.elapsed());
    }
}
