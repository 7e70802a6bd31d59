//! The memory limit of an instance, and that of all instances together.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use wasmtime::ResourceLimiter;

use crate::metrics::Stats;
use crate::{Limits, RuntimeConfig};

/// Elements that one table of a guest may have, whatever it is allowed.
pub(crate) const TABLE_ELEMENTS: usize = 1 << 17;

/// Has idle instances to give up when room gets scarce.
pub(crate) trait Idle: Send + Sync {
    /// Drops all of them. Says whether there was any.
    fn evict(&self) -> bool;
}

/// The instances there are, and their memory together.
pub(crate) struct Budget {
    used: AtomicU64,
    limit: u64,
    instances: AtomicU32,
    most: u32,
    idle: Mutex<Vec<Weak<dyn Idle>>>,
}

impl Budget {
    pub(crate) fn new(config: &RuntimeConfig) -> Self {
        Self {
            used: AtomicU64::new(0),
            limit: config.total_memory,
            instances: AtomicU32::new(0),
            most: config.instances,
            idle: Mutex::default(),
        }
    }

    /// Makes idle instances known, which go first when there is no room.
    pub(crate) fn register(&self, idle: Weak<dyn Idle>) {
        let mut all = self.idle.lock();
        all.retain(|idle| idle.strong_count() > 0);
        all.push(idle);
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes the place of one instance, which [`Budget::leave`] frees.
    ///
    /// # Errors
    /// A text for people if there is none.
    pub(crate) fn enter(&self) -> Result<(), String> {
        let enters = || {
            let before = self.instances.fetch_add(1, Ordering::Relaxed);
            let fits = before < self.most;
            if !fits {
                self.leave();
            }
            fits
        };
        if self.or_evict(enters) {
            Ok(())
        } else {
            let most = self.most;
            Err(format!("all of `runtime.instances` ({most}) are in use"))
        }
    }

    pub(crate) fn leave(&self) {
        self.instances.fetch_sub(1, Ordering::Relaxed);
    }

    fn take(&self, bytes: u64) -> bool {
        self.or_evict(|| {
            let before = self.used.fetch_add(bytes, Ordering::Relaxed);
            let fits = before.saturating_add(bytes) <= self.limit;
            if !fits {
                self.give(bytes);
            }
            fits
        })
    }

    /// Tries again after each plugin that gave up its idle instances.
    fn or_evict(&self, fits: impl Fn() -> bool) -> bool {
        if fits() {
            return true;
        }
        let idle = self.idle.lock().clone();
        idle.iter()
            .filter_map(Weak::upgrade)
            .any(|idle| idle.evict() && fits())
    }

    fn give(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Why an instance got no more memory or table elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Memory(u64),
    TotalMemory(u64),
    TableElements(usize),
}

/// Counts what one instance holds, against its own limits and the shared budget.
pub(crate) struct Limiter {
    budget: Arc<Budget>,
    stats: Arc<Stats>,
    limit: u64,
    held: u64,
    /// The growth allowed last: handed back if it then fails.
    last: u64,
    table_limit: usize,
    table_held: usize,
    refusal: Option<Refusal>,
}

impl Limiter {
    pub(crate) fn new(budget: Arc<Budget>, stats: Arc<Stats>, limits: &Limits) -> Self {
        Self {
            budget,
            stats,
            limit: limits.memory,
            held: 0,
            last: 0,
            table_limit: limits.table_elements,
            table_held: 0,
            refusal: None,
        }
    }

    /// The limit that the guest met last, for people.
    pub(crate) fn refusal(&self) -> Option<String> {
        Some(match self.refusal? {
            Refusal::Memory(limit) => format!("`memory` of {limit} bytes was used up"),
            Refusal::TotalMemory(limit) => {
                format!("`runtime.total_memory` of {limit} bytes was used up")
            }
            Refusal::TableElements(limit) => format!("`table_elements` of {limit} were used up"),
        })
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
        if self.held.saturating_add(more) > self.limit {
            self.refusal = Some(Refusal::Memory(self.limit));
            return Ok(false);
        }
        if !self.budget.take(more) {
            self.refusal = Some(Refusal::TotalMemory(self.budget.limit));
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
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS || maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let held = self.table_held + desired.saturating_sub(current);
        if held > self.table_limit {
            self.refusal = Some(Refusal::TableElements(self.table_limit));
            return Ok(false);
        }
        self.table_held = held;
        Ok(true)
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.budget.give(self.held);
    }
}
