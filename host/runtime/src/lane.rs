//! Threads for guests that compute for long.
//!
//! A guest begins on the thread that brought its request. One that turns out to compute
//! moves to a thread of its own kind, to which the system gives less of the processor
//! when others want it too: short requests beside it keep their pace.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use crate::body::Guest;
use crate::preempt::Stop;
use crate::priority::step_back;
use crate::throttle::Throttle;
use crate::tick::Pulse;
use crate::ticket::Ticket;
use crate::{CallError, Error, usage};

/// How long a guest computes before it moves.
pub(crate) const HEAVY_AFTER: Duration = Duration::from_millis(1);
/// How nice these threads are to others, from 0 to 19.
const NICE: i32 = 10;

/// The threads. They end with this.
pub(crate) struct Threads {
    all: Option<Runtime>,
    throttle: Arc<Throttle>,
}

/// Where guests are sent.
#[derive(Clone)]
pub(crate) struct Lane {
    /// They have a thread as long as they do not give way.
    pub(crate) threads: Handle,
    throttle: Arc<Throttle>,
}

impl Threads {
    /// As many as there are processors, for guests that give way on this tick.
    pub(crate) fn start(pulse: Arc<Pulse>) -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread()
            .thread_name("plugin-heavy")
            .on_thread_start(|| step_back(NICE))
            .enable_all()
            .build()
            .map_err(|error| Error::Engine(format!("no threads for guests: {error}")))?;
        Ok(Self {
            all: Some(runtime),
            throttle: Arc::new(Throttle::new(pulse)),
        })
    }

    pub(crate) fn lane(&self) -> Option<Lane> {
        self.all.as_ref().map(|runtime| Lane {
            threads: runtime.handle().clone(),
            throttle: Arc::clone(&self.throttle),
        })
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Waiting for a guest to give way is not for whoever drops this.
        if let Some(runtime) = self.all.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs work that need not give way on a thread of its own.
pub(crate) fn alone<T>(lane: &Lane, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T>
where
    T: Send + 'static,
{
    let threads = lane.threads.clone();
    lane.threads.spawn_blocking(move || threads.block_on(work))
}

/// A guest that moves to its plugin's lane once its request is heavy, or is there from the
/// start.
pub(crate) struct Mobile {
    place: Place,
    ticket: Arc<Ticket>,
}

type Ended = Result<(), CallError>;

enum Place {
    Here(Guest<Ended>),
    There(JoinHandle<Ended>),
    /// On a thread of its own, where it need not give way.
    Alone(JoinHandle<Ended>, Arc<Stop>),
    /// On the way between the two.
    Nowhere,
}

impl Mobile {
    pub(crate) fn new(guest: Guest<Ended>, ticket: Arc<Ticket>) -> Self {
        Self {
            place: Place::Here(guest),
            ticket,
        }
    }

    /// One that begins on a thread of its own and ends early if `stop` is set.
    pub(crate) fn alone(guest: Guest<Ended>, stop: Arc<Stop>, ticket: Arc<Ticket>) -> Self {
        let guest = lakehouse_trace::scope(lakehouse_trace::current(), guest);
        let stopping = Arc::clone(&stop);
        // Nobody is there any more to be told of one that was stopped.
        let guest = async move { stopping.or(guest).await.unwrap_or(Ok(())) };
        let ended = alone(&ticket.plugin.lane, guest);
        Self {
            place: Place::Alone(ended, stop),
            ticket,
        }
    }

    /// Whether it goes on without being polled.
    pub(crate) fn has_moved(&self) -> bool {
        matches!(self.place, Place::There(_) | Place::Alone(..))
    }
}

impl Future for Mobile {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let this = &mut *self;
        if let Place::Here(guest) = &mut this.place {
            // What such threads want is what the throttle goes by.
            usage::watch();
            let polled = guest.as_mut().poll(cx);
            if polled.is_ready() || !this.ticket.heavy.load(Ordering::Relaxed) {
                return polled;
            }
            if let Place::Here(guest) = std::mem::replace(&mut this.place, Place::Nowhere) {
                let guest = lakehouse_trace::scope(lakehouse_trace::current(), guest);
                let plugin = &this.ticket.plugin;
                let throttle = Arc::clone(&plugin.lane.throttle);
                let (request, stats) = (Arc::clone(&this.ticket), Arc::clone(&plugin.stats));
                let deadline = request.deadline.into();
                let paced = throttle.pace(guest, move || request.passed(), deadline, stats);
                this.place = Place::There(plugin.lane.threads.spawn(paced));
            }
        }
        match &mut this.place {
            Place::There(guest) | Place::Alone(guest, _) => Pin::new(guest).poll(cx).map(|ended| {
                ended.unwrap_or_else(|error| {
                    let error = format!("the guest's thread failed: {error}");
                    Err(CallError::Internal(error))
                })
            }),
            Place::Here(_) | Place::Nowhere => Poll::Pending,
        }
    }
}

impl Drop for Mobile {
    fn drop(&mut self) {
        match &self.place {
            Place::There(guest) => guest.abort(),
            Place::Alone(_, stop) => stop.set(),
            Place::Here(_) | Place::Nowhere => {}
        }
    }
}
