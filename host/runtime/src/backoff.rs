//! Leaving a plugin alone that does nothing but trap.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;

use crate::CallError;

/// Traps in a row before it is left alone.
const TRAPS: u32 = 10;
/// How long for at first. Each further trap doubles it.
const FIRST: Duration = Duration::from_secs(1);
/// How long for at most.
const LONGEST: Duration = Duration::from_secs(60);

/// A plugin that is left alone for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackoffStatus {
    /// Its traps in a row.
    pub traps: u32,
    /// The last of them.
    pub last: String,
    /// Milliseconds until it is tried again.
    pub retry_ms: u64,
}

/// The traps of one plugin since its last success.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    traps: AtomicU32,
    pause: Mutex<Option<Pause>>,
}

#[derive(Debug)]
struct Pause {
    until: Instant,
    last: String,
}

impl Backoff {
    /// Whether to try it.
    ///
    /// # Errors
    /// [`CallError::Unavailable`] while it is left alone.
    pub(crate) fn admit(&self) -> Result<(), CallError> {
        match self.status() {
            None => Ok(()),
            Some(status) => Err(CallError::Unavailable {
                reason: format!(
                    "it trapped {} times in a row and is left alone for now; the last trap: {}",
                    status.traps, status.last
                ),
                retry_after: Duration::from_millis(status.retry_ms),
            }),
        }
    }

    /// Whether, and for how long, it is left alone.
    pub(crate) fn status(&self) -> Option<BackoffStatus> {
        let traps = self.traps.load(Ordering::Relaxed);
        if traps < TRAPS {
            return None;
        }
        let pause = self.pause.lock();
        let pause = pause.as_ref()?;
        let left = pause.until.checked_duration_since(Instant::now())?;
        Some(BackoffStatus {
            traps,
            last: pause.last.clone(),
            retry_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1),
        })
    }

    /// It answered.
    pub(crate) fn succeeded(&self) {
        if self.traps.load(Ordering::Relaxed) != 0 {
            self.traps.store(0, Ordering::Relaxed);
        }
    }

    /// It trapped. Says for how long it is left alone, if it is from now on.
    pub(crate) fn trapped(&self, trap: &str) -> Option<Duration> {
        let traps = self.traps.fetch_add(1, Ordering::Relaxed) + 1;
        let doubled = traps.checked_sub(TRAPS)?;
        let wait = FIRST
            .saturating_mul(1_u32.checked_shl(doubled).unwrap_or(u32::MAX))
            .min(LONGEST);
        *self.pause.lock() = Some(Pause {
            until: Instant::now() + wait,
            last: trap.to_owned(),
        });
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traps_in_a_row_are_answered_with_longer_and_longer_rests() {
        let backoff = Backoff::default();
        for _ in 1..TRAPS {
            assert_eq!(backoff.trapped("oh"), None);
        }
        assert_eq!(backoff.admit(), Ok(()));
        assert_eq!(backoff.trapped("oh"), Some(FIRST));
        assert!(backoff.admit().is_err());
        assert_eq!(backoff.trapped("no"), Some(FIRST * 2));
        for _ in 0..40 {
            backoff.trapped("no");
        }
        assert_eq!(backoff.trapped("no"), Some(LONGEST));
        let status = backoff.status().unwrap();
        assert_eq!((status.traps, status.last.as_str()), (52, "no"));
    }

    #[test]
    fn one_success_makes_good() {
        let backoff = Backoff::default();
        for _ in 0..TRAPS {
            backoff.trapped("oh");
        }
        backoff.succeeded();
        assert_eq!(backoff.admit(), Ok(()));
        assert_eq!(backoff.trapped("oh"), None);
    }
}
