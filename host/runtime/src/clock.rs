//! The two clocks that a guest runs against: that on the wall, and that of the processor.
//!
//! The processor's runs while the guest is polled, and so neither while it waits for the
//! host nor while another plugin works for it: that one's own clock runs then.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use tokio::time::Sleep;

use crate::Limits;
use crate::lane::HEAVY_AFTER;
use crate::metrics::Stats;
use crate::preempt::{self, Run};
use crate::tick::Pulse;

/// Up to here the wall's clock stands in for the processor's: asking the kernel would
/// cost a short request more than it is worth.
const EXACT_AFTER: Duration = Duration::from_micros(250);

thread_local! {
    /// What this thread had computed at the time when somebody asked last.
    static ASKED: Cell<Option<(Instant, ThreadTime)>> = const { Cell::new(None) };
    /// What guests inside the one that is polled now took of this thread.
    static INNER: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// One of a plugin's clocks, with what it may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The wall's: `deadline`.
    Deadline(Duration),
    /// The processor's: `cpu`.
    Cpu(Duration),
}

impl Clock {
    pub(crate) fn deadline(limits: &Limits) -> Self {
        Self::Deadline(limits.deadline)
    }

    pub(crate) fn cpu(limits: &Limits) -> Self {
        Self::Cpu(limits.cpu)
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline(limit) => write!(f, "`deadline` of {limit:?}"),
            Self::Cpu(limit) => write!(f, "`cpu` limit of {limit:?}"),
        }
    }
}

/// The processor's clock of one request or call. What it shows in the end is counted for
/// the plugin.
pub(crate) struct Spent<'a> {
    stats: &'a Stats,
    pulse: &'a Pulse,
    time: Duration,
    /// With what others computed inside.
    with_inner: Duration,
    heavy: Option<&'a AtomicBool>,
    /// Looks after a guest that does not give way.
    run: Option<Arc<Run>>,
}

impl<'a> Spent<'a> {
    pub(crate) fn new(stats: &'a Stats, pulse: &'a Pulse) -> Self {
        Self {
            stats,
            pulse,
            time: Duration::ZERO,
            with_inner: Duration::ZERO,
            heavy: None,
            run: None,
        }
    }

    /// Has a guest stopped that does not give way by itself. The run's limits are those
    /// that [`bounded`] is given.
    pub(crate) fn stopping(mut self, run: Arc<Run>) -> Self {
        self.run = Some(run);
        self
    }

    fn was_stopped(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.was_stopped())
    }

    /// Sets `heavy` once that is long.
    pub(crate) fn telling(mut self, heavy: &'a AtomicBool) -> Self {
        self.heavy = Some(heavy);
        self
    }

    /// Lets a guest run; with its result and the time on the wall.
    fn run<R>(&mut self, guest: impl FnOnce() -> R) -> (R, Instant) {
        self.pulse.beat();
        let outer = INNER.replace(Duration::ZERO);
        let begun = Instant::now();
        let computed = computed_by(begun);
        let run = self.run.as_deref().map(|run| (run, self.time));
        let result = preempt::polling(run, guest);
        let now = Instant::now();
        let mut took = now - begun;
        if took >= EXACT_AFTER {
            // The thread may have waited for others in between.
            took = took.min(computed.elapsed());
        }
        let inner = INNER.replace(outer + took);
        self.time += took.saturating_sub(inner);
        self.with_inner += took;
        if let Some(heavy) = self.heavy
            && self.with_inner >= HEAVY_AFTER
        {
            heavy.store(true, Ordering::Relaxed);
        }
        (result, now)
    }
}

/// What the calling thread has computed, as of now or of less than [`EXACT_AFTER`] before:
/// most that ask do so again so soon that the kernel need not be asked for each.
fn computed_by(now: Instant) -> ThreadTime {
    match ASKED.get() {
        Some((at, computed)) if now < at + EXACT_AFTER => computed,
        _ => {
            let computed = ThreadTime::now();
            ASKED.set(Some((now, computed)));
            computed
        }
    }
}

impl Drop for Spent<'_> {
    fn drop(&mut self) {
        self.stats.computed(self.time);
    }
}

/// The future's output, unless `deadline` comes first or it has computed for longer than
/// its plugin may. Also ends one that is always ready to go on, as a guest that spins
/// is; and most are through before a timer is needed. One that is large is better given
/// pinned: it is stored where it comes from and here otherwise.
///
/// # Errors
/// The clock that ran out.
pub(crate) async fn bounded<F: Future>(
    limits: &Limits,
    deadline: Instant,
    spent: &mut Spent<'_>,
    future: F,
) -> Result<F::Output, Clock> {
    let mut future = pin!(future);
    let mut alarm: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        let (polled, now) = spent.run(|| future.as_mut().poll(cx));
        if spent.was_stopped() {
            // What it returned is the trap that it was made to run into.
            return if spent.time > limits.cpu {
                Poll::Ready(Err(Clock::cpu(limits)))
            } else if now >= deadline {
                Poll::Ready(Err(Clock::deadline(limits)))
            } else {
                // Nobody wants it, or whoever it worked for is over its own time: this
                // is about to be dropped.
                Poll::Pending
            };
        }
        if let Poll::Ready(output) = polled {
            return Poll::Ready(Ok(output));
        }
        if spent.time > limits.cpu {
            return Poll::Ready(Err(Clock::cpu(limits)));
        }
        let alarm =
            alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
        match alarm.as_mut().poll(cx) {
            Poll::Pending if now < deadline => Poll::Pending,
            _ => Poll::Ready(Err(Clock::deadline(limits))),
        }
    })
    .await
}

/// The processor's clock of a guest that others poll, who tell only when it gives way
/// on a tick and when it waits. What it computes before its first tick after a wait is
/// not seen.
#[derive(Debug, Default)]
pub(crate) struct Sampled {
    time: Duration,
    /// Since when it surely computes.
    since: Option<Instant>,
}

impl Sampled {
    /// It was found computing.
    pub(crate) fn tick(&mut self) {
        let now = Instant::now();
        if let Some(since) = self.since.replace(now) {
            self.time += now - since;
        }
    }

    /// It was given the processor back after a tick.
    pub(crate) fn resume(&mut self) {
        self.since = Some(Instant::now());
    }

    /// It waits for something else than the processor.
    pub(crate) fn pause(&mut self) {
        if let Some(since) = self.since.take() {
            self.time += since.elapsed();
        }
    }

    pub(crate) fn time(&self) -> Duration {
        self.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compute(time: Duration) {
        let begun = ThreadTime::now();
        while begun.elapsed() < time {
            std::hint::spin_loop();
        }
    }

    #[tokio::test]
    async fn waiting_is_not_computing() {
        let (stats, pulse) = (Stats::default(), Pulse::default());
        let limits = Limits {
            cpu: Duration::from_millis(50),
            ..Limits::default()
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut spent = Spent::new(&stats, &pulse);
        let waits = async {
            compute(Duration::from_millis(15));
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let waited = bounded(&limits, deadline, &mut spent, waits).await;
        assert_eq!(waited, Ok(()));
        assert!(spent.time < limits.cpu, "{:?}", spent.time);
        let computes = async {
            loop {
                compute(Duration::from_millis(5));
                tokio::task::yield_now().await;
            }
        };
        let computed: Result<(), _> = bounded(&limits, deadline, &mut spent, computes).await;
        assert_eq!(computed, Err(Clock::Cpu(limits.cpu)));
    }

    #[tokio::test]
    async fn waiting_for_a_processor_is_not_computing() {
        let (stats, pulse) = (Stats::default(), Pulse::default());
        let heavy = AtomicBool::new(false);
        let mut spent = Spent::new(&stats, &pulse).telling(&heavy);
        let deadline = Instant::now() + Duration::from_secs(60);
        // As long as it sleeps another thread may have the processor.
        let kept_waiting = async { std::thread::sleep(HEAVY_AFTER * 5) };
        let limits = Limits::default();
        let ended = bounded(&limits, deadline, &mut spent, kept_waiting).await;
        assert_eq!(ended, Ok(()));
        assert!(!heavy.load(Ordering::Relaxed), "{:?}", spent.time);
        let computes = async { compute(HEAVY_AFTER) };
        let ended = bounded(&limits, deadline, &mut spent, computes).await;
        assert_eq!(ended, Ok(()));
        assert!(heavy.load(Ordering::Relaxed), "{:?}", spent.time);
    }

    #[tokio::test]
    async fn what_is_computed_inside_is_counted_there_alone() {
        let (outer, inner) = (Stats::default(), Stats::default());
        let pulse = Pulse::default();
        let limits = Limits::default();
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut spent = Spent::new(&outer, &pulse);
        let mut spent_inside = Spent::new(&inner, &pulse);
        let calls = async {
            let works = async { compute(Duration::from_millis(30)) };
            bounded(&limits, deadline, &mut spent_inside, works).await
        };
        let called = bounded(&limits, deadline, &mut spent, calls).await;
        assert_eq!(called, Ok(Ok(())));
        assert!(spent_inside.time >= Duration::from_millis(30));
        assert!(spent.time < Duration::from_millis(15), "{:?}", spent.time);
    }
}
