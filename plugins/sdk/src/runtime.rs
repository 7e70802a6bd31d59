//! Async in a component: a tokio runtime on the one thread there is, which
//! waits for the host when nothing else can run.
//!
//! tokio calls its `on_thread_park` hook right before it would put the thread
//! to sleep, and does not sleep if the hook woke a task. The hook here blocks
//! in `wasi:io/poll` on all that futures made by [`wait`] wait for, and wakes
//! those that are ready.
//!
//! Neither timers nor blocking tasks: there is no second thread to run them.
//! For a pause, [`wait`] for `wasi:clocks/monotonic-clock.subscribe-duration`.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::runtime::{Builder, Runtime};
use wasip2::io::poll::{Pollable, poll};

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread()
        .on_thread_park(turn)
        .build()
        .unwrap_or_else(|error| panic!("no runtime: {error}"));
    static REACTOR: RefCell<Reactor> = const { RefCell::new(Reactor::new()) };
}

/// Runs a future to its end, and spawned tasks as far as they get meanwhile.
///
/// # Panics
/// If the future waits for something that nothing can bring about, and if it is
/// called from within itself.
pub fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// Ready when the pollable is. Drop what it returns, or finish it, before the
/// resource that the pollable came from.
pub fn wait(pollable: Pollable) -> Wait {
    Wait(State::New(pollable))
}

/// The future of [`wait`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Wait(State);

#[derive(Debug)]
enum State {
    New(Pollable),
    Registered(u64),
    Done,
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match std::mem::replace(&mut self.0, State::Done) {
            State::New(pollable) => {
                let key = REACTOR.with_borrow_mut(|r| r.register(pollable, cx.waker()));
                self.0 = State::Registered(key);
                Poll::Pending
            }
            State::Registered(key) => {
                if REACTOR.with_borrow_mut(|r| r.is_done(key, cx.waker())) {
                    Poll::Ready(())
                } else {
                    self.0 = State::Registered(key);
                    Poll::Pending
                }
            }
            State::Done => Poll::Ready(()),
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let State::Registered(key) = self.0 {
            REACTOR.with_borrow_mut(|r| r.forget(key));
        }
    }
}

/// What futures wait for, oldest first.
struct Reactor {
    next: u64,
    waiting: Vec<(u64, Pollable, Waker)>,
}

impl Reactor {
    const fn new() -> Self {
        Self {
            next: 0,
            waiting: Vec::new(),
        }
    }

    fn register(&mut self, pollable: Pollable, waker: &Waker) -> u64 {
        let key = self.next;
        self.next += 1;
        self.waiting.push((key, pollable, waker.clone()));
        key
    }

    /// Whether the pollable was found ready; else the waker to wake then.
    fn is_done(&mut self, key: u64, waker: &Waker) -> bool {
        match self.waiting.binary_search_by_key(&key, |entry| entry.0) {
            Ok(at) => {
                self.waiting[at].2.clone_from(waker);
                false
            }
            Err(_) => true,
        }
    }

    fn forget(&mut self, key: u64) {
        if let Ok(at) = self.waiting.binary_search_by_key(&key, |entry| entry.0) {
            self.waiting.remove(at);
        }
    }

    /// Blocks until something is ready and takes it out.
    fn poll(&mut self) -> Vec<Waker> {
        let pollables: Vec<&Pollable> = self.waiting.iter().map(|entry| &entry.1).collect();
        let mut ready = poll(&pollables);
        ready.sort_unstable();
        ready
            .into_iter()
            .rev()
            .map(|at| self.waiting.remove(at as usize).2)
            .collect()
    }
}

/// Runs when no task can: tokio's hook before sleep.
fn turn() {
    let woken = REACTOR.with_borrow_mut(|reactor| {
        assert!(
            !reactor.waiting.is_empty(),
            "deadlock: every task waits, and none for the host"
        );
        reactor.poll()
    });
    // Outside of the borrow: a waker may run code that registers or forgets.
    for waker in woken {
        waker.wake();
    }
}
