//! What is counted of each plugin.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::Serialize;

/// Upper bounds of the latency histogram, in seconds.
pub const LATENCY_BUCKETS: [f64; 14] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];

/// The same in nanoseconds.
const BOUNDS: [u64; LATENCY_BUCKETS.len()] = [
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
    60_000_000_000,
];

/// What was counted of one plugin since it was first loaded.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PluginMetrics {
    /// The plugin.
    pub plugin: String,
    /// HTTP requests accepted.
    pub requests: u64,
    /// Typed calls accepted.
    pub calls: u64,
    /// Requests and calls that ended in a trap.
    pub traps: u64,
    /// Those that ended at their deadline.
    pub timeouts: u64,
    /// Those turned away because all instances were busy.
    pub rejected: u64,
    /// Requests whose caller went away before the end.
    pub cancelled: u64,
    /// Requests and calls that run or wait now.
    pub in_flight: u64,
    /// Instances that exist now, working and idle.
    pub instances: u64,
    /// Instances made.
    pub instantiations: u64,
    /// Seconds of all finished HTTP requests, from arrival to the end of the body.
    pub latency_sum: f64,
    /// Finished HTTP requests.
    pub latency_count: u64,
    /// Finished HTTP requests at or below each of [`LATENCY_BUCKETS`], cumulative.
    pub latency_buckets: Vec<u64>,
}

/// The counters behind [`PluginMetrics`].
#[derive(Debug, Default)]
pub(crate) struct Stats {
    requests: AtomicU64,
    calls: AtomicU64,
    traps: AtomicU64,
    timeouts: AtomicU64,
    rejected: AtomicU64,
    cancelled: AtomicU64,
    instances: AtomicU64,
    instantiations: AtomicU64,
    nanoseconds: AtomicU64,
    buckets: [AtomicU64; LATENCY_BUCKETS.len() + 1],
}

impl Stats {
    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(crate) fn call(&self) {
        self.calls.fetch_add(1, Relaxed);
    }

    pub(crate) fn trap(&self) {
        self.traps.fetch_add(1, Relaxed);
    }

    pub(crate) fn timeout(&self) {
        self.timeouts.fetch_add(1, Relaxed);
    }

    pub(crate) fn rejected(&self) {
        self.rejected.fetch_add(1, Relaxed);
    }

    pub(crate) fn cancelled(&self) {
        self.cancelled.fetch_add(1, Relaxed);
    }

    pub(crate) fn instance_made(&self) {
        self.instances.fetch_add(1, Relaxed);
        self.instantiations.fetch_add(1, Relaxed);
    }

    pub(crate) fn instance_gone(&self) {
        self.instances.fetch_sub(1, Relaxed);
    }

    pub(crate) fn finished(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Relaxed);
        let bucket = BOUNDS.partition_point(|bound| *bound < nanoseconds);
        self.buckets[bucket].fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self, plugin: &str, in_flight: u64) -> PluginMetrics {
        let mut count = 0;
        let mut latency_buckets: Vec<u64> = self
            .buckets
            .iter()
            .map(|bucket| {
                count += bucket.load(Relaxed);
                count
            })
            .collect();
        latency_buckets.truncate(LATENCY_BUCKETS.len());
        PluginMetrics {
            plugin: plugin.to_owned(),
            requests: self.requests.load(Relaxed),
            calls: self.calls.load(Relaxed),
            traps: self.traps.load(Relaxed),
            timeouts: self.timeouts.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            cancelled: self.cancelled.load(Relaxed),
            in_flight,
            instances: self.instances.load(Relaxed),
            instantiations: self.instantiations.load(Relaxed),
            latency_sum: Duration::from_nanos(self.nanoseconds.load(Relaxed)).as_secs_f64(),
            latency_count: count,
            latency_buckets,
        }
    }
}
