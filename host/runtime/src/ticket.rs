//! One request under way, as its caller and its worker both see it.
//!
//! The caller holds a [`Guard`], first while it waits for the head and then inside the
//! response's body; dropped too early it stops the guest. The worker holds the
//! [`Ticket`] and leaves in it why it failed.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Instant;

use futures::task::AtomicWaker;
use lakehouse_trace::{Cause, Span};
use parking_lot::Mutex;

use crate::plugin::Shared;
use crate::{CallContext, CallError, Clock};

/// Why a guest did not finish a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// One of its clocks ran out.
    Timeout(Clock),
    /// It trapped: the message and the innermost frames.
    Trap(String),
    /// The caller went away.
    Cancelled,
    /// Its answer is longer than it may be.
    TooLong(u64),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(clock) => write!(f, "its {clock} is over"),
            Self::Trap(trap) => f.write_str(trap),
            Self::Cancelled => f.write_str("the client went away"),
            Self::TooLong(_) => f.write_str("its answer is longer than it may be"),
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
    /// The guest computes for long.
    pub(crate) heavy: AtomicBool,
    /// Bytes of its answer that the caller has.
    passed: AtomicU64,
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
            heavy: AtomicBool::new(false),
            passed: AtomicU64::new(0),
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

    /// How many bytes of its answer the caller has.
    pub(crate) fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
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
                matches!(failure, Failure::Timeout(_) | Failure::Trap(_))
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
    /// Bytes of body that may still come.
    allowed: u64,
    /// The caller has no use for a body.
    headless: bool,
    complete: bool,
}

impl Guard {
    pub(crate) fn new(ticket: Arc<Ticket>, method: &http::Method) -> Self {
        Self {
            allowed: ticket.plugin.spec.limits.response,
            ticket,
            remaining: None,
            headless: method == http::Method::HEAD,
            complete: false,
        }
    }

    /// Reads from the head how long the body is: a server stops polling at the last
    /// byte, before the end shows.
    ///
    /// # Errors
    /// If it is longer than it may be.
    pub(crate) fn expect(&mut self, head: &http::HeaderMap) -> Result<(), CallError> {
        self.remaining = head
            .get(http::header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        let allowed = if self.headless {
            u64::MAX
        } else {
            self.allowed
        };
        if self.remaining.is_some_and(|length| length > allowed) {
            return Err(self.too_long());
        }
        if self.remaining == Some(0) {
            self.complete = true;
        }
        Ok(())
    }

    /// How many bytes of the body may still pass.
    pub(crate) fn allowed(&self) -> usize {
        usize::try_from(self.allowed).unwrap_or(usize::MAX)
    }

    /// Counts bytes of the body that are about to pass.
    ///
    /// # Errors
    /// If they are more than may pass.
    pub(crate) fn pass(&mut self, bytes: usize) -> Result<(), CallError> {
        let bytes = bytes as u64;
        self.allowed = self
            .allowed
            .checked_sub(bytes)
            .ok_or_else(|| self.too_long())?;
        let passed = self.ticket.plugin.spec.limits.response - self.allowed;
        self.ticket.passed.store(passed, Ordering::Relaxed);
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(bytes);
            if *remaining == 0 {
                self.complete = true;
            }
        }
        Ok(())
    }

    fn too_long(&self) -> CallError {
        let ticket = &self.ticket;
        let plugin = ticket.plugin.spec.name.as_str();
        let limit = ticket.plugin.spec.limits.response;
        let tell = || tracing::warn!(plugin, limit, "its answer is longer than `max_response`");
        ticket.enter(tell);
        ticket.fail(Failure::TooLong(limit));
        CallError::TooLong { limit }
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
            if ticket.failure().is_none() {
                ticket.plugin.stats.cancelled();
            }
        }
        ticket.worker.wake();
        ticket.plugin.stats.finished(ticket.started.elapsed());
    }
}
