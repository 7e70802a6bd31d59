//! How many bytes of reads one plugin may have under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, Kind};

/// Bytes that all reads of one plugin, started and not finished, may hold.
const MAX_PENDING: u64 = 512 << 20;

/// Counts the bytes of a plugin's started reads.
#[derive(Debug, Default)]
pub(super) struct Budget(AtomicU64);

/// Gives its bytes back when dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    /// Takes `bytes`, or says that too much is under way.
    pub(super) fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, Error> {
        self.0
            .try_update(Ordering::AcqRel, Ordering::Acquire, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= MAX_PENDING)
            })
            .map_err(|used| {
                Error::new(
                    Kind::Exhausted,
                    format!(
                        "{used} bytes of reads are under way and {bytes} more do not fit in {MAX_PENDING}; finish some first"
                    ),
                )
            })?;
        Ok(Reservation {
            budget: Arc::clone(self),
            bytes,
        })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}
