//! When a thread for connections lets others go first.
//!
//! Whoever always has a request to answer never waits, and others that are ready for its
//! processor get it at the system's next tick, after up to 10 ms. So such a thread gives it up
//! by itself now and then, where it has answered all that had come: see docs/decisions/0018.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

/// How long a thread goes on without a pause.
const LONG: Duration = Duration::from_micros(200);
/// What is shorter is no pause: the system was only asked whether anything had come.
const PAUSE: Duration = Duration::from_micros(20);

thread_local! {
    static TURN: Turn = Turn::new(Instant::now());
}

/// A thread's time without a pause.
struct Turn {
    began: Cell<Instant>,
    /// When its event loop asked for events.
    asked: Cell<Instant>,
}

/// The calling thread's event loop has nothing left to do, and is about to ask for events.
pub fn ask() {
    TURN.with(|turn| {
        if turn.ask(Instant::now()) {
            thread::yield_now();
            turn.begin(Instant::now());
        }
    });
}

/// It has been told of some.
pub fn go_on() {
    TURN.with(|turn| turn.go_on(Instant::now()));
}

impl Turn {
    fn new(now: Instant) -> Self {
        Self {
            began: Cell::new(now),
            asked: Cell::new(now),
        }
    }

    /// Events are asked for: tells whether others are to go first.
    fn ask(&self, now: Instant) -> bool {
        self.asked.set(now);
        now - self.began.get() >= LONG
    }

    fn begin(&self, now: Instant) {
        self.began.set(now);
        self.asked.set(now);
    }

    fn go_on(&self, now: Instant) {
        if now - self.asked.get() >= PAUSE {
            self.begin(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_long_without_a_pause() {
        let short = Duration::from_micros(1);
        let mut now = Instant::now();
        let turn = Turn::new(now);
        // Asks again and again, and always has something to do.
        for _ in 0..LONG.as_micros() / 10 {
            assert!(!turn.ask(now));
            now += short;
            turn.go_on(now);
            now += short * 9;
        }
        assert!(turn.ask(now));
        turn.begin(now);
        assert!(!turn.ask(now));
        // Each wait is a pause.
        for _ in 0..10 {
            now += LONG / 2;
            assert!(!turn.ask(now));
            now += PAUSE;
            turn.go_on(now);
        }
    }
}
