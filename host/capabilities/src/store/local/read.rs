//! Reading files of the local folder.
//!
//! What is in the page cache is read at once, on the thread that asks: a change
//! of threads costs more than the copy. Only what is not there goes to the pool
//! of blocking threads. Linux says which is which (`RWF_NOWAIT`).

use std::fs::File;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::io::{Errno, pread};

use crate::store::key::Key;
use crate::store::{CHUNK, ChunkReader, Span};
use crate::{Error, Kind};

/// Bytes that one call may copy on the thread that asks, which others share.
const AT_ONCE: u64 = 1 << 20;

/// Reads spans that lie within the file.
pub(super) async fn spans(file: File, spans: Vec<Span>, key: &Key) -> Result<Vec<Vec<u8>>, Error> {
    let mut read = Vec::with_capacity(spans.len());
    if spans.iter().map(|span| span.length).sum::<u64>() <= AT_ONCE {
        for span in &spans {
            match cached(&file, *span) {
                Some(bytes) => read.push(bytes),
                None => break,
            }
        }
    }
    if read.len() == spans.len() {
        return Ok(read);
    }
    let key = key.clone();
    lakehouse_trace::spawn_blocking(move || {
        for span in &spans[read.len()..] {
            read.push(exactly(&file, *span, &key)?);
        }
        Ok(read)
    })
    .await?
}

/// A file being read from front to back.
pub(super) struct FileReader {
    file: Arc<File>,
    rest: Span,
    key: Key,
}

impl FileReader {
    pub(super) fn new(file: File, span: Span, key: Key) -> Self {
        Self {
            file: Arc::new(file),
            rest: span,
            key,
        }
    }
}

#[async_trait]
impl ChunkReader for FileReader {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.rest.length == 0 {
            return Ok(None);
        }
        let length = self.rest.length.min(CHUNK as u64);
        let span = Span {
            offset: self.rest.offset,
            length,
        };
        self.rest.offset += length;
        self.rest.length -= length;
        let chunk = match cached(&self.file, span) {
            Some(chunk) => chunk,
            None => {
                let (file, key) = (Arc::clone(&self.file), self.key.clone());
                lakehouse_trace::spawn_blocking(move || exactly(&file, span, &key)).await??
            }
        };
        Ok(Some(chunk.into()))
    }
}

/// The span, if all of it can be had without waiting for a disk.
#[cfg(target_os = "linux")]
fn cached(file: &File, span: Span) -> Option<Vec<u8>> {
    use rustix::io::{ReadWriteFlags, preadv2};
    let mut bytes = vec![0; usize::try_from(span.length).ok()?];
    let mut filled = 0;
    while filled < bytes.len() {
        let read = preadv2(
            file,
            &mut [io::IoSliceMut::new(&mut bytes[filled..])],
            span.offset + filled as u64,
            ReadWriteFlags::NOWAIT,
        );
        // Not cached, not known to this file system, or cut short by someone:
        // the blocking read tells which.
        match read {
            Ok(0) | Err(_) => return None,
            Ok(count) => filled += count,
        }
    }
    Some(bytes)
}

#[cfg(not(target_os = "linux"))]
fn cached(_file: &File, _span: Span) -> Option<Vec<u8>> {
    None
}

/// The span, waiting for it. The buffer is not zeroed first: that would go over
/// every page of it once more.
fn exactly(file: &File, span: Span, key: &Key) -> Result<Vec<u8>, Error> {
    let reading = |e: io::Error| Error::io(format_args!("read `{key}`"), e);
    let length = usize::try_from(span.length).map_err(|e| reading(io::Error::other(e)))?;
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(length)
        .map_err(|_| reading(io::ErrorKind::OutOfMemory.into()))?;
    while bytes.len() < length {
        let offset = span.offset + bytes.len() as u64;
        match pread(file, spare_capacity(&mut bytes), offset) {
            Ok(0) => {
                return Err(Error::new(
                    Kind::Conflict,
                    format!("`{key}` was cut short while it was read"),
                ));
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(reading(e.into())),
        }
    }
    // The buffer may have been given more room than asked for.
    bytes.truncate(length);
    Ok(bytes)
}
