//! Streaming puts into the local folder.

use std::io::Write;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::JoinHandle;

use super::Local;
use super::temp::TempFile;
use crate::Error;
use crate::store::key::Key;
use crate::store::{Meta, Mode, Upload};

/// Bytes collected before they are written: small chunks are not worth a change
/// of threads each. Twice this is the memory of an upload.
const BUFFER: usize = 1 << 20;

/// A temporary file being filled. One buffer is written while the next fills.
pub(super) struct FileUpload {
    local: Local,
    key: Key,
    mode: Mode,
    temp: Option<Arc<TempFile>>,
    buffer: Vec<u8>,
    writing: Option<JoinHandle<Result<(), Error>>>,
}

impl FileUpload {
    pub(super) fn new(local: Local, key: Key, mode: Mode, temp: TempFile) -> Self {
        Self {
            local,
            key,
            mode,
            temp: Some(Arc::new(temp)),
            buffer: Vec::new(),
            writing: None,
        }
    }

    /// Waits for the write under way.
    async fn settle(&mut self) -> Result<(), Error> {
        let Some(writing) = &mut self.writing else {
            return Ok(());
        };
        let written = writing.await;
        self.writing = None;
        let written = written.map_err(Error::from).and_then(|written| written);
        if written.is_err() {
            // There is a hole in it now.
            self.temp = None;
        }
        written
    }

    fn temp(&self) -> Result<&Arc<TempFile>, Error> {
        self.temp.as_ref().ok_or_else(|| {
            Error::internal(format!(
                "an earlier write of the upload to `{}` failed",
                self.key
            ))
        })
    }

    /// Starts writing the buffer.
    async fn flush(&mut self) -> Result<(), Error> {
        self.settle().await?;
        let temp = Arc::clone(self.temp()?);
        let key = self.key.clone();
        let buffer = std::mem::take(&mut self.buffer);
        self.writing = Some(lakehouse_trace::spawn_blocking(move || {
            let mut file = temp.file();
            file.write_all(&buffer)
                .map_err(|e| Error::io(format_args!("write `{key}`"), e))
        }));
        Ok(())
    }
}

#[async_trait]
impl Upload for FileUpload {
    async fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        self.temp()?;
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            if self.buffer.capacity() == 0 {
                self.buffer.reserve_exact(BUFFER);
            }
            let (now, later) = rest.split_at(rest.len().min(BUFFER - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            rest = later;
            if self.buffer.len() == BUFFER {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<Meta, Error> {
        if !self.buffer.is_empty() {
            self.flush().await?;
        }
        self.settle().await?;
        self.temp()?;
        let temp = self.temp.take().and_then(Arc::into_inner).ok_or_else(|| {
            Error::internal(format!(
                "the upload to `{}` is still being written",
                self.key
            ))
        })?;
        let (key, mode) = (self.key, self.mode);
        self.local
            .blocking(move |inner| inner.publish(&key, temp, &mode))
            .await
    }
}
