//! Objects in memory or in a bucket, through the `object_store` crate.

mod list;
mod read;
mod upload;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    UpdateVersion,
};

use super::key::Key;
use super::{
    Backend, ChunkReader, ListRequest, Meta, Mode, Page, Span, Upload, check_total, millis,
};
use crate::{Error, Kind};

/// How a kind of store names versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flavour {
    /// In-process; ETags as in a bucket.
    Memory,
    /// ETags are HTTP's, in quotes.
    Http,
    /// Conditions are on generation numbers.
    Google,
}

/// A store behind `object_store`.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    store: Arc<dyn ObjectStore>,
    root: Path,
    flavour: Flavour,
}

impl Remote {
    /// An empty store in memory.
    pub(super) fn memory() -> Self {
        Self {
            store: Arc::new(object_store::memory::InMemory::new()),
            root: Path::default(),
            flavour: Flavour::Memory,
        }
    }

    /// A bucket, by its URL.
    pub(super) fn open(url: &str, options: &HashMap<String, String>) -> Result<Self, Error> {
        use object_store::ObjectStoreScheme as Scheme;
        let parsed = url::Url::parse(url)
            .map_err(|e| Error::invalid(format!("store URL `{url}`")).with_source(e))?;
        let (scheme, _) = Scheme::parse(&parsed)
            .map_err(|e| Error::invalid(format!("store URL `{url}`")).with_source(e))?;
        let flavour = match scheme {
            Scheme::AmazonS3 => {
                known::<object_store::aws::AmazonS3ConfigKey>(options, "S3")?;
                Flavour::Http
            }
            Scheme::MicrosoftAzure => {
                known::<object_store::azure::AzureConfigKey>(options, "Azure")?;
                Flavour::Http
            }
            Scheme::GoogleCloudStorage => {
                known::<object_store::gcp::GoogleConfigKey>(options, "Google Cloud Storage")?;
                Flavour::Google
            }
            _ => {
                return Err(Error::invalid(format!(
                    "store URL `{url}`: expected file://, memory://, s3://, gs:// or az://"
                )));
            }
        };
        let (store, root) = object_store::parse_url_opts(&parsed, options)
            .map_err(|e| Error::invalid(format!("store `{url}`")).with_source(e))?;
        Ok(Self {
            store: Arc::from(store),
            root,
            flavour,
        })
    }

    /// The object's path, letter by letter: `parse` escapes nothing.
    fn path(&self, key: &Key) -> Result<Path, Error> {
        let path = if self.root.as_ref().is_empty() {
            Path::parse(key.as_str())
        } else {
            Path::parse(format!("{}/{}", self.root, key.as_str()))
        };
        path.map_err(|e| {
            Error::invalid(format!("the key `{key}` is not one for this store")).with_source(e)
        })
    }

    fn etag(&self, e_tag: Option<&str>, version: Option<&str>) -> String {
        let tag = match self.flavour {
            Flavour::Google => version.or(e_tag),
            Flavour::Memory | Flavour::Http => e_tag,
        };
        tag.unwrap_or_default().trim_matches('"').to_owned()
    }

    fn meta(&self, key: String, found: &ObjectMeta) -> Meta {
        Meta {
            key,
            size: found.size,
            etag: self.etag(found.e_tag.as_deref(), found.version.as_deref()),
            last_modified: millis(found.last_modified.into()),
        }
    }

    fn mode(&self, mode: Mode) -> PutMode {
        match mode {
            Mode::Overwrite => PutMode::Overwrite,
            Mode::Create => PutMode::Create,
            Mode::Update(etag) => PutMode::Update(match self.flavour {
                Flavour::Google => UpdateVersion {
                    e_tag: None,
                    version: Some(etag),
                },
                Flavour::Memory | Flavour::Http => UpdateVersion {
                    e_tag: Some(format!("\"{etag}\"")),
                    version: None,
                },
            }),
        }
    }

    async fn put_whole(&self, key: &Key, content: PutPayload, mode: Mode) -> Result<Meta, Error> {
        let path = self.path(key)?;
        let size = content.content_length() as u64;
        let updates = matches!(mode, Mode::Update(_));
        let options = PutOptions::from(self.mode(mode));
        let put = self.store.put_opts(&path, content, options).await;
        let put = put.map_err(|error| match failure(key, error) {
            // The condition of an update on something that is gone.
            error if updates && error.kind() == Kind::NotFound => Error::new(
                Kind::PreconditionFailed,
                format!("there is no object `{key}`"),
            ),
            error => error,
        })?;
        Ok(Meta {
            key: key.as_str().to_owned(),
            size,
            etag: self.etag(put.e_tag.as_deref(), put.version.as_deref()),
            // The answer to a put carries no time; a reader sees the store's.
            last_modified: millis(std::time::SystemTime::now()),
        })
    }
}

/// Refuses options that the kind of store does not know.
fn known<K: std::str::FromStr>(options: &HashMap<String, String>, kind: &str) -> Result<(), Error> {
    for option in options.keys() {
        if option.to_ascii_lowercase().parse::<K>().is_err() {
            return Err(Error::invalid(format!(
                "store option `{option}` is not known for {kind}"
            )));
        }
    }
    Ok(())
}

/// What `object_store` says, as our error.
fn failure(key: &Key, error: object_store::Error) -> Error {
    use object_store::Error as E;
    let kind = match &error {
        E::NotFound { .. } => return Error::not_found(format!("there is no object `{key}`")),
        E::AlreadyExists { .. } => {
            return Error::new(Kind::AlreadyExists, format!("`{key}` exists already"));
        }
        E::Precondition { .. } => {
            return Error::new(
                Kind::PreconditionFailed,
                format!("`{key}` has another ETag than the one asked for"),
            );
        }
        E::InvalidPath { .. } => Kind::Invalid,
        E::NotSupported { .. } | E::NotImplemented { .. } => Kind::Unsupported,
        // Network and service: the crate has retried what can be.
        E::Generic { .. } => Kind::Unavailable,
        _ => Kind::Internal,
    };
    Error::new(kind, format!("the store failed at `{key}`")).with_source(error)
}

struct StreamReader {
    stream: BoxStream<'static, object_store::Result<Bytes>>,
    key: Key,
}

#[async_trait]
impl ChunkReader for StreamReader {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match self.stream.next().await.transpose() {
            Ok(chunk) => Ok(chunk),
            Err(error) => Err(failure(&self.key, error)),
        }
    }
}

#[async_trait]
impl Backend for Remote {
    async fn head(&self, key: &Key) -> Result<Meta, Error> {
        let path = self.path(key)?;
        let found = self.store.head(&path).await.map_err(|e| failure(key, e))?;
        Ok(self.meta(key.as_str().to_owned(), &found))
    }

    async fn open(
        &self,
        key: &Key,
        part: Option<Span>,
    ) -> Result<(Meta, Box<dyn ChunkReader>), Error> {
        let path = self.path(key)?;
        let mut options = GetOptions::default();
        if let Some(part) = part {
            let meta = self.head(key).await?;
            let span = part.within(key, meta.size)?;
            if span.length == 0 {
                let stream = futures::stream::empty().boxed();
                let key = key.clone();
                return Ok((meta, Box::new(StreamReader { stream, key })));
            }
            options.range = Some(GetRange::Bounded(span.offset..span.offset + span.length));
        }
        let got = self.store.get_opts(&path, options).await;
        let got = got.map_err(|e| failure(key, e))?;
        let meta = self.meta(key.as_str().to_owned(), &got.meta);
        let reader = StreamReader {
            stream: got.into_stream(),
            key: key.clone(),
        };
        Ok((meta, Box::new(reader)))
    }

    async fn get(&self, key: &Key) -> Result<(Meta, Vec<u8>), Error> {
        let path = self.path(key)?;
        let got = self.store.get(&path).await.map_err(|e| failure(key, e))?;
        check_total(key, got.meta.size)?;
        let meta = self.meta(key.as_str().to_owned(), &got.meta);
        let bytes = got.bytes().await.map_err(|e| failure(key, e))?;
        Ok((meta, bytes.into()))
    }

    async fn read(&self, key: &Key, spans: &[Span]) -> Result<Vec<Vec<u8>>, Error> {
        read::spans(self, key, spans).await
    }

    async fn put(&self, key: &Key, content: Bytes, mode: Mode) -> Result<Meta, Error> {
        self.put_whole(key, content.into(), mode).await
    }

    async fn upload(&self, key: &Key, mode: Mode) -> Result<Box<dyn Upload>, Error> {
        let path = self.path(key)?;
        if mode == Mode::Create && self.store.head(&path).await.is_ok() {
            return Err(Error::new(
                Kind::AlreadyExists,
                format!("`{key}` exists already"),
            ));
        }
        Ok(Box::new(upload::PartUpload::new(
            self.clone(),
            key.clone(),
            path,
            mode,
        )))
    }

    async fn delete(&self, key: &Key) -> Result<(), Error> {
        let path = self.path(key)?;
        match self.store.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failure(key, error)),
        }
    }

    async fn list(&self, request: &ListRequest) -> Result<Page, Error> {
        list::page(self, request).await
    }
}
