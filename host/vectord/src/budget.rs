//! How much memory indexes may hold.
//!
//! Counted is what lies in memory alone: rows that are in no segment file
//! yet, what finds rows by id, and what notes their deaths. Segment files are
//! mapped: the system keeps of them in memory what there is room for.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, ErrorKind, Result};
use crate::types::Item;

/// Bytes beside its vector, id and metadata that a row in memory takes.
const ROW: usize = 116;

/// The bounds of one service, and what its indexes hold.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Of all indexes together, in bytes.
    all: u64,
    /// Of one index.
    index: u64,
    held: AtomicU64,
}

/// What one index holds.
#[derive(Debug, Default)]
pub(crate) struct Held(AtomicU64);

impl Held {
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Budget {
    pub fn new(all: Option<u64>, index: Option<u64>) -> Self {
        Self {
            all: all.unwrap_or(u64::MAX),
            index: index.unwrap_or(u64::MAX),
            held: AtomicU64::new(0),
        }
    }

    /// What all indexes hold.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// The tighter of the bounds.
    pub fn bound(&self) -> u64 {
        self.all.min(self.index)
    }

    /// Notes what an index holds from now on.
    pub fn note(&self, held: &Held, bytes: u64) {
        let before = held.0.swap(bytes, Ordering::Relaxed);
        self.held.fetch_add(bytes, Ordering::Relaxed);
        self.held.fetch_sub(before, Ordering::Relaxed);
    }

    /// Whether rows of so many bytes that are in the log alone should be
    /// sealed, for the room that this makes.
    pub fn presses(&self, bytes: u64) -> bool {
        let pressed = self.held() >= self.all / 2;
        bytes >= self.bound() / 4 || (pressed && bytes >= self.all / 64)
    }

    /// Whether an index may hold so many bytes more.
    pub fn admit(&self, index: &str, held: &Held, more: u64) -> Result<()> {
        let refuse = |whose: &str, holds: u64, bound: u64, key: &str| {
            Error::new(
                ErrorKind::Exhausted,
                format!(
                    "{whose} in memory {holds} bytes, and these items take about {more}; at most {bound} are allowed ({key}): try again when rows were sealed into files, or raise it"
                ),
            )
        };
        let one = held.get();
        if one.saturating_add(more) > self.index {
            let whose = format!("index {index} holds");
            return Err(refuse(&whose, one, self.index, "vectors.index_memory"));
        }
        let all = self.held();
        if all.saturating_add(more) > self.all {
            return Err(refuse("the indexes hold", all, self.all, "vectors.memory"));
        }
        Ok(())
    }
}

/// Bytes that items will take, about.
pub(crate) fn estimate(items: &[Item], stride: usize) -> u64 {
    let texts = |item: &Item| item.id.len() + item.metadata.as_ref().map_or(0, String::len);
    let bytes = items.iter().map(|item| texts(item) + stride * 4 + ROW);
    bytes.sum::<usize>() as u64
}
