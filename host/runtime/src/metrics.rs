//! What is counted of each plugin.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::StatusCode;
use serde::Serialize;

use crate::trap;

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

/// Classes of an answer's status, by which requests are counted.
pub const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What was counted of one plugin since it was first loaded.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PluginMetrics {
    /// The plugin.
    pub plugin: String,
    /// The generation of it that serves; 0 if none does.
    pub generation: u64,
    /// HTTP requests accepted.
    pub requests: u64,
    /// Typed calls accepted.
    pub calls: u64,
    /// HTTP requests by [class](STATUS_CLASSES) of the answer's status. One that the
    /// plugin failed, or had no place for, is answered in its stead with 5xx.
    pub answers: [u64; STATUS_CLASSES.len()],
    /// Requests and calls that ended in a trap.
    pub traps: u64,
    /// The same by what the trap was about.
    pub trap_kinds: Vec<(&'static str, u64)>,
    /// Those that ended at their deadline.
    pub timeouts: u64,
    /// Those turned away because all instances were busy.
    pub rejected: u64,
    /// Requests whose caller went away before the end.
    pub cancelled: u64,
    /// Requests and calls that run or wait now.
    pub in_flight: u64,
    /// Requests and calls that wait now.
    pub waiting: u64,
    /// Requests and calls that had to wait.
    pub waits: u64,
    /// Seconds that they waited, together.
    pub waited: f64,
    /// Instances that exist now, working and idle.
    pub instances: u64,
    /// Those that work.
    pub busy: u64,
    /// Instances made.
    pub instantiations: u64,
    /// The most bytes of linear memory that one instance ever held.
    pub memory_peak: u64,
    /// Seconds of processor time that guests computed.
    pub cpu_seconds: f64,
    /// Whether it is left alone for now, because it kept trapping.
    pub backing_off: bool,
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
    answers: [AtomicU64; STATUS_CLASSES.len()],
    traps: [AtomicU64; trap::Kind::ALL.len()],
    timeouts: AtomicU64,
    rejected: AtomicU64,
    cancelled: AtomicU64,
    waits: AtomicU64,
    waited: AtomicU64,
    instances: AtomicU64,
    busy: AtomicU64,
    memory_peak: AtomicU64,
    instantiations: AtomicU64,
    computed: AtomicU64,
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

    /// Counts an answer; none is one that had to be made in the plugin's stead.
    pub(crate) fn answered(&self, status: Option<StatusCode>) {
        let status = status.unwrap_or(StatusCode::BAD_GATEWAY);
        let class = usize::from(status.as_u16() / 100).clamp(1, STATUS_CLASSES.len()) - 1;
        self.answers[class].fetch_add(1, Relaxed);
    }

    pub(crate) fn trap(&self, kind: trap::Kind) {
        self.traps[kind as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn waited(&self, time: Duration) {
        self.waits.fetch_add(1, Relaxed);
        self.waited.fetch_add(nanoseconds(time), Relaxed);
    }

    /// An instance works until what this returns is dropped.
    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Relaxed);
        Busy(Arc::clone(self))
    }

    /// An instance holds so many bytes now.
    pub(crate) fn memory(&self, held: u64) {
        self.memory_peak.fetch_max(held, Relaxed);
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

    pub(crate) fn computed(&self, time: Duration) {
        self.computed.fetch_add(nanoseconds(time), Relaxed);
    }

    pub(crate) fn finished(&self, took: Duration) {
        let nanoseconds = nanoseconds(took);
        self.nanoseconds.fetch_add(nanoseconds, Relaxed);
        let bucket = BOUNDS.partition_point(|bound| *bound < nanoseconds);
        self.buckets[bucket].fetch_add(1, Relaxed);
    }

    /// What was counted, of a plugin with so many requests and calls under way, and so
    /// many of these waiting.
    pub(crate) fn read(
        &self,
        plugin: &str,
        in_flight: u64,
        waiting: u64,
        backing_off: bool,
    ) -> PluginMetrics {
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
        let trap_kinds = trap::Kind::ALL
            .map(|kind| (kind.word(), self.traps[kind as usize].load(Relaxed)))
            .to_vec();
        PluginMetrics {
            plugin: plugin.to_owned(),
            generation: 0,
            requests: self.requests.load(Relaxed),
            calls: self.calls.load(Relaxed),
            answers: std::array::from_fn(|class| self.answers[class].load(Relaxed)),
            traps: trap_kinds.iter().map(|(_, count)| count).sum(),
            trap_kinds,
            timeouts: self.timeouts.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            cancelled: self.cancelled.load(Relaxed),
            in_flight,
            waiting,
            waits: self.waits.load(Relaxed),
            waited: Duration::from_nanos(self.waited.load(Relaxed)).as_secs_f64(),
            busy: self.busy.load(Relaxed),
            instances: self.instances.load(Relaxed),
            instantiations: self.instantiations.load(Relaxed),
            memory_peak: self.memory_peak.load(Relaxed),
            cpu_seconds: seconds(&self.computed),
            backing_off,
            latency_sum: seconds(&self.nanoseconds),
            latency_count: count,
            latency_buckets,
        }
    }
}

/// An instance at work.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Stats>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Relaxed);
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn seconds(nanoseconds: &AtomicU64) -> f64 {
    Duration::from_nanos(nanoseconds.load(Relaxed)).as_secs_f64()
}
