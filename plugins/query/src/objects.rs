//! The `store` interface as the engine's object store: reads only.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use futures::stream::{self, BoxStream, StreamExt};
use lakehouse_sdk::store::{self, ByteRange};
use lakehouse_sdk::{store_async, types};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::error::HostError;

const NAME: &str = "lakehouse";

/// Reads objects through the host. Several reads can be under way at once.
#[derive(Debug)]
pub struct HostStore;

impl fmt::Display for HostStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

#[async_trait]
impl ObjectStore for HostStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let meta = object_meta(store::head(location.as_ref()).map_err(|e| failed(location, e))?);
        let meta = ObjectMeta {
            location: location.clone(),
            ..meta
        };
        options.check_preconditions(&meta)?;
        let range = match &options.range {
            Some(range) => range.as_range(meta.size).map_err(|source| Error::Generic {
                store: NAME,
                source: Box::new(source),
            })?,
            None => 0..meta.size,
        };
        let bytes = if options.head || range.is_empty() {
            Bytes::new()
        } else {
            let mut parts = self
                .get_ranges(location, std::slice::from_ref(&range))
                .await?;
            parts.pop().unwrap_or_default()
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(stream::once(async { Ok(bytes) }).boxed()),
            meta,
            range,
            attributes: object_store::Attributes::default(),
        })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let spans: Vec<ByteRange> = ranges
            .iter()
            .map(|range| ByteRange {
                offset: range.start,
                length: range.end - range.start,
            })
            .collect();
        let parts = store_async::get_ranges(location.as_ref(), &spans)
            .await
            .map_err(|e| failed(location, e))?;
        // A file that ends early must not pass for one that is whole.
        if let Some((_, range)) = parts
            .iter()
            .zip(ranges)
            .find(|(part, range)| part.len() as u64 != range.end - range.start)
        {
            return Err(failed(
                location,
                types::Error::Internal(format!(
                    "{location} ends before byte {}: the file is not whole",
                    range.end
                )),
            ));
        }
        Ok(parts.into_iter().map(Bytes::from).collect())
    }

    fn list(&self, _prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::once(async { Err(unsupported("list")) }).boxed()
    }

    async fn list_with_delimiter(&self, _prefix: Option<&Path>) -> Result<ListResult> {
        Err(unsupported("list_with_delimiter"))
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(unsupported("put"))
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(unsupported("put_multipart"))
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        stream::once(async { Err(unsupported("delete")) }).boxed()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(unsupported("copy"))
    }
}

/// The metadata of a data file. Such files never change, so a fixed time keeps
/// the engine's metadata cache valid.
pub fn data_file_meta(key: &str, size: u64) -> Result<ObjectMeta> {
    Ok(ObjectMeta {
        location: Path::parse(key)?,
        last_modified: DateTime::UNIX_EPOCH,
        size,
        e_tag: None,
        version: None,
    })
}

/// The engine's handle on the store.
#[must_use]
pub fn host_store() -> Arc<dyn ObjectStore> {
    Arc::new(HostStore)
}

fn object_meta(meta: store::ObjectMeta) -> ObjectMeta {
    let millis = i64::try_from(meta.last_modified).unwrap_or(i64::MAX);
    ObjectMeta {
        location: Path::default(),
        last_modified: DateTime::from_timestamp_millis(millis).unwrap_or(DateTime::UNIX_EPOCH),
        size: meta.size,
        e_tag: Some(meta.etag),
        version: None,
    }
}

fn failed(location: &Path, error: types::Error) -> Error {
    let missing = matches!(error, types::Error::NotFound(_));
    let source = Box::new(HostError(error));
    if missing {
        Error::NotFound {
            path: location.to_string(),
            source,
        }
    } else {
        Error::Generic {
            store: NAME,
            source,
        }
    }
}

fn unsupported(operation: &str) -> Error {
    Error::NotImplemented {
        operation: operation.to_owned(),
        implementer: NAME.to_owned(),
    }
}
