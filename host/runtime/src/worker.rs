//! The workers of `wasmtime-wasi-http`'s handler: each owns one instance, serves one
//! request at a time with it, and ends when the instance is used up, idle for too
//! long, over its deadline, or of no more use to its caller.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::futures::OwnedNotified;
use tokio::time::Sleep;
use wasmtime::{Store, StoreContextMut, format_err};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};

use crate::clock::{Clock, Sampled};
use crate::metrics::{Busy, Stats};
use crate::plugin::Shared;
use crate::state::{State, new_store};
use crate::ticket::{Failure, Ticket};
use crate::trap;

/// Makes instances for HTTP requests.
pub(crate) struct Http {
    shared: Arc<Shared>,
    proxy: ProxyPre<State>,
}

impl Http {
    pub(crate) fn new(shared: Arc<Shared>, proxy: ProxyPre<State>) -> Self {
        Self { shared, proxy }
    }
}

impl HandlerState for Http {
    type StoreData = State;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<State, Expiration, Worker>> {
        let shared = &self.shared;
        let mut store = new_store(shared)?;
        let limits = &shared.spec.limits;
        let proxy = tokio::time::timeout(limits.deadline, self.proxy.instantiate_async(&mut store))
            .await
            .map_err(|_| {
                format_err!("an instance takes longer to start than a request may take")
            })??;
        let current = Arc::new(Current {
            shared: Arc::clone(shared),
            work: Mutex::default(),
            sampled: store.data().sampled(),
        });
        Ok(Instance {
            store,
            proxy,
            view: State::http,
            expiration: Expiration {
                shared: Arc::clone(shared),
                current: Arc::clone(&current),
                closing: Box::pin(Arc::clone(&shared.closing).notified_owned()),
                alarm: None,
            },
            state: Worker {
                shared: Arc::clone(shared),
                current,
                background: matches!(self.proxy, ProxyPre::P3(_)),
            },
        })
    }
}

/// The request that an instance serves now.
struct Current {
    shared: Arc<Shared>,
    work: Mutex<Option<Work>>,
    sampled: Arc<Mutex<Sampled>>,
}

/// A request under way, for which its instance counts as busy.
struct Work {
    ticket: Arc<Ticket>,
    _busy: Busy<Arc<Stats>>,
}

impl Current {
    fn get(&self) -> Option<Arc<Ticket>> {
        let work = self.work.lock();
        work.as_ref().map(|work| Arc::clone(&work.ticket))
    }

    fn begin(&self, ticket: Arc<Ticket>) {
        *self.sampled.lock() = Sampled::default();
        let _busy = Busy::new(Arc::clone(&self.shared.stats));
        *self.work.lock() = Some(Work { ticket, _busy });
    }

    /// The worker is through with its request.
    fn settle(&self) {
        if let Some(Work { ticket, .. }) = self.work.lock().take() {
            self.shared.stats.computed(self.sampled.lock().time());
            if ticket.failure().is_none() {
                self.shared.backoff.succeeded();
            }
            ticket.settle();
        }
    }
}

/// Decides what a worker takes on, and reports how it went.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    current: Arc<Current>,
    /// The guest writes the body after it has returned the head, as with `wasi:http`
    /// 0.3; with 0.2 nothing of it runs any more once its handler has returned.
    background: bool,
}

impl WorkerState for Worker {
    type StoreData = State;
    type RequestData = Arc<Ticket>;

    fn should_accept_request(&self, running: usize, served: usize) -> ShouldAccept {
        if running > 0 {
            return ShouldAccept::No;
        }
        if served >= self.shared.spec.limits.reuse.max(1) as usize {
            if !self.background {
                self.current.settle();
            }
            return ShouldAccept::Never;
        }
        if self.background
            && self
                .current
                .get()
                .is_some_and(|ticket| !ticket.is_delivered())
        {
            return ShouldAccept::No;
        }
        self.current.settle();
        ShouldAccept::Yes
    }

    fn on_request_start(
        &self,
        mut store: StoreContextMut<'_, State>,
        ticket: Arc<Ticket>,
        _task: wasmtime::component::GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        store.data_mut().set_context(ticket.context());
        store.set_epoch_deadline(1);
        self.shared.pulse.beat();
        self.current.begin(ticket);
        // Deadlines are kept by `Expiration`, which also sees guests that spin.
        Box::pin(std::future::pending())
    }

    fn drop(&self, store: Store<State>, result: wasmtime::Result<()>) {
        self.report(result.err(), store.data());
        self.current.settle();
        drop(store);
    }
}

impl Worker {
    /// Logs why an instance ended early, and leaves it with the request it served.
    fn report(&self, error: Option<wasmtime::Error>, state: &State) {
        let ticket = self.current.get();
        let cause = ticket.as_ref().map(|ticket| ticket.cause.clone());
        lakehouse_trace::enter(cause, || self.explain(ticket.as_deref(), error, state));
    }

    fn explain(&self, ticket: Option<&Ticket>, error: Option<wasmtime::Error>, state: &State) {
        let plugin = self.shared.spec.name.as_str();
        match (ticket.and_then(Ticket::failure), error) {
            (Some(Failure::Timeout(clock)), _) => {
                tracing::warn!(plugin, "stopped: its {clock} is over");
                self.shared.stats.timeout();
            }
            (Some(Failure::TooLong(_)), _) => {}
            (Some(Failure::Cancelled), _) => {
                tracing::debug!(plugin, "stopped: the client went away");
            }
            // An idle instance that the end of the process takes along.
            (None, Some(_)) if ticket.is_none() && self.shared.is_closed() => {}
            (_, Some(error)) => {
                let trap = trap::describe_in(&error, state);
                tracing::error!(plugin, trap, "trapped");
                self.shared.trapped(trap::Kind::of(&error), &trap);
                if let Some(ticket) = ticket {
                    ticket.fail(Failure::Trap(trap));
                }
            }
            (_, None) => {}
        }
    }
}

/// Ends a worker. Polled whenever its guest waits or gives way.
pub(crate) struct Expiration {
    shared: Arc<Shared>,
    current: Arc<Current>,
    /// The plugin takes no more requests.
    closing: Pin<Box<OwnedNotified>>,
    /// Set to the first moment that could matter, and looked at again when it comes:
    /// most requests are long gone by then and never touch the timer.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Expiration {
    fn is_due(&mut self, cx: &mut Context<'_>, due: Option<Instant>) -> bool {
        let Some(due) = due else { return false };
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due.into())));
        if due < alarm.deadline().into_std() {
            alarm.as_mut().reset(due.into());
        }
        while alarm.as_mut().poll(cx).is_ready() {
            if Instant::now() >= due {
                return true;
            }
            alarm.as_mut().reset(due.into());
        }
        false
    }
}

impl WorkerExpiration for Expiration {
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        status: WorkerStatus,
        since: Instant,
    ) -> Poll<()> {
        let this = &mut *self;
        let Some(ticket) = this.current.get() else {
            let idle = status == WorkerStatus::Idle;
            if idle && (this.shared.is_closed() || this.closing.as_mut().poll(cx).is_ready()) {
                return Poll::Ready(());
            }
            let wait = match status {
                WorkerStatus::Idle => this.shared.spec.limits.idle,
                WorkerStatus::Requests | WorkerStatus::PostReturn => {
                    this.shared.spec.limits.deadline
                }
            };
            return match this.is_due(cx, since.checked_add(wait)) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            };
        };
        ticket.worker.register(cx.waker());
        let limits = &this.shared.spec.limits;
        let computed = {
            let mut sampled = this.current.sampled.lock();
            sampled.pause();
            sampled.time()
        };
        let failure = if ticket.is_cancelled() {
            Failure::Cancelled
        } else if computed > limits.cpu {
            Failure::Timeout(Clock::cpu(limits))
        } else if this.is_due(cx, Some(ticket.deadline)) {
            Failure::Timeout(Clock::deadline(&this.shared.spec.limits))
        } else {
            return Poll::Pending;
        };
        ticket.fail(failure);
        Poll::Ready(())
    }
}
