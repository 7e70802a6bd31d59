//! A guest's standard output and error, line by line into the log.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use lakehouse_trace::Cause;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::plugin::Shared;
use crate::quota::Quota;

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

/// Both streams of one instance.
pub(crate) struct Outputs {
    plugin: Arc<Shared>,
    quota: Arc<Quota>,
    lines: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    /// The request that the instance serves.
    cause: Option<Cause>,
    /// What came of a line so far, of each stream.
    partial: [Vec<u8>; 2],
}

impl Outputs {
    pub(crate) fn new(plugin: Arc<Shared>, quota: Arc<Quota>) -> Arc<Self> {
        Arc::new(Self {
            plugin,
            quota,
            lines: Mutex::default(),
        })
    }

    /// A handle on one of them.
    pub(crate) fn stream(self: &Arc<Self>, stream: Stream) -> Output {
        Output {
            outputs: Arc::clone(self),
            stream,
        }
    }

    /// Another request begins: half a line is the last one's.
    pub(crate) fn turn(&self, cause: Option<&Cause>) {
        let mut lines = self.lines.lock();
        self.flush(&mut lines);
        lines.cause = cause.cloned();
    }

    fn flush(&self, lines: &mut Lines) {
        for stream in [Stream::Out, Stream::Err] {
            let partial = std::mem::take(&mut lines.partial[stream as usize]);
            if !partial.is_empty() {
                self.log(stream, &partial, lines.cause.as_ref());
            }
        }
    }

    fn write(&self, stream: Stream, mut bytes: &[u8]) {
        let mut lines = self.lines.lock();
        let Lines { cause, partial } = &mut *lines;
        let partial = &mut partial[stream as usize];
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
                self.log(stream, line, cause.as_ref());
            } else {
                partial.extend_from_slice(line);
                self.log(stream, partial, cause.as_ref());
                partial.clear();
            }
        }
    }

    fn log(&self, stream: Stream, line: &[u8], cause: Option<&Cause>) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end();
        if line.is_empty() {
            return;
        }
        let plugin = self.plugin.spec.name.as_str();
        lakehouse_trace::enter(cause.cloned(), || {
            if !self.quota.take(line.len(), plugin) {
                return;
            }
            match stream {
                Stream::Out => tracing::info!(plugin, stream = "stdout", "{line}"),
                Stream::Err => tracing::warn!(plugin, stream = "stderr", "{line}"),
            }
        });
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        let mut lines = std::mem::take(self.lines.get_mut());
        self.flush(&mut lines);
    }
}

/// A handle on one stream.
#[derive(Clone)]
pub(crate) struct Output {
    outputs: Arc<Outputs>,
    stream: Stream,
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
        self.outputs.write(self.stream, &bytes);
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
        self.outputs.write(self.stream, &bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
