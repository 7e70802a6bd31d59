//! Answers by class of status, and how long they took.
//!
//! Each thread has counters of its own. Two that wrote to the same ones would take them
//! from each other's cache with every request, which takes longer than counting.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::StatusCode;
use serde::Serialize;
use thread_local::ThreadLocal;

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

/// What was counted of answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct AnswerMetrics {
    /// Answers by [class](STATUS_CLASSES) of their status.
    pub classes: [u64; STATUS_CLASSES.len()],
    /// Seconds that they took, together.
    pub seconds: f64,
    /// How many were timed.
    pub count: u64,
    /// Those that took no longer than each of [`LATENCY_BUCKETS`], cumulative.
    pub buckets: [u64; LATENCY_BUCKETS.len()],
}

/// Counts answers.
#[derive(Debug, Default)]
pub struct Answers(ThreadLocal<Counts>);

/// Those that one thread counted, on cache lines that no other writes to.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counts {
    classes: [AtomicU64; STATUS_CLASSES.len()],
    nanoseconds: AtomicU64,
    /// The last is of those beyond all bounds.
    buckets: [AtomicU64; LATENCY_BUCKETS.len() + 1],
}

impl Answers {
    /// Counts an answer of this status.
    pub fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, STATUS_CLASSES.len()) - 1;
        self.0.get_or_default().classes[class].fetch_add(1, Relaxed);
    }

    /// Notes how long an answer took.
    pub fn took(&self, time: Duration) {
        let nanoseconds = nanoseconds(time);
        let bucket = BOUNDS.partition_point(|bound| *bound < nanoseconds);
        let counts = self.0.get_or_default();
        counts.nanoseconds.fetch_add(nanoseconds, Relaxed);
        counts.buckets[bucket].fetch_add(1, Relaxed);
    }

    /// What all threads counted.
    #[must_use]
    pub fn read(&self) -> AnswerMetrics {
        let mut metrics = AnswerMetrics::default();
        let mut nanoseconds = 0;
        for counts in &self.0 {
            for (class, counted) in metrics.classes.iter_mut().zip(&counts.classes) {
                *class += counted.load(Relaxed);
            }
            let mut count = 0;
            for (at, counted) in counts.buckets.iter().enumerate() {
                count += counted.load(Relaxed);
                if let Some(bucket) = metrics.buckets.get_mut(at) {
                    *bucket += count;
                }
            }
            metrics.count += count;
            nanoseconds += counts.nanoseconds.load(Relaxed);
        }
        metrics.seconds = Duration::from_nanos(nanoseconds).as_secs_f64();
        metrics
    }
}

pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_any_thread_counted_is_counted() {
        let answers = Answers::default();
        std::thread::scope(|scope| {
            for millis in [1, 2, 100_000] {
                let answers = &answers;
                scope.spawn(move || {
                    answers.answered(StatusCode::OK);
                    answers.took(Duration::from_millis(millis));
                });
            }
        });
        answers.answered(StatusCode::BAD_GATEWAY);
        let metrics = answers.read();
        assert_eq!(metrics.classes, [0, 3, 0, 0, 1]);
        assert_eq!((metrics.count, metrics.seconds), (3, 100.003));
        // A bound is part of its bucket.
        assert_eq!(metrics.buckets, [0, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]);
    }
}
