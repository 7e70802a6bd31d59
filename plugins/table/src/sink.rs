//! Where the bytes of data files go.

use std::io;

use lakehouse_sdk::{store, types};

/// Bytes gathered before they cross into the host.
const CHUNK: usize = 1 << 20;

/// Makes and removes files. [`StoreFiles`] everywhere but in tests.
pub trait Files {
    /// Starts a new file; nothing is visible before [`FileSink::finish`].
    fn create(&mut self, key: &str) -> Result<Box<dyn FileSink>, types::Error>;
    /// Removes a finished file.
    fn delete(&mut self, key: &str) -> Result<(), types::Error>;
}

/// One file being written. Dropping it leaves nothing behind.
pub trait FileSink: Send {
    /// Appends bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<(), types::Error>;
    /// Makes the file visible, durably; returns its size in bytes.
    fn finish(self: Box<Self>) -> Result<u64, types::Error>;
}

/// Files as objects of the host's store.
#[derive(Debug, Default, Clone, Copy)]
pub struct StoreFiles;

impl Files for StoreFiles {
    fn create(&mut self, key: &str) -> Result<Box<dyn FileSink>, types::Error> {
        // Keys hold a fresh UUID, so `create` only guards against a broken random source.
        let upload = store::start_upload(key, &store::PutMode::Create)?;
        Ok(Box::new(StoreFile(upload)))
    }

    fn delete(&mut self, key: &str) -> Result<(), types::Error> {
        store::delete(key)
    }
}

struct StoreFile(store::Upload);

impl FileSink for StoreFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), types::Error> {
        self.0.write(bytes)
    }

    fn finish(self: Box<Self>) -> Result<u64, types::Error> {
        Ok(self.0.finish()?.size)
    }
}

/// Lets the Parquet writer fill a [`FileSink`] in large chunks and keeps the
/// store's own error, which `std::io::Error` cannot carry through Parquet's.
pub(crate) struct ChunkedWriter {
    /// None once finished.
    sink: Option<Box<dyn FileSink>>,
    chunk: Vec<u8>,
    error: Option<types::Error>,
}

impl ChunkedWriter {
    pub(crate) fn new(sink: Box<dyn FileSink>) -> Self {
        Self {
            sink: Some(sink),
            chunk: Vec::with_capacity(CHUNK),
            error: None,
        }
    }

    /// What made the last write fail.
    pub(crate) fn take_error(&mut self) -> Option<types::Error> {
        self.error.take()
    }

    /// Writes what is left and makes the file visible; returns its size in bytes.
    pub(crate) fn finish(&mut self) -> Result<u64, types::Error> {
        self.send()?;
        let sink = self.sink.take().ok_or_else(finished)?;
        sink.finish()
    }

    fn send(&mut self) -> Result<(), types::Error> {
        let sink = self.sink.as_mut().ok_or_else(finished)?;
        if !self.chunk.is_empty() {
            sink.write(&self.chunk)?;
            self.chunk.clear();
        }
        Ok(())
    }
}

impl io::Write for ChunkedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chunk.len() == CHUNK {
            self.send().map_err(|error| {
                // One failure ends the file: nothing more may be written to it.
                self.sink = None;
                self.error = Some(error);
                io::Error::other("the store refused the write")
            })?;
        }
        let taken = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// Keeps gathering: the Parquet writer flushes after every row group, and
    /// nothing is visible before [`Self::finish`] anyhow.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn finished() -> types::Error {
    types::Error::Internal("the data file is closed already".to_owned())
}
