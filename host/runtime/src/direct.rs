//! Requests of `wasi:http` 0.2, answered by the task that brings them.
//!
//! A 0.2 guest serves one request at a time and nothing of it runs between two, so it
//! needs no task of its own: the caller polls it until its head is there, and then, as
//! part of reading the body, until it is through. That saves two hand-overs between
//! threads a request. Guests of 0.3 have a life beside their requests and are served by
//! [`worker`](crate::worker)s.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use http_body::Body as _;
use parking_lot::Mutex;
use tokio::time::Sleep;
use wasmtime::Store;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};
use wasmtime_wasi_http::{WasiBody, WasiHttpView};

use crate::body::{Body, Guest, Running};
use crate::plugin::Shared;
use crate::state::{CallContext, State, new_store};
use crate::ticket::{Failure, Guard, Ticket};
use crate::{CallError, trap};

/// What a guest hands over as its answer's head.
type Head = Arc<Mutex<Option<Result<http::Response<WasiBody>, ErrorCode>>>>;

/// An instance and what it has done so far.
struct Warm {
    store: Store<State>,
    proxy: Proxy,
    served: u32,
    since: Instant,
}

#[derive(Default)]
struct Shelf {
    idle: Vec<Warm>,
    /// A task looks after those that idle too long.
    swept: bool,
}

/// The instances of one plugin that answer requests.
pub(crate) struct Direct {
    shared: Arc<Shared>,
    pre: ProxyPre<State>,
    shelf: Mutex<Shelf>,
}

impl Direct {
    pub(crate) fn new(shared: Arc<Shared>, pre: ProxyPre<State>) -> Self {
        Self {
            shared,
            pre,
            shelf: Mutex::default(),
        }
    }

    /// Lets go of idle instances.
    pub(crate) fn clear(&self) {
        let idle = std::mem::take(&mut self.shelf.lock().idle);
        drop(idle);
    }

    /// Answers a request. Dropping the future or the answer's body stops the guest.
    pub(crate) async fn handle(
        self: &Arc<Self>,
        ticket: Arc<Ticket>,
        mut guard: Guard,
        request: http::Request<WasiBody>,
    ) -> Result<http::Response<Body>, CallError> {
        let head = Head::default();
        let mut guest: Guest<Result<(), CallError>> =
            Box::pin(Arc::clone(self).serve(Arc::clone(&ticket), request, Arc::clone(&head)));
        let (answer, running) = poll_fn(|cx| {
            let ended = guest.as_mut().poll(cx);
            match (head.lock().take(), ended) {
                (Some(answer), ended) => Poll::Ready((Ok(answer), ended.is_pending())),
                (None, Poll::Ready(Err(error))) => Poll::Ready((Err(error), false)),
                (None, Poll::Ready(Ok(()))) => {
                    let error = "the guest ended without an answer".to_owned();
                    Poll::Ready((Err(CallError::Trapped(error)), false))
                }
                (None, Poll::Pending) => Poll::Pending,
            }
        })
        .await;
        let answer = answer.and_then(|answer| {
            answer.map_err(|code| CallError::Trapped(format!("the guest gave up: {code:?}")))
        });
        let (head, mut body) = match answer {
            Ok(answer) => answer.into_parts(),
            Err(error) => {
                guard.complete();
                return Err(error);
            }
        };
        guard.expect(&head.headers);
        let mut ahead = None;
        let mut running = running.then_some(guest);
        if let Some(guest) = &mut running {
            // A short answer is all there when its first part is taken; then nobody
            // has to look after the guest while a client reads.
            let ended = poll_fn(|cx| {
                if let Poll::Ready(read) = Pin::new(&mut body).poll_frame(cx) {
                    ahead = Some(read);
                }
                Poll::Ready(guest.as_mut().poll(cx).is_ready())
            })
            .await;
            if ended {
                running = None;
            }
        }
        let running = running.map(|guest| {
            let direct = Arc::clone(self);
            let deadline = ticket.deadline;
            // The request's place is free with the ticket, which must not wait for the
            // watchdog to be gone.
            let ticket = Arc::downgrade(&ticket);
            // What goes wrong from here on is in the ticket, where the body looks.
            let guest = Box::pin(async move { drop(guest.await) });
            Running::new(guest, deadline, move || {
                if let Some(ticket) = ticket.upgrade() {
                    direct.timed_out(&ticket);
                }
            })
        });
        let body = Body::guarded(body, guard).driven(running, ahead);
        Ok(http::Response::from_parts(head, body))
    }

    /// The guest's part, from the first instruction to the last.
    async fn serve(
        self: Arc<Self>,
        ticket: Arc<Ticket>,
        request: http::Request<WasiBody>,
        head: Head,
    ) -> Result<(), CallError> {
        let mut warm = match self.take() {
            Some(warm) => warm,
            None => within(ticket.deadline, self.make())
                .await
                .ok_or_else(|| self.timed_out(&ticket))?
                .map_err(|error| self.no_room(&ticket, &error))?,
        };
        let _busy = self.shared.stats.busy();
        warm.store.data_mut().set_context(ticket.context());
        within(ticket.deadline, warm.answer(request, head))
            .await
            .ok_or_else(|| self.timed_out(&ticket))?
            .map_err(|error| self.trapped(&ticket, &error))?;
        self.put(warm);
        Ok(())
    }

    fn take(&self) -> Option<Warm> {
        self.shelf.lock().idle.pop()
    }

    async fn make(&self) -> wasmtime::Result<Warm> {
        let mut store = new_store(&self.shared)?;
        let proxy = self.pre.instantiate_async(&mut store).await?;
        Ok(Warm {
            store,
            proxy,
            served: 0,
            since: Instant::now(),
        })
    }

    fn put(self: &Arc<Self>, mut warm: Warm) {
        warm.served += 1;
        if warm.served >= self.shared.spec.limits.reuse {
            return;
        }
        warm.store.data_mut().set_context(CallContext::default());
        warm.since = Instant::now();
        let mut shelf = self.shelf.lock();
        // Under the lock: `clear` comes after the plugin was closed and takes it too.
        if self.shared.is_closed() {
            drop(shelf);
            return;
        }
        shelf.idle.push(warm);
        if !shelf.swept {
            shelf.swept = true;
            let idle = self.shared.spec.limits.idle;
            tokio::spawn(sweep(Arc::downgrade(self), idle));
        }
    }

    fn timed_out(&self, ticket: &Ticket) -> CallError {
        let plugin = self.shared.spec.name.as_str();
        let limit = self.shared.spec.limits.deadline;
        ticket.enter(|| tracing::warn!(plugin, ?limit, "stopped at its deadline"));
        self.shared.stats.timeout();
        ticket.fail(Failure::Timeout);
        CallError::Timeout
    }

    fn trapped(&self, ticket: &Ticket, error: &wasmtime::Error) -> CallError {
        let plugin = self.shared.spec.name.as_str();
        let trap = trap::describe(error);
        ticket.enter(|| tracing::error!(plugin, trap, "trapped"));
        self.shared.stats.trap(trap::Kind::of(error));
        ticket.fail(Failure::Trap(trap.clone()));
        CallError::Trapped(trap)
    }

    /// An instance could be made when the plugin was loaded: what is missing is room.
    fn no_room(&self, ticket: &Ticket, error: &wasmtime::Error) -> CallError {
        let plugin = self.shared.spec.name.as_str();
        let error = format!("{error:#}");
        ticket.enter(|| tracing::error!(plugin, error, "no instance"));
        self.shared.stats.rejected();
        CallError::Saturated {
            retry_after: Duration::from_secs(1),
        }
    }
}

impl Warm {
    async fn answer(
        &mut self,
        request: http::Request<WasiBody>,
        head: Head,
    ) -> wasmtime::Result<()> {
        let mut http = self.store.data_mut().http();
        let request = http.new_incoming_request(Scheme::Http, request)?;
        let out = http.new_response_outparam_from_callback(move |answer| {
            *head.lock() = Some(answer);
        })?;
        self.proxy
            .wasi_http_incoming_handler()
            .call_handle(&mut self.store, request, out)
            .await
    }
}

/// The future's output unless `deadline` comes first. Also ends one that is always
/// ready to go on, as a guest that spins is; and most are through before a timer is
/// needed.
async fn within<F: Future>(deadline: Instant, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut alarm: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        let alarm =
            alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
        match alarm.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending if Instant::now() >= deadline => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Drops instances that have idled for too long, until none is left.
async fn sweep(direct: Weak<Direct>, idle: Duration) {
    loop {
        tokio::time::sleep(idle).await;
        let Some(direct) = direct.upgrade() else {
            return;
        };
        let old: Vec<Warm> = {
            let mut shelf = direct.shelf.lock();
            let old = shelf
                .idle
                .extract_if(.., |warm| warm.since.elapsed() >= idle)
                .collect();
            if shelf.idle.is_empty() {
                shelf.swept = false;
                drop(shelf);
                return;
            }
            old
        };
        drop(old);
    }
}
