//! The memory limit of an instance and of all instances together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::ResourceLimiter;

use crate::metrics::Stats;

/// Elements that one table of a guest may have.
pub(crate) const TABLE_ELEMENTS: usize = 1 << 17;

/// The memory of all instances together.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicU64,
    limit: u64,
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            used: AtomicU64::new(0),
            limit,
        }
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> bool {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= self.limit;
        if !fits {
            self.give(bytes);
        }
        fits
    }

    fn give(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Counts what one instance holds, against its own limit and the shared budget.
#[derive(Debug)]
pub(crate) struct Limiter {
    budget: Arc<Budget>,
    stats: Arc<Stats>,
    limit: u64,
    held: u64,
    /// The growth allowed last: handed back if it then fails.
    last: u64,
}

impl Limiter {
    pub(crate) fn new(budget: Arc<Budget>, stats: Arc<Stats>, limit: u64) -> Self {
        Self {
            budget,
            stats,
            limit,
            held: 0,
            last: 0,
        }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.last = 0;
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let more = desired.saturating_sub(current) as u64;
        if self.held.saturating_add(more) > self.limit || !self.budget.take(more) {
            return Ok(false);
        }
        self.held += more;
        self.stats.memory(self.held);
        self.last = more;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.held -= self.last;
        self.budget.give(self.last);
        self.last = 0;
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS && maximum.is_none_or(|maximum| desired <= maximum))
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.budget.give(self.held);
    }
}
