//! A body on disk, for formats that need random access.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use lakehouse_sdk::types;
use uuid::Uuid;

use crate::fault::Fault;

/// Folder of the guest's scratch space.
const FOLDER: &str = "/tmp";

/// Bytes copied at a time.
const CHUNK: usize = 256 * 1024;

/// A file in the scratch folder, without a name there: however the instance ends, the
/// file ends with it.
#[derive(Debug)]
pub(crate) struct Spool {
    file: Mutex<File>,
    length: u64,
}

impl Spool {
    /// Copies a whole body to disk.
    pub(crate) fn fill(mut reader: impl Read) -> Result<Self, Fault> {
        let path = PathBuf::from(FOLDER).join(format!("ingest-{}", Uuid::new_v4()));
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path);
        let unusable =
            |error| types::Error::Internal(format!("the scratch space cannot be used: {error}"));
        let file = file.map_err(unusable)?;
        fs::remove_file(&path).map_err(unusable)?;
        let mut spool = Self {
            file: Mutex::new(file),
            length: 0,
        };
        let mut chunk = vec![0; CHUNK];
        loop {
            let length = reader.read(&mut chunk)?;
            if length == 0 {
                return Ok(spool);
            }
            let file = spool.file.get_mut().unwrap_or_else(PoisonError::into_inner);
            file.write_all(&chunk[..length])
                .map_err(|error| full(&error))?;
            spool.length += length as u64;
        }
    }

    /// Bytes in it.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Reads from `offset`; 0 bytes at the end of the file.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))?;
        file.read(buffer)
    }
}

/// What a failed write means. WASI says no more than "I/O" of a write that the
/// host could not finish, and on a disk that works that is a full one.
fn full(error: &io::Error) -> Fault {
    Fault::Host(types::Error::Exhausted(format!(
        "the scratch space does not take the whole body, it may be full: {error}"
    )))
}
