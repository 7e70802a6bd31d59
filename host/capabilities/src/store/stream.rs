//! Objects as `wasi:io` input streams.

use bytes::Bytes;
use tokio::sync::mpsc;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{InputStream, Pollable, StreamError, StreamResult};

use super::ChunkReader;
use crate::Error;

/// Chunks read ahead of the guest.
const AHEAD: usize = 2;

/// An object being streamed. A task reads ahead; dropping the stream ends it.
pub(super) struct ObjectStream {
    chunks: mpsc::Receiver<Result<Bytes, Error>>,
    /// What came and was not taken yet. None: nothing, wait.
    ready: Option<Result<Bytes, Error>>,
    ended: bool,
}

impl ObjectStream {
    pub(super) fn new(mut reader: Box<dyn ChunkReader>) -> Self {
        let (sender, chunks) = mpsc::channel(AHEAD);
        lakehouse_trace::spawn(async move {
            loop {
                let chunk = match reader.next().await {
                    Ok(Some(chunk)) => Ok(chunk),
                    Ok(None) => return,
                    Err(error) => Err(error),
                };
                let last = chunk.is_err();
                if sender.send(chunk).await.is_err() || last {
                    return;
                }
            }
        });
        Self {
            chunks,
            ready: None,
            ended: false,
        }
    }
}

#[async_trait]
impl Pollable for ObjectStream {
    async fn ready(&mut self) {
        if self.ready.is_none() && !self.ended {
            // Nothing is lost if this is dropped while it waits.
            match self.chunks.recv().await {
                None => self.ended = true,
                chunk => self.ready = chunk,
            }
        }
    }
}

#[async_trait]
impl InputStream for ObjectStream {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if self.ready.is_none() && !self.ended {
            match self.chunks.try_recv() {
                Ok(chunk) => self.ready = Some(chunk),
                Err(mpsc::error::TryRecvError::Empty) => return Ok(Bytes::new()),
                Err(mpsc::error::TryRecvError::Disconnected) => self.ended = true,
            }
        }
        match self.ready.take() {
            None => Err(StreamError::Closed),
            Some(Err(error)) => {
                self.ended = true;
                Err(StreamError::LastOperationFailed(error.into()))
            }
            Some(Ok(mut chunk)) => {
                let taken = chunk.split_to(size.min(chunk.len()));
                if !chunk.is_empty() {
                    self.ready = Some(Ok(chunk));
                }
                Ok(taken)
            }
        }
    }
}
