//! Files that may change.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: SystemTime,
}

impl Stamp {
    /// Of a file's metadata.
    ///
    /// # Errors
    /// Where the system does not know when it was modified.
    pub fn of(file: &Metadata) -> io::Result<Self> {
        Ok(Self {
            device: file.dev(),
            inode: file.ino(),
            size: file.len(),
            modified: file.modified()?,
        })
    }

    /// How long ago the file was modified; no time where that is yet to come.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.modified.elapsed().unwrap_or_default()
    }
}
