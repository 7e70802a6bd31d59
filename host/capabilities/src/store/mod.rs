//! The object store that tables and files live in, and its capability.
//!
//! [`Store`] is a local folder, memory, or a bucket, behind one private
//! [`Backend`] trait. Buckets and memory go through the `object_store` crate.
//! The local folder is our own ([`local`]): `object_store`'s has no conditional
//! update, does not sync to disk, and derives ETags that can repeat when a file
//! is overwritten twice within one tick of the file system's clock.

mod budget;
pub(crate) mod capability;
mod convert;
mod key;
mod local;
mod remote;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::Error;

pub use capability::StoreCapability;
pub use key::{Key, MAX_KEY};

/// Bytes that one `get` or one `read` may return: what they return is held in
/// memory twice for a moment, in the host and in the guest.
pub const MAX_READ: u64 = 256 << 20;

/// Keys and prefixes that one page of a listing may hold.
pub const MAX_PAGE: usize = 1000;

/// Bytes of one step of a streamed read.
const CHUNK: usize = 256 << 10;

/// What the store knows of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The whole key.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// Opaque version of the content, without quotes.
    pub etag: String,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub last_modified: u64,
}

/// A span of bytes of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub offset: u64,
    /// Number of bytes; cut at the object's end.
    pub length: u64,
}

impl Span {
    /// The span within an object of `size` bytes, cut at its end.
    ///
    /// # Errors
    /// [`Kind::RangeNotSatisfiable`](crate::Kind::RangeNotSatisfiable) if it begins beyond the end.
    fn within(self, key: &Key, size: u64) -> Result<Self, Error> {
        if self.offset > size || (self.offset == size && self.length > 0) {
            return Err(Error::new(
                crate::Kind::RangeNotSatisfiable,
                format!(
                    "the range begins at byte {} and `{key}` has {size} bytes",
                    self.offset
                ),
            ));
        }
        Ok(Self {
            offset: self.offset,
            length: self.length.min(size - self.offset),
        })
    }
}

/// On what condition a put takes effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Whatever is there is replaced.
    Overwrite,
    /// Only if nothing is there.
    Create,
    /// Only if the object's ETag is this one.
    Update(String),
}

/// What to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListRequest {
    /// Keys must begin with this, any text.
    pub prefix: String,
    /// What lies behind its first occurrence after the prefix is folded. Not empty.
    pub delimiter: Option<String>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Objects and prefixes together, 1 to [`MAX_PAGE`].
    pub limit: usize,
}

/// One page of a listing, ascending by the bytes of the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Objects of this page.
    pub objects: Vec<Meta>,
    /// Distinct prefixes, up to and with the delimiter.
    pub prefixes: Vec<String>,
    /// For the next call; none at the end.
    pub cursor: Option<String>,
}

impl ListRequest {
    /// The prefix that `key` is folded into, if it is.
    fn fold<'k>(&self, key: &'k str) -> Option<&'k str> {
        let delimiter = self.delimiter.as_deref()?;
        let rest = key.strip_prefix(self.prefix.as_str())?;
        let end = rest.find(delimiter)? + delimiter.len();
        Some(&key[..self.prefix.len() + end])
    }

    /// What the last page ended with, if that was a folded prefix: all that
    /// begins with it is done.
    fn folded_cursor(&self) -> Option<&str> {
        self.cursor
            .as_deref()
            .filter(|cursor| self.fold(cursor) == Some(cursor))
    }
}

/// A place that keeps objects. Keys are valid when they get here.
#[async_trait]
trait Backend: fmt::Debug + Send + Sync + 'static {
    async fn head(&self, key: &Key) -> Result<Meta, Error>;
    /// Opens an object, or a part of it, for reading in order.
    async fn open(
        &self,
        key: &Key,
        part: Option<Span>,
    ) -> Result<(Meta, Box<dyn ChunkReader>), Error>;
    /// Reads a whole object of at most [`MAX_READ`] bytes.
    async fn get(&self, key: &Key) -> Result<(Meta, Vec<u8>), Error>;
    /// Reads spans in the order asked, at most [`MAX_READ`] bytes together.
    async fn read(&self, key: &Key, spans: &[Span]) -> Result<Vec<Vec<u8>>, Error>;
    async fn put(&self, key: &Key, content: Bytes, mode: Mode) -> Result<Meta, Error>;
    async fn upload(&self, key: &Key, mode: Mode) -> Result<Box<dyn Upload>, Error>;
    async fn delete(&self, key: &Key) -> Result<(), Error>;
    async fn list(&self, request: &ListRequest) -> Result<Page, Error>;
}

/// An object being read from front to back.
#[async_trait]
pub trait ChunkReader: Send {
    /// The next bytes, none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Error>;
}

/// A streaming put. Dropping it abandons it and leaves nothing behind.
#[async_trait]
pub trait Upload: Send {
    /// Appends bytes; waits while the store is behind.
    async fn write(&mut self, chunk: Bytes) -> Result<(), Error>;
    /// Makes the object visible, all of it, durably.
    async fn finish(self: Box<Self>) -> Result<Meta, Error>;
}

/// The object store.
#[derive(Debug)]
pub struct Store {
    backend: Box<dyn Backend>,
    base_url: String,
}

impl Store {
    /// Opens the store at `url`: `memory://`, `file:///folder` or a plain path,
    /// `s3://bucket/path`, `gs://bucket/path`, `az://container/path`. `options`
    /// are those of the `object_store` crate (`aws_region`, ...) for buckets;
    /// the other kinds take none. A local folder is made if it is not there,
    /// and what a crashed process left unfinished in it is removed.
    ///
    /// # Errors
    /// A URL or option that is not understood, or a folder that cannot be used.
    pub fn open(url: &str, options: &HashMap<String, String>) -> Result<Arc<Self>, Error> {
        let no_options = |kind: &str| match options.keys().min() {
            Some(key) => Err(Error::invalid(format!(
                "store option `{key}` is not known for {kind}"
            ))),
            None => Ok(()),
        };
        let (backend, base_url): (Box<dyn Backend>, String) = match url.split_once("://") {
            None => {
                no_options("a local folder")?;
                let local = local::Local::open(Path::new(url))?;
                let base = local.base_url()?;
                (Box::new(local), base)
            }
            Some(("file", _)) => {
                no_options("a local folder")?;
                let parsed = url::Url::parse(url)
                    .map_err(|e| Error::invalid(format!("store URL `{url}`")).with_source(e))?;
                let path = parsed.to_file_path().map_err(|()| {
                    Error::invalid(format!(
                        "store URL `{url}` is not `file:///<absolute path>`"
                    ))
                })?;
                let local = local::Local::open(&path)?;
                let base = local.base_url()?;
                (Box::new(local), base)
            }
            Some(("memory", _)) => {
                no_options("memory")?;
                (Box::new(remote::Remote::memory()), "memory://".to_owned())
            }
            Some(_) => {
                let remote = remote::Remote::open(url, options)?;
                (Box::new(remote), url.trim_end_matches('/').to_owned())
            }
        };
        Ok(Arc::new(Self { backend, base_url }))
    }

    /// Where the store is, as a URL for other engines, without a trailing slash.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Metadata of one object.
    ///
    /// # Errors
    /// `NotFound`, or what the place says.
    pub async fn head(&self, key: &Key) -> Result<Meta, Error> {
        self.backend.head(key).await
    }

    /// A whole object of at most [`MAX_READ`] bytes.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` if it is larger.
    pub async fn get(&self, key: &Key) -> Result<(Meta, Vec<u8>), Error> {
        self.backend.get(key).await
    }

    /// Spans of one object in the order asked, at most [`MAX_READ`] bytes together.
    ///
    /// # Errors
    /// `NotFound`, `RangeNotSatisfiable`; `Invalid` if it is too much at once.
    pub async fn read(&self, key: &Key, spans: &[Span]) -> Result<Vec<Vec<u8>>, Error> {
        if spans.is_empty() {
            return Ok(Vec::new());
        }
        self.backend.read(key, spans).await
    }

    /// Opens an object, or a part of it, for reading in order.
    ///
    /// # Errors
    /// `NotFound`, `RangeNotSatisfiable`.
    pub async fn open_object(
        &self,
        key: &Key,
        part: Option<Span>,
    ) -> Result<(Meta, Box<dyn ChunkReader>), Error> {
        self.backend.open(key, part).await
    }

    /// Writes a whole object, durably.
    ///
    /// # Errors
    /// `AlreadyExists`, `PreconditionFailed` by the mode; `Exhausted`; `Conflict`
    /// if a local folder cannot hold this key beside another (`a` and `a/b`).
    pub async fn put(
        &self,
        key: &Key,
        content: impl Into<Bytes>,
        mode: Mode,
    ) -> Result<Meta, Error> {
        self.backend.put(key, content.into(), mode).await
    }

    /// Starts a streaming put.
    ///
    /// # Errors
    /// As [`put`](Self::put), as far as can be known now.
    pub async fn upload(&self, key: &Key, mode: Mode) -> Result<Box<dyn Upload>, Error> {
        self.backend.upload(key, mode).await
    }

    /// Removes an object; one that is not there is no error.
    ///
    /// # Errors
    /// What the place says.
    pub async fn delete(&self, key: &Key) -> Result<(), Error> {
        self.backend.delete(key).await
    }

    /// Lists keys.
    ///
    /// # Errors
    /// `Invalid` for an empty delimiter or a limit outside 1 to [`MAX_PAGE`].
    pub async fn list(&self, request: &ListRequest) -> Result<Page, Error> {
        if request.limit == 0 || request.limit > MAX_PAGE {
            return Err(Error::invalid(format!(
                "limit is {}; 1 to {MAX_PAGE} are allowed",
                request.limit
            )));
        }
        if request.delimiter.as_deref() == Some("") {
            return Err(Error::invalid("the delimiter is empty"));
        }
        self.backend.list(request).await
    }
}

/// Cuts `spans` to an object of `size` bytes and checks their sum.
fn resolve(key: &Key, spans: &[Span], size: u64) -> Result<Vec<Span>, Error> {
    let spans = spans
        .iter()
        .map(|span| span.within(key, size))
        .collect::<Result<Vec<_>, _>>()?;
    let total = spans
        .iter()
        .fold(0_u64, |sum, span| sum.saturating_add(span.length));
    check_total(key, total)?;
    Ok(spans)
}

/// Refuses a read of more than [`MAX_READ`] bytes.
fn check_total(key: &Key, total: u64) -> Result<(), Error> {
    if total > MAX_READ {
        return Err(Error::invalid(format!(
            "{total} bytes of `{key}` asked for at once; {MAX_READ} are allowed, `open` streams more"
        )));
    }
    Ok(())
}

/// Milliseconds since the epoch.
fn millis(time: std::time::SystemTime) -> u64 {
    time.duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}
