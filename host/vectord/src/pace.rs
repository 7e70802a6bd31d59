//! How long searches of an index take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::types::Query;

/// What is still over in a moment: about the time for which a thread that serves
/// connections can be spared.
const MOMENT: Duration = Duration::from_millis(1);
/// Candidates of the widest search that is expected to take as long as others.
const WIDTH: usize = 256;
/// How much of the mean one search makes up, as a shift.
const SHARE: u32 = 4;

/// A moving mean of the time of plain searches: without a filter, and not wide.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Nanoseconds; 0 until there was one.
    mean: AtomicU64,
}

impl Pace {
    /// Whether a search is of those that take alike.
    pub fn is_plain(query: &Query) -> bool {
        query.filter.is_none() && query.k.max(query.ef.unwrap_or(0)) <= WIDTH
    }

    /// Counts a plain search. Of two at the same time one may be lost.
    pub fn note(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        let mean = match self.mean.load(Ordering::Relaxed) {
            0 => took,
            mean => mean - (mean >> SHARE) + (took >> SHARE),
        };
        self.mean.store(mean.max(1), Ordering::Relaxed);
    }

    /// Whether the next plain search is likely to be over in a moment.
    pub fn is_quick(&self) -> bool {
        let mean = self.mean.load(Ordering::Relaxed);
        mean > 0 && Duration::from_nanos(mean) < MOMENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(k: usize, ef: Option<usize>) -> Query {
        Query {
            ef,
            ..Query::new([1.0], k)
        }
    }

    #[test]
    fn nothing_is_quick_before_it_was_seen_to_be() {
        let pace = Pace::default();
        assert!(!pace.is_quick());
        pace.note(Duration::from_micros(100));
        assert!(pace.is_quick());
    }

    #[test]
    fn searches_that_got_slow_are_not_quick_and_may_become_so_again() {
        let pace = Pace::default();
        pace.note(Duration::from_micros(100));
        pace.note(Duration::from_millis(100));
        assert!(!pace.is_quick());
        (0..100).for_each(|_| pace.note(Duration::from_micros(100)));
        assert!(pace.is_quick());
    }

    #[test]
    fn one_slow_search_among_many_changes_little() {
        let pace = Pace::default();
        (0..100).for_each(|_| pace.note(Duration::from_micros(100)));
        pace.note(Duration::from_millis(5));
        assert!(pace.is_quick());
    }

    #[test]
    fn wide_and_filtered_searches_are_not_plain() {
        assert!(Pace::is_plain(&query(10, None)));
        assert!(Pace::is_plain(&query(WIDTH, Some(WIDTH))));
        assert!(!Pace::is_plain(&query(WIDTH + 1, None)));
        assert!(!Pace::is_plain(&query(10, Some(WIDTH + 1))));
        let filter = Some(r#"{"a": 1}"#.parse().unwrap());
        assert!(!Pace::is_plain(&Query {
            filter,
            ..query(10, None)
        }));
    }
}
