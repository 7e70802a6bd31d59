//! Locks by key, between the threads of this process and between processes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::names;
use crate::Error;
use crate::store::key::Key;

/// Lock files; keys share them by their hash. Part of the folder's format: all
/// processes that share a folder must agree on it.
const STRIPES: u64 = 256;

/// The folder of lock files.
#[derive(Debug)]
pub(super) struct Locks {
    path: PathBuf,
}

impl Locks {
    pub(super) fn open(root: &Path) -> Result<Self, Error> {
        let path = root.join(names::LOCK);
        fs::create_dir_all(&path)
            .map_err(|e| Error::io(format_args!("make folder `{}`", path.display()), e))?;
        Ok(Self { path })
    }

    /// Waits for the lock of a key; dropping the file releases it. Each call
    /// opens the file anew, because a lock belongs to the open file: that is
    /// what makes it hold between threads too.
    pub(super) fn lock(&self, key: &Key) -> Result<File, Error> {
        let path = self
            .path
            .join(format!("{:02x}", fnv1a(key.as_str()) % STRIPES));
        File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|e| Error::io(format_args!("lock `{}`", path.display()), e))
    }
}

/// FNV-1a, 64 bits: the same in every build, as `std`'s hashers need not be.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
