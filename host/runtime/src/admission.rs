//! How many requests run at once, how many wait, and for how long.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::timeout_at;

use crate::metrics::Stats;
use crate::{CallError, Clock, Limits};

/// The places of one plugin.
#[derive(Debug)]
pub(crate) struct Admission {
    places: Semaphore,
    /// Places there are.
    all: usize,
    waiting: AtomicUsize,
    queue: usize,
    wait: Duration,
    deadline: Clock,
}

/// Leaves the queue however the wait ends.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Self {
        let all = limits.concurrency.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            places: Semaphore::new(all),
            all,
            waiting: AtomicUsize::new(0),
            queue: limits.queue,
            wait: limits.queue_wait,
            deadline: Clock::deadline(limits),
        }
    }

    /// Takes a place, which [`Admission::release`] frees. A wait for it is counted.
    ///
    /// # Errors
    /// [`CallError::Saturated`] if the queue is full or the wait too long,
    /// [`CallError::Timeout`] if the deadline comes first.
    pub(crate) async fn admit(&self, deadline: Instant, stats: &Stats) -> Result<(), CallError> {
        if let Ok(place) = self.places.try_acquire() {
            place.forget();
            return Ok(());
        }
        let saturated = |reason| CallError::Saturated {
            reason,
            retry_after: Duration::from_secs(1),
        };
        let ahead = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if ahead >= self.queue {
            let queue = self.queue;
            return Err(saturated(format!("`queue` of {queue} is full")));
        }
        let too_long = || {
            saturated(format!(
                "none came free within `queue_wait` of {:?}",
                self.wait
            ))
        };
        let begun = Instant::now();
        let patience = begun + self.wait;
        let place = timeout_at(patience.min(deadline).into(), self.places.acquire()).await;
        stats.waited(begun.elapsed());
        match place {
            Ok(Ok(place)) => {
                place.forget();
                Ok(())
            }
            Err(_) if deadline <= patience => Err(CallError::Timeout(self.deadline)),
            Ok(Err(_)) | Err(_) => Err(too_long()),
        }
    }

    pub(crate) fn release(&self) {
        self.places.add_permits(1);
    }

    /// Requests that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Requests that run or wait.
    pub(crate) fn in_flight(&self) -> usize {
        self.all - self.places.available_permits() + self.waiting()
    }
}
