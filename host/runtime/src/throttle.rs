//! Guests that compute for long leave the processors to short requests that want them.
//!
//! See `docs/decisions/0020-long-guests-in-slices.md`.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use cpu_time::ThreadTime;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout_at};

use crate::metrics::Stats;
use crate::tick::Pulse;
use crate::usage::Usage;

/// How often it is looked at how short requests fare, while a guest computes.
const SAMPLE: Duration = Duration::from_millis(10);
/// Of the time, how much a thread that brings requests may wait for a processor.
const MAY_WAIT: f64 = 0.03;
/// Of all processors, how much such threads must use for that to matter. Guests for which
/// this is made leave less than that there, however many come: they are not to be held
/// back for each other.
const MUST_USE: f64 = 0.25;
/// How much a guest costs in this lane before it is held back.
const LONG: Duration = Duration::from_millis(10);
/// Or how many bytes it has answered.
const MUCH: u64 = 1 << 20;
/// What it costs to send a byte, in nanoseconds, about. The threads that bring requests do.
const SENDING: u64 = 1;
/// Of all processors, what all guests have that are held back, at least.
const LEAST: f64 = 1.0 / 128.0;
/// What a guest computes at a time while short requests wait.
const SLICE: Duration = Duration::from_micros(250);
/// A guest that gives way sooner waits for something else.
const STEP: Duration = Duration::from_micros(100);

/// Holds guests back while short requests wait for processors.
pub(crate) struct Throttle {
    processors: f64,
    every: Duration,
    state: Mutex<State>,
    /// They wait one after the other, in the order in which they came.
    turn: tokio::sync::Mutex<()>,
    pulse: Arc<Pulse>,
}

struct State {
    /// What guests may have of all processors: all of them is 1.
    share: f64,
    sampled: Instant,
    usage: Usage,
    /// What it has cost since to send the answers of such guests.
    sending: Duration,
}

/// What a guest has cost in the lane.
#[derive(Debug, Default)]
struct Cost {
    all: Duration,
    /// Bytes of its answer.
    answered: u64,
    /// For which it has not waited yet.
    step: Duration,
}

impl Cost {
    /// What it costs to send what it has answered since, if these are the bytes by now.
    fn sending(&mut self, answered: u64) -> Duration {
        let since = answered - std::mem::replace(&mut self.answered, answered);
        Duration::from_nanos(since * SENDING)
    }

    /// Adds to it; returns for what it is to wait now. It never is for what it cost before it
    /// was long, or while nobody waited.
    fn add(&mut self, time: Duration, others_wait: bool) -> Option<Duration> {
        self.all += time;
        if (self.all < LONG && self.answered < MUCH) || !others_wait {
            self.step = Duration::ZERO;
            return None;
        }
        self.step += time;
        (self.step >= STEP).then(|| std::mem::take(&mut self.step))
    }
}

impl Throttle {
    /// For guests that give way on this tick.
    pub(crate) fn new(pulse: Arc<Pulse>) -> Self {
        Self::start(pulse, SAMPLE, 1.0)
    }

    fn start(pulse: Arc<Pulse>, every: Duration, share: f64) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            processors: processors as f64,
            every,
            state: Mutex::new(State {
                share,
                sampled: Instant::now(),
                usage: Usage::now(),
                sending: Duration::ZERO,
            }),
            turn: tokio::sync::Mutex::default(),
            pulse,
        }
    }

    /// Runs a guest to its end, which has answered so many bytes by now. It is not held back
    /// any more at its deadline.
    pub(crate) async fn pace<F: Future>(
        self: Arc<Self>,
        guest: F,
        answered: impl Fn() -> u64,
        deadline: Instant,
        stats: Arc<Stats>,
    ) -> F::Output {
        let mut guest = pin!(guest);
        let mut cost = Cost::default();
        cost.sending(answered());
        loop {
            let ended = poll_fn(|cx| {
                let _hurry = (self.share(Duration::ZERO) < 1.0).then(|| self.pulse.hurry(SLICE));
                let begun = ThreadTime::now();
                if let Poll::Ready(output) = guest.as_mut().poll(cx) {
                    return Poll::Ready(Ok(output));
                }
                let sending = cost.sending(answered());
                let others_wait = self.share(sending) < 1.0;
                match cost.add(begun.elapsed() + sending, others_wait) {
                    Some(step) => Poll::Ready(Err(step)),
                    None => Poll::Pending,
                }
            });
            let step = match ended.await {
                Ok(output) => return output,
                Err(step) => step,
            };
            let since = Instant::now();
            // At the deadline it is for the guest to see that it is over.
            timeout_at(deadline, self.hold_back(step)).await.ok();
            stats.held_back(since.elapsed());
        }
    }

    /// Waits until a guest that has cost so much may go on.
    async fn hold_back(&self, spent: Duration) {
        let _turn = self.turn.lock().await;
        let share = self.share(Duration::ZERO);
        if share < 1.0 {
            sleep(spent.div_f64(share * self.processors)).await;
        }
    }

    /// What guests may have now, of which one has had so much sent.
    fn share(&self, sending: Duration) -> f64 {
        let mut state = self.state.lock();
        state.sending += sending;
        let now = Instant::now();
        let over = now - state.sampled;
        if over >= self.every {
            let usage = Usage::now();
            // What long answers cost is not for short requests.
            let had = usage.since(state.usage).without(state.sending);
            *state = State {
                share: self.adapt(state.share, had, over),
                sampled: now,
                usage,
                sending: Duration::ZERO,
            };
        }
        state.share
    }

    /// The share after a time in which threads that bring requests had this.
    fn adapt(&self, share: f64, had: Usage, over: Duration) -> f64 {
        let used = had.ran.div_duration_f64(over) / self.processors;
        let waited = had.waited.div_duration_f64(over) / f64::from(had.threads.max(1));
        if used > MUST_USE && waited > MAY_WAIT {
            (share / 4.0).max(LEAST)
        } else {
            (share * 2.0).min(1.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Longer than any test.
    const HOURS: Duration = Duration::from_secs(100 * 3600);

    /// One whose share stays as it is.
    fn fixed(share: f64) -> Arc<Throttle> {
        Arc::new(Throttle::start(Arc::default(), HOURS, share))
    }

    /// Computes for so long, and gives way each millisecond.
    async fn compute(time: Duration) {
        let begun = ThreadTime::now();
        while begun.elapsed() < time {
            let step = ThreadTime::now();
            while step.elapsed() < Duration::from_millis(1) {
                std::hint::spin_loop();
            }
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn the_share_falls_while_short_requests_wait() {
        let throttle = fixed(1.0);
        let second = Duration::from_secs(1);
        let had = |ran: f64, waited: f64| Usage {
            threads: 2,
            ran: second.mul_f64(ran * throttle.processors),
            waited: second.mul_f64(waited * 2.0),
        };
        let after = |share, had| throttle.adapt(share, had, second);
        assert_eq!(after(1.0, had(0.5, 0.2)), 0.25);
        assert_eq!(after(0.25, had(0.5, 0.2)), 0.0625);
        assert_eq!(after(LEAST, had(0.5, 0.2)), LEAST);
        // They wait because of guests that are brought by the same threads.
        assert_eq!(after(1.0, had(0.2, 0.9)), 1.0);
        // They use processors that nobody else wants.
        assert_eq!(after(1.0, had(0.9, 0.01)), 1.0);
        assert_eq!(after(LEAST, had(0.9, 0.01)), 2.0 * LEAST);
        assert_eq!(after(0.75, had(0.0, 0.0)), 1.0);
        assert_eq!(after(1.0, Usage::default()), 1.0);
    }

    #[test]
    fn a_guest_waits_for_what_it_costs_while_others_wait() {
        let mut cost = Cost::default();
        assert_eq!(cost.add(LONG - STEP * 2, true), None);
        assert_eq!(cost.add(STEP, true), None);
        assert_eq!(cost.add(STEP, true), Some(STEP));
        assert_eq!(cost.add(STEP / 2, true), None);
        assert_eq!(cost.add(STEP, true), Some(STEP * 3 / 2));
        assert_eq!(cost.add(LONG * 100, false), None);
        assert_eq!(cost.add(STEP / 2, true), None);
        assert_eq!(cost.add(STEP / 2, true), Some(STEP));
    }

    #[test]
    fn a_guest_waits_for_what_it_answers_while_others_wait() {
        let mut cost = Cost::default();
        let first = cost.sending(MUCH - 1);
        assert_eq!(first, Duration::from_nanos((MUCH - 1) * SENDING));
        assert_eq!(cost.add(STEP, true), None);
        assert_eq!(cost.sending(MUCH - 1), Duration::ZERO);
        assert_eq!(cost.sending(MUCH), Duration::from_nanos(SENDING));
        assert_eq!(cost.add(STEP, true), Some(STEP));
    }

    #[test]
    fn sending_long_answers_is_not_for_short_requests() {
        let throttle = fixed(1.0);
        let second = Duration::from_secs(1);
        let had = Usage {
            threads: 1,
            ran: second.mul_f64(0.5 * throttle.processors),
            waited: second / 2,
        };
        let sending = second.mul_f64(0.3 * throttle.processors);
        assert_eq!(throttle.adapt(1.0, had, second), 0.25);
        assert_eq!(throttle.adapt(1.0, had.without(sending), second), 1.0);
    }

    #[tokio::test]
    async fn a_long_guest_has_no_more_than_its_share() {
        let throttle = fixed(1.0 / 16.0);
        let (begun, stats) = (Instant::now(), Arc::<Stats>::default());
        let guest = compute(LONG * 3);
        Arc::clone(&throttle)
            .pace(guest, || 0, begun + HOURS, Arc::clone(&stats))
            .await;
        // Little of what it computes is between its polls.
        let least = (LONG * 3 / 2).mul_f64(16.0 / throttle.processors);
        assert!(begun.elapsed() >= least);
        let told = stats.read("", 0, 0, false).held_back;
        assert!(told >= least.as_secs_f64(), "{told} of {least:?}");
    }

    #[tokio::test]
    async fn a_long_answer_has_no_more_than_its_share() {
        let throttle = fixed(1.0 / 16.0);
        let (begun, stats) = (Instant::now(), Arc::<Stats>::default());
        let answered = AtomicU64::new(0);
        let guest = async {
            for _ in 0..16 {
                answered.fetch_add(MUCH, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        };
        let answered = || answered.load(Ordering::Relaxed);
        Arc::clone(&throttle)
            .pace(guest, answered, begun + HOURS, Arc::clone(&stats))
            .await;
        let sent = Duration::from_nanos(15 * MUCH * SENDING);
        assert!(begun.elapsed() >= sent.mul_f64(16.0 / throttle.processors));
        assert!(stats.read("", 0, 0, false).held_back > 0.0);
    }

    #[tokio::test]
    async fn others_are_not_held_back() {
        let never = Instant::now() + HOURS;
        let stats = Arc::<Stats>::default();
        fixed(1.0)
            .pace(compute(LONG * 3), || 0, never, Arc::clone(&stats))
            .await;
        fixed(1e-9)
            .pace(compute(LONG / 4), || 0, never, Arc::clone(&stats))
            .await;
        assert_eq!(stats.read("", 0, 0, false).held_back, 0.0);
    }

    #[tokio::test]
    async fn nobody_is_held_back_after_the_deadline() {
        let deadline = Instant::now() + LONG * 3;
        fixed(1e-9)
            .pace(compute(LONG * 3), || 0, deadline, Arc::default())
            .await;
        assert!(Instant::now() >= deadline);
    }
}
