//! Stopping guests whose code has no checks in it.
//!
//! Code that is compiled to give way on a tick looks at the clock in every loop, and has
//! to keep what it works with ready to be handed over there. Guests that compute for
//! long pay for that with a tenth of their time and more, so they are compiled without:
//! each has a thread of its own, where it need not give way, and one that is to end is
//! stopped by a signal to this thread. See `docs/decisions/0015-heavy-guests-alone.md`.

mod code;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod signal;
mod stop;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod signal {
    //! Other systems keep the checks.

    use super::Run;

    pub(super) type Clock = i32;

    pub(crate) fn supported() -> bool {
        false
    }

    pub(super) fn thread() -> (i32, Clock) {
        (0, 0)
    }

    pub(super) fn processor_time(_: Clock) -> Option<std::time::Duration> {
        None
    }

    pub(super) fn innermost() -> *const Run {
        std::ptr::null()
    }

    pub(super) fn set_innermost(_: *const Run) -> *const Run {
        std::ptr::null()
    }

    pub(super) fn interrupt(_: i32) {}
}

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub(crate) use code::Code;
pub(crate) use signal::supported;
pub(crate) use stop::Stop;

/// What stops the guests of one component.
#[derive(Clone)]
pub(crate) struct Preempt {
    pub(crate) code: Arc<Code>,
    pub(crate) watch: Arc<Watch>,
}

impl Preempt {
    /// Looks after a request or call until what is returned drops.
    pub(crate) fn run(
        &self,
        cpu: Duration,
        deadline: Instant,
        stop: Option<Arc<Stop>>,
    ) -> Arc<Run> {
        let run = Arc::new(Run {
            code: Arc::clone(&self.code),
            cpu,
            deadline,
            stop,
            turn: Mutex::default(),
            outer: AtomicPtr::default(),
            over: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        });
        self.watch.0.lock().push(Arc::clone(&run));
        run
    }
}

/// One request or call, as the watch and the signal's handler see it.
pub(crate) struct Run {
    #[cfg_attr(
        not(all(target_os = "linux", target_arch = "x86_64")),
        expect(dead_code, reason = "for the signal's handler")
    )]
    code: Arc<Code>,
    /// Its limit of processor time.
    cpu: Duration,
    deadline: Instant,
    /// Whoever asked for it may say that there is no use for it any more.
    stop: Option<Arc<Stop>>,
    turn: Mutex<Option<Turn>>,
    /// The run that waits for this one on the same thread.
    outer: AtomicPtr<Run>,
    /// It is to end.
    over: AtomicBool,
    /// It was made to trap.
    stopped: AtomicBool,
}

/// A guest is being polled.
struct Turn {
    thread: i32,
    clock: signal::Clock,
    /// What the thread's clock shows when the guest's processor time is used up; none
    /// while another guest works for it.
    ends: Option<Duration>,
    /// How long it may go on after that other guest.
    left: Duration,
}

impl Turn {
    fn now(&self) -> Duration {
        signal::processor_time(self.clock).unwrap_or_default()
    }
}

impl Run {
    /// Whether it was made to trap.
    pub(crate) fn was_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn pause(&self) {
        if let Some(turn) = &mut *self.turn.lock()
            && let Some(ends) = turn.ends.take()
        {
            turn.left = ends.saturating_sub(turn.now());
        }
    }

    fn resume(&self) {
        if let Some(turn) = &mut *self.turn.lock() {
            turn.ends = Some(turn.now() + turn.left);
        }
    }

    /// Whether it has used up one of its clocks or is of no use any more.
    fn is_over(&self, turn: &Turn, now: Instant) -> bool {
        now >= self.deadline
            || self.stop.as_ref().is_some_and(|stop| stop.is_set())
            || turn.ends.is_some_and(|ends| turn.now() >= ends)
    }
}

/// Lets a guest have the thread; `run` is its own if it has no checks. Whoever had it
/// waits meanwhile, and so does that one's clock.
pub(crate) fn polling<R>(run: Option<(&Run, Duration)>, guest: impl FnOnce() -> R) -> R {
    let outer = match run {
        None => signal::innermost(),
        Some((run, spent)) => {
            let (thread, clock) = signal::thread();
            *run.turn.lock() = Some(Turn {
                thread,
                clock,
                ends: None,
                left: run.cpu.saturating_sub(spent),
            });
            run.resume();
            let outer = signal::set_innermost(run);
            run.outer.store(outer.cast_mut(), Ordering::Relaxed);
            outer
        }
    };
    let _back = Back {
        run: run.map(|(run, _)| run),
        outer,
    };
    // SAFETY: whoever polled last is further up the stack, in this function, and holds
    // its run until this returns.
    if let Some(outer) = unsafe { outer.as_ref() } {
        outer.pause();
    }
    guest()
}

/// Gives the thread back, even if the guest panics.
struct Back<'a> {
    run: Option<&'a Run>,
    outer: *const Run,
}

impl Drop for Back<'_> {
    fn drop(&mut self) {
        if let Some(run) = self.run {
            signal::set_innermost(self.outer);
            *run.turn.lock() = None;
        }
        // SAFETY: as in `polling`.
        if let Some(outer) = unsafe { self.outer.as_ref() } {
            outer.resume();
        }
    }
}

/// The runs under way.
#[derive(Default)]
pub(crate) struct Watch(Mutex<Vec<Arc<Run>>>);

impl Watch {
    /// Interrupts every guest that is to end. One that is in the host just then is
    /// interrupted the next time. Whether there are any guests.
    pub(crate) fn look(&self) -> bool {
        let now = Instant::now();
        let mut runs = self.0.lock();
        runs.retain(|run| Arc::strong_count(run) > 1);
        for run in &*runs {
            if let Some(turn) = &*run.turn.lock()
                && run.is_over(turn, now)
            {
                run.over.store(true, Ordering::Relaxed);
                signal::interrupt(turn.thread);
            }
        }
        !runs.is_empty()
    }
}
