//! Files for what does not fit into memory.
//!
//! The engine's own spill files read through a thread pool, which a component
//! does not have. These read and write directly: the scratch folder is local to
//! the host and a read takes as long as a memory copy while the page cache
//! holds.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use datafusion::common::human_readable_size;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::disk_manager::DiskManagerMode;
use datafusion::execution::spill_file::{SpillFile, SpillWriter, TempFileFactory};
use futures::Stream;
use futures::stream;

/// Bytes a read asks for. What is read is held until every batch in it is done.
const READ: usize = 128 * 1024;

/// Bytes collected before a write.
const WRITE: usize = 512 * 1024;

/// Makes spill files in one folder, up to a limit for all of them together.
#[derive(Debug)]
struct Scratch {
    folder: PathBuf,
    limit: u64,
    used: Arc<AtomicU64>,
    /// Tells the files of this instance from those of others in the folder.
    instance: u64,
    next: AtomicU64,
}

/// The disk manager mode that spills into `folder`, at most `limit` bytes at a
/// time.
#[must_use]
pub fn mode(folder: &Path, limit: u64) -> DiskManagerMode {
    DiskManagerMode::Custom(Arc::new(Scratch {
        folder: folder.to_owned(),
        limit,
        used: Arc::default(),
        instance: random(),
        next: AtomicU64::new(0),
    }))
}

fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

impl TempFileFactory for Scratch {
    fn create_temp_file(&self, description: &str) -> Result<Arc<dyn SpillFile>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self
            .folder
            .join(format!("spill-{:016x}-{number}", self.instance));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| {
                DataFusionError::ResourcesExhausted(format!(
                    "No memory left for {description}, and no file to spill into: {error}"
                ))
            })?;
        // Without a name the file goes away with the instance, however that ends.
        let name = match std::fs::remove_file(&path) {
            Ok(()) => None,
            Err(_) => Some(path),
        };
        Ok(Arc::new(Spill(Arc::new(Shared {
            file: Mutex::new(file),
            name,
            size: AtomicU64::new(0),
            used: Arc::clone(&self.used),
            limit: self.limit,
        }))))
    }
}

/// One file, as its readers and writers share it.
#[derive(Debug)]
struct Shared {
    file: Mutex<File>,
    /// Where the file is if it could not be unlinked while open.
    name: Option<PathBuf>,
    size: AtomicU64,
    used: Arc<AtomicU64>,
    limit: u64,
}

impl Shared {
    fn file(&self) -> io::Result<MutexGuard<'_, File>> {
        self.file
            .lock()
            .map_err(|_| io::Error::other("a spill file's lock is poisoned"))
    }

    fn read_at(&self, position: u64) -> io::Result<Vec<u8>> {
        let mut chunk = Vec::with_capacity(READ);
        let mut file = self.file()?;
        file.seek(SeekFrom::Start(position))?;
        (&mut *file).take(READ as u64).read_to_end(&mut chunk)?;
        Ok(chunk)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let length = bytes.len() as u64;
        let used = self.used.fetch_add(length, Ordering::Relaxed) + length;
        // What was reserved is given back when the file goes.
        let end = self.size.fetch_add(length, Ordering::Relaxed);
        if used > self.limit {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                format!(
                    "The query needs more than the {} that it may spill to disk",
                    human_readable_size(usize::try_from(self.limit).unwrap_or(usize::MAX))
                ),
            ));
        }
        let mut file = self.file()?;
        file.seek(SeekFrom::Start(end))?;
        file.write_all(bytes)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.used.fetch_sub(*self.size.get_mut(), Ordering::Relaxed);
        if let Some(name) = &self.name {
            // The host empties the folder when it starts.
            let _: io::Result<()> = std::fs::remove_file(name);
        }
    }
}

#[derive(Debug)]
struct Spill(Arc<Shared>);

impl SpillFile for Spill {
    fn size(&self) -> Option<u64> {
        Some(self.0.size.load(Ordering::Relaxed))
    }

    fn read_stream(&self) -> Result<Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>> {
        let start = (Arc::clone(&self.0), 0_u64);
        Ok(Box::pin(stream::try_unfold(
            start,
            |(shared, position)| async move {
                let chunk = shared.read_at(position)?;
                if chunk.is_empty() {
                    return Ok(None);
                }
                let next = position + chunk.len() as u64;
                Ok(Some((Bytes::from(chunk), (shared, next))))
            },
        )))
    }

    fn open_writer(&self) -> Result<Box<dyn SpillWriter>> {
        Ok(Box::new(Writer {
            shared: Arc::clone(&self.0),
            buffer: Vec::with_capacity(WRITE),
        }))
    }
}

/// Collects small writes.
struct Writer {
    shared: Arc<Shared>,
    buffer: Vec<u8>,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > WRITE {
            self.flush()?;
        }
        if bytes.len() >= WRITE {
            self.shared.append(bytes)?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.shared.append(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }
}

impl SpillWriter for Writer {
    fn finish(&mut self) -> Result<()> {
        Ok(self.flush()?)
    }
}
