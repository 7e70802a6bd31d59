//! Word from whoever brought a request to the thread that its guest has to itself.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use futures::task::AtomicWaker;

/// Tells a guest on another thread that nobody wants what it does.
#[derive(Default)]
pub(crate) struct Stop {
    set: AtomicBool,
    guest: AtomicWaker,
}

impl Stop {
    pub(crate) fn set(&self) {
        self.set.store(true, Ordering::Release);
        self.guest.wake();
    }

    pub(crate) fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }

    /// The future's output, or none once this is set.
    pub(crate) async fn or<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            self.guest.register(cx.waker());
            if self.is_set() {
                return Poll::Ready(None);
            }
            let polled = future.as_mut().poll(cx).map(Some);
            // It may have been made to end while it was polled, and nobody wakes it then.
            if polled.is_pending() && self.is_set() {
                return Poll::Ready(None);
            }
            polled
        })
        .await
    }
}
