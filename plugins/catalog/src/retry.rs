//! How a writer that lost its race waits before it tries again.

use std::time::Duration;

use lakehouse_sdk::catalog_export::TableName;
use lakehouse_sdk::types::Error;
use uuid::Uuid;

use crate::names;

/// Attempts before a writer gives up. The deadline of the request usually ends
/// it earlier.
const ATTEMPTS: u32 = 100;
/// Longest first pause; it doubles with each attempt.
const FIRST: Duration = Duration::from_millis(2);
/// Longest pause of all.
const LONGEST: Duration = Duration::from_millis(100);

/// Counts attempts.
#[derive(Debug, Default)]
pub struct Backoff {
    lost: u32,
}

impl Backoff {
    /// Waits a random while, longer each time, so that many writers of one
    /// table do not meet again and again.
    ///
    /// # Errors
    /// [`Error::Conflict`] after too many attempts.
    pub fn pause(&mut self, table: &TableName) -> Result<(), Error> {
        self.lost += 1;
        if self.lost >= ATTEMPTS {
            return Err(Error::Conflict(format!(
                "table {}: other writers were faster {ATTEMPTS} times; nothing was changed",
                names::display(table)
            )));
        }
        let longest = FIRST.saturating_mul(1 << self.lost.min(10)).min(LONGEST);
        let (random, _) = Uuid::new_v4().as_u64_pair();
        let share = (random >> 40) as f64 / (1_u64 << 24) as f64;
        std::thread::sleep(longest.mul_f64(share));
        Ok(())
    }
}
