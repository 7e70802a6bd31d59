//! Streaming puts to remote stores.
//!
//! A small object goes as one put, with its condition. A larger one goes in
//! parts, and since stores take no condition there, a conditional put is kept in
//! memory up to [`MAX_CONDITIONAL`] and refused beyond.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use object_store::path::Path;
use object_store::{ObjectStoreExt, WriteMultipart};

use super::{Flavour, Remote, failure};
use crate::store::key::Key;
use crate::store::{Backend, Meta, Mode, Upload};
use crate::{Error, Kind};

/// Bytes of a part. With the 10,000 parts that S3 takes, objects of 78 GiB.
const PART: usize = 8 << 20;
/// Parts on their way at once.
const PARALLEL: usize = 4;
/// Bytes of the largest object that can be streamed under a condition.
const MAX_CONDITIONAL: usize = 64 << 20;

/// An object being sent.
pub(super) struct PartUpload {
    remote: Remote,
    key: Key,
    path: Path,
    mode: Mode,
    buffer: BytesMut,
    parts: Option<WriteMultipart>,
}

impl PartUpload {
    pub(super) fn new(remote: Remote, key: Key, path: Path, mode: Mode) -> Self {
        Self {
            remote,
            key,
            path,
            mode,
            buffer: BytesMut::new(),
            parts: None,
        }
    }
}

#[async_trait]
impl Upload for PartUpload {
    async fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        if let Some(parts) = &mut self.parts {
            parts
                .wait_for_capacity(PARALLEL)
                .await
                .map_err(|e| failure(&self.key, e))?;
            parts.put(chunk);
            return Ok(());
        }
        let size = self.buffer.len() + chunk.len();
        if size > PART && self.mode == Mode::Overwrite {
            let parts = self.remote.store.put_multipart(&self.path).await;
            let parts = parts.map_err(|e| failure(&self.key, e))?;
            let mut parts = WriteMultipart::new_with_chunk_size(parts, PART);
            parts.put(self.buffer.split().freeze());
            parts.put(chunk);
            self.parts = Some(parts);
            return Ok(());
        }
        // In memory the object stays in memory in any case.
        if size > MAX_CONDITIONAL && self.remote.flavour != Flavour::Memory {
            return Err(Error::new(
                Kind::Unsupported,
                format!(
                    "`{}` is larger than the {MAX_CONDITIONAL} bytes that can be put to a bucket under a condition",
                    self.key
                ),
            ));
        }
        self.buffer.extend_from_slice(&chunk);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<Meta, Error> {
        let Some(parts) = self.parts.take() else {
            let content = self.buffer.split().freeze();
            let mode = self.mode.clone();
            return self.remote.put_whole(&self.key, content.into(), mode).await;
        };
        parts.finish().await.map_err(|e| failure(&self.key, e))?;
        self.remote.head(&self.key).await
    }
}

impl Drop for PartUpload {
    fn drop(&mut self) {
        // What was sent of an abandoned upload costs money until it is aborted.
        if let Some(parts) = self.parts.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let key = self.key.clone();
            runtime.spawn(async move {
                if let Err(error) = parts.abort().await {
                    tracing::warn!(%key, %error, "cannot abort an upload in parts");
                }
            });
        }
    }
}
