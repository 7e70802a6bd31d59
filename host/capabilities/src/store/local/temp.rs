//! Files that are being written and that nobody can see yet.
//!
//! Each process has a folder of its own under `<root>/.lakehouse~tmp`, which it
//! holds by a lock on a file inside. The next process to open the store removes
//! the folders whose lock nobody holds: those of processes that died.

use std::fs::{self, File, FileTimes};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::names;
use crate::Error;

/// The file whose lock says that a folder's process lives.
const HELD: &str = "held";
/// The file whose lock is held while folders are removed or made.
const GATE: &str = "gate";

/// The process's folder of unfinished files.
#[derive(Debug)]
pub(super) struct TempFolder {
    path: PathBuf,
    next: AtomicU64,
    /// Keeps the folder ours for as long as the process lives.
    _held: File,
}

impl TempFolder {
    /// Makes the folder, and removes those of processes that died.
    pub(super) fn open(root: &Path) -> Result<Self, Error> {
        let all = root.join(names::TEMP);
        fs::create_dir_all(&all)
            .map_err(|e| Error::io(format_args!("make folder `{}`", all.display()), e))?;
        let gate = all.join(GATE);
        let _gate = locked(&gate)?;
        remove_abandoned(&all)?;
        // The process id alone could be that of a process on another host or in
        // another container that shares the folder.
        let path = (0_u64..)
            .map(|n| all.join(format!("{}-{:x}-{n}", std::process::id(), unique_nanos())))
            .find_map(|path| match fs::create_dir(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => None,
                made => Some(made.map(|()| path)),
            })
            .unwrap_or_else(|| Err(io::ErrorKind::AlreadyExists.into()))
            .map_err(|e| Error::io(format_args!("make a folder in `{}`", all.display()), e))?;
        let held = locked(&path.join(HELD))?;
        Ok(Self {
            path,
            next: AtomicU64::new(0),
            _held: held,
        })
    }

    /// A new empty file.
    pub(super) fn file(&self) -> Result<TempFile, Error> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.path.join(number.to_string());
        let file = File::options()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|e| Error::io("make a temporary file", e))?;
        Ok(TempFile {
            path,
            file,
            placed: false,
        })
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        // Uploads may outlive the store by a moment; they clean up themselves.
        let _ = fs::remove_file(self.path.join(HELD));
        let _ = fs::remove_dir(&self.path);
    }
}

/// Makes a file and waits for its lock.
fn locked(path: &Path) -> Result<File, Error> {
    File::create(path)
        .and_then(|file| file.lock().map(|()| file))
        .map_err(|e| Error::io(format_args!("lock `{}`", path.display()), e))
}

/// The caller holds the gate, so that every folder here is locked by its
/// process or has none.
fn remove_abandoned(all: &Path) -> Result<(), Error> {
    let reading = |e| Error::io(format_args!("read folder `{}`", all.display()), e);
    for entry in fs::read_dir(all).map_err(reading)? {
        let path = entry.map_err(reading)?.path();
        if !path.is_dir() {
            continue;
        }
        let alive = File::options()
            .write(true)
            .open(path.join(HELD))
            .is_ok_and(|file| file.try_lock().is_err());
        if !alive {
            tracing::info!(folder = %path.display(), "removing what a stopped process left unfinished");
            if let Err(error) = fs::remove_dir_all(&path) {
                tracing::warn!(folder = %path.display(), %error, "cannot remove unfinished files");
            }
        }
    }
    Ok(())
}

/// A file that is removed when dropped, unless it was put in its place.
#[derive(Debug)]
pub(super) struct TempFile {
    path: PathBuf,
    file: File,
    placed: bool,
}

impl TempFile {
    /// The open file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes all to disk, with a modification time that no other put of this
    /// process has: ETags are made of it.
    pub(super) fn seal(&self) -> io::Result<fs::Metadata> {
        let modified = UNIX_EPOCH + Duration::from_nanos(unique_nanos());
        self.file
            .set_times(FileTimes::new().set_modified(modified))?;
        self.file.sync_all()?;
        self.file.metadata()
    }

    /// The file has its final name, and the temporary one is gone.
    pub(super) fn placed(mut self) {
        self.placed = true;
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.placed
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(file = %self.path.display(), %error, "cannot remove a temporary file");
        }
    }
}

/// Nanoseconds since the epoch, never the same twice in a process.
fn unique_nanos() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(0));
    let mut unique = now;
    let _ = LAST.try_update(Ordering::AcqRel, Ordering::Acquire, |last| {
        unique = now.max(last + 1);
        Some(unique)
    });
    unique
}
