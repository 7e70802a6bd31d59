//! Requests of `wasi:http` 0.2, answered by the task that brings them.
//!
//! A 0.2 guest serves one request at a time and nothing of it runs between two, so it
//! needs no task of its own: the caller polls it until its head is there, and then, as
//! part of reading the body, until it is through. That saves two hand-overs between
//! threads a request. Guests of 0.3 have a life beside their requests and are served by
//! [`worker`](crate::worker)s.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::task::AtomicWaker;
use http_body::Body as _;
use parking_lot::Mutex;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};
use wasmtime_wasi_http::{WasiBody, WasiHttpView};

use crate::body::{Body, Running};
use crate::clock::{Clock, bounded};
use crate::lane::Mobile;
use crate::metrics::Busy;
use crate::plugin::Shared;
use crate::preempt::Stop;
use crate::shelf::{Shelf, Warm};
use crate::state::{State, new_store};
use crate::ticket::{Failure, Guard, Ticket};
use crate::{CallError, trap};

/// What a guest tells whoever brought its request.
#[derive(Default)]
struct Word {
    /// The head of its answer.
    head: Mutex<Option<Result<http::Response<WasiBody>, ErrorCode>>>,
    /// To be woken for it, if the guest runs elsewhere.
    caller: AtomicWaker,
    /// Set when there is no use for it any more, if it does not give way by itself.
    stop: Option<Arc<Stop>>,
}

/// The instances of one plugin that answer requests.
pub(crate) struct Direct {
    shared: Arc<Shared>,
    pre: ProxyPre<State>,
    pub(crate) shelf: Arc<Shelf<Proxy>>,
}

impl Direct {
    pub(crate) fn new(shared: Arc<Shared>, pre: ProxyPre<State>) -> Self {
        Self {
            shelf: Arc::new(Shelf::new(Arc::clone(&shared))),
            shared,
            pre,
        }
    }

    /// Makes the instances that are missing of those that are to be there always.
    pub(crate) async fn fill(&self) -> wasmtime::Result<()> {
        self.shelf.fill(|| self.make()).await
    }

    /// Answers a request. Dropping the future or the answer's body stops the guest.
    pub(crate) async fn handle(
        self: &Arc<Self>,
        ticket: Arc<Ticket>,
        mut guard: Guard,
        request: http::Request<WasiBody>,
    ) -> Result<http::Response<Body>, CallError> {
        let word = Arc::new(Word {
            stop: self.shared.preempt.as_ref().map(|_| Arc::default()),
            ..Word::default()
        });
        let serving = Arc::clone(self).serve(Arc::clone(&ticket), request, Arc::clone(&word));
        let (serving, request) = (Box::pin(serving), Arc::clone(&ticket));
        let mut guest = match &word.stop {
            Some(stop) => Mobile::alone(serving, Arc::clone(stop), request),
            None => Mobile::new(serving, request),
        };
        let (answer, running) = poll_fn(|cx| {
            let ended = Pin::new(&mut guest).poll(cx);
            if guest.has_moved() {
                word.caller.register(cx.waker());
            }
            match (word.head.lock().take(), ended) {
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
        guard.expect(&head.headers)?;
        let mut ahead = None;
        let mut running = running.then_some(guest);
        if let Some(guest) = &mut running {
            // A short answer is all there when its first part is taken; then nobody
            // has to look after the guest while a client reads.
            let ended = poll_fn(|cx| {
                if let Poll::Ready(read) = Pin::new(&mut body).poll_frame(cx) {
                    ahead = Some(read);
                }
                Poll::Ready(Pin::new(&mut *guest).poll(cx).is_ready())
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
                    let clock = Clock::deadline(&direct.shared.spec.limits);
                    direct.timed_out(&ticket, clock);
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
        word: Arc<Word>,
    ) -> Result<(), CallError> {
        let shared = &*self.shared;
        let limits = &shared.spec.limits;
        let spent = shared.clock(ticket.deadline, word.stop.as_ref());
        let mut spent = spent.telling(&ticket.heavy);
        let mut warm = match self.shelf.take() {
            Some(warm) => warm,
            None => bounded(limits, ticket.deadline, &mut spent, pin!(self.make()))
                .await
                .map_err(|clock| self.timed_out(&ticket, clock))?
                .map_err(|error| self.no_room(Some(&ticket), &error))?,
        };
        // However this ends, the instance may be gone then.
        let _refill = Refill(&self);
        let _busy = Busy::new(&*shared.stats);
        warm.begin(ticket.context());
        let ended = {
            let answered = pin!(answer(&mut warm, request, word));
            bounded(limits, ticket.deadline, &mut spent, answered).await
        };
        ended
            .map_err(|clock| self.timed_out(&ticket, clock))?
            .map_err(|error| {
                let text = trap::describe_in(&error, warm.store.data());
                self.trapped(&ticket, trap::Kind::of(&error), text)
            })?;
        shared.backoff.succeeded();
        self.shelf.put(warm);
        Ok(())
    }

    async fn make(&self) -> wasmtime::Result<Warm<Proxy>> {
        let mut store = new_store(&self.shared)?;
        let proxy = self.pre.instantiate_async(&mut store).await?;
        Ok(self.shelf.warm(store, proxy))
    }

    fn timed_out(&self, ticket: &Ticket, clock: Clock) -> CallError {
        // Its own clock and the watchdog may both find it.
        if ticket.fail(Failure::Timeout(clock)) {
            let plugin = self.shared.spec.name.as_str();
            ticket.enter(|| tracing::warn!(plugin, "stopped: its {clock} is over"));
            self.shared.stats.timeout();
        }
        CallError::Timeout(clock)
    }

    fn trapped(&self, ticket: &Ticket, kind: trap::Kind, trap: String) -> CallError {
        let plugin = self.shared.spec.name.as_str();
        ticket.enter(|| tracing::error!(plugin, trap, "trapped"));
        self.shared.trapped(kind, &trap);
        ticket.fail(Failure::Trap(trap.clone()));
        CallError::Trapped(trap)
    }

    /// An instance could be made when the plugin was loaded: what is missing is room.
    fn no_room(&self, ticket: Option<&Ticket>, error: &wasmtime::Error) -> CallError {
        let plugin = self.shared.spec.name.as_str();
        let reason = format!("{error:#}");
        let tell = || tracing::error!(plugin, reason, "no instance");
        match ticket {
            Some(ticket) => ticket.enter(tell),
            None => tell(),
        }
        self.shared.stats.rejected();
        CallError::Saturated {
            reason,
            retry_after: Duration::from_secs(1),
        }
    }
}

/// Replaces an instance that is gone when this drops, if it is to be there always.
struct Refill<'a>(&'a Arc<Direct>);

impl Drop for Refill<'_> {
    fn drop(&mut self) {
        let shared = &self.0.shared;
        if shared.spec.limits.min_pool == 0 {
            return;
        }
        let tasks = match shared.preempt {
            // It would not give way to other tasks.
            Some(_) => shared.lane.threads.clone(),
            None => shared.home.clone(),
        };
        let direct = Arc::clone(self.0);
        tasks.spawn(async move {
            if let Err(error) = direct.fill().await {
                direct.no_room(None, &error);
            }
        });
    }
}

async fn answer(
    warm: &mut Warm<Proxy>,
    request: http::Request<WasiBody>,
    word: Arc<Word>,
) -> wasmtime::Result<()> {
    let mut http = warm.store.data_mut().http();
    let request = http.new_incoming_request(Scheme::Http, request)?;
    let out = http.new_response_outparam_from_callback(move |answer| {
        *word.head.lock() = Some(answer);
        word.caller.wake();
    })?;
    warm.instance
        .wasi_http_incoming_handler()
        .call_handle(&mut warm.store, request, out)
        .await
}
