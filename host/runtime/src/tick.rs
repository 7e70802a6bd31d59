//! The tick on which guests give way, or are stopped where they do not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

use parking_lot::Mutex;
use wasmtime::EngineWeak;

use crate::Error;
use crate::alarm::Alarm;
use crate::preempt::Watch;
use crate::priority::come_first;

/// Ticks without a guest after which the next ones are further apart.
const LULL: u32 = 50;
/// How far apart they are then. A guest that went unnoticed would give way after this time.
const APART: Duration = Duration::from_millis(100);

/// The one thread on whose tick the guests of all engines give way, or are stopped where
/// they do not. It ends with the last engine.
#[derive(Clone)]
pub(crate) struct Ticker {
    engines: Arc<Mutex<Vec<EngineWeak>>>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) pulse: Arc<Pulse>,
}

impl Ticker {
    /// Starts the thread.
    pub(crate) fn new(every: Duration) -> Result<Self, Error> {
        Self::start(every, APART.max(every))
    }

    /// The same with ticks that are so far apart while there is no guest.
    fn start(every: Duration, apart: Duration) -> Result<Self, Error> {
        let ticker = Self {
            engines: Arc::default(),
            watch: Arc::default(),
            pulse: Arc::default(),
        };
        let engines = Arc::downgrade(&ticker.engines);
        let (watch, pulse) = (Arc::clone(&ticker.watch), Arc::clone(&ticker.pulse));
        let running = thread::Builder::new()
            .name("plugin-tick".to_owned())
            .spawn(move || run(every, apart, &engines, &watch, &pulse))
            .map_err(|error| Error::Engine(format!("no thread for the tick: {error}")))?;
        ticker.pulse.ticker.get_or_init(|| running.thread().clone());
        Ok(ticker)
    }

    pub(crate) fn add(&self, engine: EngineWeak) {
        self.engines.lock().push(engine);
    }
}

/// Ticks while there is an engine.
fn run(
    every: Duration,
    apart: Duration,
    ticking: &Weak<Mutex<Vec<EngineWeak>>>,
    watch: &Watch,
    pulse: &Pulse,
) {
    come_first();
    let mut alive = Vec::new();
    let mut idle = 0;
    loop {
        if idle < LULL {
            pulse.alarm.sleep(every);
        } else if pulse.rest(apart) {
            idle = 0;
            continue;
        }
        let busy = watch.look();
        if !tick(ticking, &mut alive) {
            return;
        }
        idle = match pulse.take() || busy {
            true => 0,
            false => idle.saturating_add(1),
        };
    }
}

/// Ticks all engines; `last` is those of the time before. False when there will be none
/// any more: the runtime is gone and no guest is left either.
fn tick(ticking: &Weak<Mutex<Vec<EngineWeak>>>, last: &mut Vec<EngineWeak>) -> bool {
    let runtime = ticking.upgrade();
    if let Some(engines) = &runtime {
        last.clone_from(&engines.lock());
    }
    let mut alive = false;
    for engine in last.iter().filter_map(EngineWeak::upgrade) {
        engine.increment_epoch();
        alive = true;
    }
    alive || runtime.is_some()
}

/// Whether there are guests for which to tick.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// A guest was given a thread since the last tick.
    beat: AtomicBool,
    /// Ticks are far apart.
    rests: AtomicBool,
    /// For ticks between those that come by themselves.
    alarm: Alarm,
    /// Guests for which it goes off.
    hurries: Mutex<u32>,
    ticker: OnceLock<Thread>,
}

impl Pulse {
    /// A guest is given a thread. One that keeps it gives way on the next tick, and is
    /// given it again if it goes on.
    #[inline]
    pub(crate) fn beat(&self) {
        // Most find it said already, and write nothing that others read.
        if !self.beat.load(Ordering::Relaxed) {
            self.beat.store(true, Ordering::SeqCst);
        }
        if self.rests.load(Ordering::SeqCst)
            && let Some(ticker) = self.ticker.get()
        {
            ticker.unpark();
        }
    }

    /// Ticks come so often, or as often as they did where the system has no alarm, until
    /// all that this returned are dropped.
    pub(crate) fn hurry(&self, every: Duration) -> Hurry<'_> {
        let mut hurries = self.hurries.lock();
        if *hurries == 0 {
            self.alarm.set(every);
        }
        *hurries += 1;
        Hurry(self)
    }

    /// Whether there was a beat since this was asked last.
    fn take(&self) -> bool {
        self.beat.swap(false, Ordering::SeqCst)
    }

    /// Waits for a beat, but no longer than this; whether there was one.
    fn rest(&self, most: Duration) -> bool {
        self.rests.store(true, Ordering::SeqCst);
        // A guest that did not see that yet has said that it is there.
        if !self.beat.load(Ordering::SeqCst) {
            thread::park_timeout(most);
        }
        self.rests.store(false, Ordering::SeqCst);
        self.beat.load(Ordering::SeqCst)
    }
}

/// A guest that is to give way sooner than others.
pub(crate) struct Hurry<'a>(&'a Pulse);

impl Drop for Hurry<'_> {
    fn drop(&mut self) {
        let mut hurries = self.0.hurries.lock();
        *hurries -= 1;
        if *hurries == 0 {
            self.0.alarm.set(Duration::ZERO);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than any test.
    const HOURS: Duration = Duration::from_secs(100 * 3600);

    fn until(happens: impl Fn() -> bool) {
        while !happens() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_beat_ends_a_rest_whenever_it_comes() {
        let pulse = Arc::new(Pulse::default());
        assert!(!pulse.rest(Duration::ZERO), "nobody is there");
        pulse.beat();
        assert!(pulse.rest(HOURS), "it came before");
        assert!(pulse.take());
        assert!(!pulse.take());

        pulse.ticker.set(thread::current()).unwrap();
        let other = Arc::clone(&pulse);
        let guest = thread::spawn(move || {
            until(|| other.rests.load(Ordering::SeqCst));
            other.beat();
        });
        while !pulse.rest(HOURS) {}
        guest.join().unwrap();
    }

    #[test]
    fn a_guest_that_comes_after_a_lull_is_ticked_for() {
        let engine = wasmtime::Engine::new(wasmtime::Config::new().epoch_interruption(true));
        let engine = engine.unwrap();
        let ticker = Ticker::start(Duration::from_millis(1), HOURS).unwrap();
        ticker.add(engine.weak());
        let pulse = &ticker.pulse;
        for _ in 0..3 {
            until(|| pulse.rests.load(Ordering::SeqCst));
            pulse.beat();
            // Each tick takes it back.
            until(|| !pulse.beat.load(Ordering::SeqCst));
        }
    }
}
