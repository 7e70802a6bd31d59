//! How much a guest may log while it serves one request.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What one instance has left to log. Its standard streams and the host's logging
/// interfaces draw on it together.
#[derive(Debug)]
pub(crate) struct Quota {
    limit: u64,
    left: AtomicU64,
    told: AtomicBool,
}

impl Quota {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            left: AtomicU64::new(limit),
            told: AtomicBool::new(false),
        }
    }

    /// A request begins.
    pub(crate) fn renew(&self) {
        self.left.store(self.limit, Ordering::Relaxed);
        self.told.store(false, Ordering::Relaxed);
    }

    /// Whether so many bytes may be logged. The first time that they may not is said in
    /// the log, once a request.
    pub(crate) fn take(&self, bytes: usize, plugin: &str) -> bool {
        // One instance runs on one thread at a time: nobody draws in between.
        let left = self.left.load(Ordering::Relaxed);
        if let Some(rest) = left.checked_sub(bytes as u64) {
            self.left.store(rest, Ordering::Relaxed);
            return true;
        }
        self.left.store(0, Ordering::Relaxed);
        if !self.told.swap(true, Ordering::Relaxed) {
            let limit = self.limit;
            tracing::warn!(
                plugin,
                limit,
                "its log is cut here: it has logged as much as `max_log` allows for one request"
            );
        }
        false
    }
}
