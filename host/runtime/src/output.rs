//! A guest's standard output and error, line by line into the log.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::plugin::Shared;

/// Bytes of a line; a longer one is logged in pieces.
const LINE: usize = 4096;
/// Bytes taken of the guest at once.
const CHUNK: usize = 64 << 10;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// What all handles of one stream of one instance write into.
struct Lines {
    plugin: Arc<Shared>,
    stream: Stream,
    partial: Mutex<Vec<u8>>,
}

impl Lines {
    fn write(&self, mut bytes: &[u8]) {
        let mut partial = self.partial.lock();
        while !bytes.is_empty() {
            let room = LINE - partial.len();
            let end = bytes.iter().take(room).position(|byte| *byte == b'\n');
            let (line, rest) = match end {
                Some(end) => (&bytes[..end], &bytes[end + 1..]),
                None => bytes.split_at(room.min(bytes.len())),
            };
            let whole = end.is_some() || line.len() == room;
            bytes = rest;
            if !whole {
                partial.extend_from_slice(line);
            } else if partial.is_empty() {
                self.log(line);
            } else {
                partial.extend_from_slice(line);
                self.log(&partial);
                partial.clear();
            }
        }
    }

    fn log(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end();
        if line.is_empty() {
            return;
        }
        let plugin = self.plugin.spec.name.as_str();
        match self.stream {
            Stream::Out => tracing::info!(plugin, stream = "stdout", "{line}"),
            Stream::Err => tracing::warn!(plugin, stream = "stderr", "{line}"),
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let rest = std::mem::take(self.partial.get_mut());
        if !rest.is_empty() {
            self.log(&rest);
        }
    }
}

/// A handle on one stream.
#[derive(Clone)]
pub(crate) struct Output(Arc<Lines>);

impl Output {
    pub(crate) fn new(plugin: Arc<Shared>, stream: Stream) -> Self {
        Self(Arc::new(Lines {
            plugin,
            stream,
            partial: Mutex::default(),
        }))
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(CHUNK)
    }
}

#[async_trait::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = bytes.len().min(CHUNK);
        self.0.write(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
