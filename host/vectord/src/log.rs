//! The write-ahead log of an index: numbered files of records.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::disk;
use crate::error::{Error, Result};
use crate::record::{self, Found, Write};
use crate::types::Durability;

/// The file that writes go to.
#[derive(Debug)]
pub(crate) struct Log {
    file: File,
    path: PathBuf,
    number: u64,
    /// Bytes of sound, flushed records.
    length: u64,
    /// Set when the file's state is unknown: no write is taken any more.
    broken: Option<String>,
}

/// Where a log file is.
pub(crate) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("log-{number}.bin"))
}

/// The number in a log file's name.
pub(crate) fn number(name: &str) -> Option<u64> {
    name.strip_prefix("log-")?
        .strip_suffix(".bin")?
        .parse()
        .ok()
}

impl Log {
    /// Makes a new, empty file, durably.
    pub fn create(folder: &Path, number: u64) -> Result<Self> {
        let path = path(folder, number);
        File::create(&path).map_err(|e| Error::io(&e, "making", &path))?;
        disk::sync_folder(folder)?;
        Self::open(folder, number)
    }

    /// Opens a file to append to, after [`Log::cut`] if it is not empty.
    pub fn open(folder: &Path, number: u64) -> Result<Self> {
        let path = path(folder, number);
        let file = OpenOptions::new().append(true).open(&path);
        Ok(Self {
            file: file.map_err(|e| Error::io(&e, "opening", &path))?,
            path,
            number,
            length: 0,
            broken: None,
        })
    }

    /// Keeps the first `length` bytes, which are sound, and cuts the rest.
    pub fn cut(&mut self, length: u64) -> Result<()> {
        self.length = length;
        let cut = || {
            if self.file.metadata()?.len() > length {
                self.file.set_len(length)?;
                self.file.sync_all()?;
            }
            Ok(())
        };
        cut().map_err(|e| Error::io(&e, "cutting the torn end of", &self.path))
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    /// Flushes what was appended.
    pub fn flush(&self) -> Result<()> {
        if let Some(why) = &self.broken {
            return Err(Error::internal(why.clone()));
        }
        self.file
            .sync_data()
            .map_err(|e| Error::io(&e, "flushing", &self.path))
    }

    /// Appends records and flushes them if so asked. On failure none of them
    /// stays.
    pub fn append(&mut self, records: &[u8], durability: Durability) -> Result<()> {
        if let Some(why) = &self.broken {
            return Err(Error::internal(why.clone()));
        }
        let written = self.file.write_all(records);
        let flushed = written.and_then(|()| match durability {
            Durability::Fsync => self.file.sync_data(),
            Durability::Os => Ok(()),
        });
        let Err(error) = flushed else {
            self.length += records.len() as u64;
            return Ok(());
        };
        let undone = self.file.set_len(self.length);
        if let Err(undo) = undone.and_then(|()| self.file.sync_all()) {
            self.broken = Some(format!(
                "{} takes no writes until a restart: appending failed ({error}) and could not be undone ({undo})",
                self.path.display()
            ));
        }
        Err(Error::io(&error, "appending to", &self.path))
    }
}

/// What reading a log file found.
pub(crate) struct Replayed {
    /// Bytes of sound records.
    pub sound: u64,
    /// Bytes of a torn end.
    pub dropped: u64,
    /// Number of the next write.
    pub next: u64,
}

/// Reads a log file's records in order, the first of which must be `next` or
/// earlier; those before `next` are skipped. A torn end, none of it
/// acknowledged, is left out with a warning; any other damage is an error.
/// All writes up to `acknowledged` are known to have been in this file or an
/// earlier one, if they are so many.
pub(crate) fn replay(
    path: &Path,
    dimension: usize,
    mut next: u64,
    acknowledged: u64,
    mut apply: impl FnMut(u64, Write),
) -> Result<Replayed> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(&e, "reading", path))?;
    let damaged = |at: usize, write: u64, why: &str| {
        Error::internal(format!(
            "{} is damaged: write {write}, which was acknowledged, should be at byte {at}: {why}",
            path.display()
        ))
    };
    let mut at = 0;
    while at < bytes.len() {
        match record::decode(&bytes[at..], dimension) {
            Found::Record {
                seq, write, length, ..
            } => {
                if seq > next {
                    return Err(damaged(at, next, &format!("write {seq} is there")));
                }
                if seq == next {
                    apply(seq, write);
                    next += 1;
                }
                at += length;
            }
            Found::Broken(why) => {
                if next <= acknowledged || acknowledged_after(&bytes[at + 1..], dimension, next) {
                    return Err(damaged(at, next, why));
                }
                tracing::warn!(
                    file = %path.display(),
                    at,
                    bytes = bytes.len() - at,
                    write = next,
                    "dropped the torn end of the log, which had not been flushed: {why}"
                );
                break;
            }
        }
    }
    Ok(Replayed {
        sound: at as u64,
        dropped: (bytes.len() - at) as u64,
        next,
    })
}

/// Whether a later record proves that write `lost` had been acknowledged.
fn acknowledged_after(bytes: &[u8], dimension: usize, lost: u64) -> bool {
    (0..bytes.len()).any(|at| {
        matches!(
            record::decode(&bytes[at..], dimension),
            Found::Record { durable, .. } if durable >= lost
        )
    })
}
