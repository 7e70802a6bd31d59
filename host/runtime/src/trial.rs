//! How the first requests to a generation go.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::Notify;

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// So many requests ended, and too few of them failed.
    Passed,
    /// This many of them trapped or timed out, which ends it: what fails after does not
    /// count.
    Failed(u64),
}

/// Counts the first requests and calls of one generation. Costs the others one load.
#[derive(Debug, Default)]
pub(crate) struct Trial {
    /// How many are still to end; none when it is over or has not begun.
    left: AtomicU64,
    failed: AtomicU64,
    changed: Notify,
}

impl Trial {
    /// A request or call ended.
    pub(crate) fn ended(&self, failed: bool) {
        if self.left.load(Relaxed) == 0 {
            return;
        }
        if failed {
            self.failed.fetch_add(1, Relaxed);
        }
        let before = self
            .left
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        if failed || before == Ok(1) {
            self.changed.notify_one();
        }
    }

    /// Watches the next `requests` until `failures` of them failed or all have ended.
    pub(crate) async fn watch(&self, requests: u64, failures: u64) -> Verdict {
        self.failed.store(0, Relaxed);
        self.left.store(requests, Relaxed);
        loop {
            if self.failed.load(Relaxed) >= failures {
                self.left.store(0, Relaxed);
                return Verdict::Failed(failures);
            }
            if self.left.load(Relaxed) == 0 {
                return Verdict::Passed;
            }
            self.changed.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn enough_failures_end_it() {
        let trial = Arc::new(Trial::default());
        // Before it begins nothing counts.
        trial.ended(true);
        let watched = tokio::spawn({
            let trial = Arc::clone(&trial);
            async move { trial.watch(10, 2).await }
        });
        while trial.left.load(Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        for failed in [true, false, true] {
            trial.ended(failed);
        }
        assert_eq!(watched.await.unwrap(), Verdict::Failed(2));
        assert_eq!(trial.left.load(Relaxed), 0);
    }

    #[tokio::test]
    async fn enough_requests_end_it() {
        let trial = Trial::default();
        let ends = async {
            for _ in 0..5 {
                trial.ended(false);
            }
            trial.ended(true);
        };
        let (verdict, ()) = tokio::join!(trial.watch(5, 1), ends);
        assert_eq!(verdict, Verdict::Passed);
    }
}
