//! Objects as files of a local folder.
//!
//! - A put writes a temporary file, syncs it, gives it its name in one step
//!   (`rename`, or `link` for [`Mode::Create`]) and syncs the folder: nobody
//!   sees half an object, and what was acknowledged survives a power loss.
//! - Changes of one key that depend on what is there exclude each other, in this
//!   process and in others, by a lock on one of [`lock`]'s files.
//! - An ETag is made of modification time, inode and size. The time is ours, to
//!   the nanosecond and never the same twice, because the file system's own
//!   clock ticks slower than puts come and inodes are used again at once.
//! - Folders that become empty are removed, so that `a` can be put after `a/b`
//!   was deleted. While one of them is there, the other is a conflict: this is
//!   the one thing that a folder cannot do and a bucket can.

mod list;
mod lock;
mod names;
mod publish;
mod read;
mod temp;
mod upload;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use self::read::FileReader;
use super::key::Key;
use super::{
    Backend, ChunkReader, ListRequest, Meta, Mode, Page, Span, Upload, check_total, millis, resolve,
};
use crate::Error;

/// The local folder.
#[derive(Clone, Debug)]
pub(super) struct Local(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    temp: temp::TempFolder,
    locks: lock::Locks,
    folders: publish::Folders,
}

impl Local {
    /// Opens the folder, making it if it is not there.
    pub(super) fn open(root: &Path) -> Result<Self, Error> {
        let failed = |e| {
            Error::io(
                format_args!("open the store folder `{}`", root.display()),
                e,
            )
        };
        fs::create_dir_all(root).map_err(failed)?;
        // Absolute, because it is handed to other engines as a URL.
        let root = fs::canonicalize(root).map_err(failed)?;
        Ok(Self(Arc::new(Inner {
            temp: temp::TempFolder::open(&root)?,
            locks: lock::Locks::open(&root)?,
            folders: publish::Folders::default(),
            root,
        })))
    }

    /// `file://` and the path as it is: engines do not undo percent-encoding.
    pub(super) fn base_url(&self) -> Result<String, Error> {
        let root = self.0.root.to_str().ok_or_else(|| {
            Error::invalid(format!(
                "the store folder `{}` is not UTF-8",
                self.0.root.display()
            ))
        })?;
        Ok(format!("file://{}", root.trim_end_matches('/')))
    }

    /// Runs `work` where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = Arc::clone(&self.0);
        lakehouse_trace::spawn_blocking(move || work(&inner)).await?
    }
}

impl Inner {
    fn path(&self, key: &Key) -> PathBuf {
        names::path(&self.root, key)
    }

    /// The file of a key and what it is now; `None` if there is no such object.
    fn stat(&self, key: &Key) -> Result<Option<fs::Metadata>, Error> {
        match fs::metadata(self.path(key)) {
            Ok(found) if found.is_file() => Ok(Some(found)),
            Ok(_) => Ok(None),
            Err(e) if absent(&e) => Ok(None),
            Err(e) => Err(Error::io(format_args!("look up `{key}`"), e)),
        }
    }

    /// Opens a key's file for reading.
    fn open(&self, key: &Key) -> Result<(Meta, File), Error> {
        let opening = |e| Error::io(format_args!("open `{key}`"), e);
        let file = match File::open(self.path(key)) {
            Ok(file) => file,
            Err(e) if absent(&e) => return Err(missing(key)),
            Err(e) => return Err(opening(e)),
        };
        let found = file.metadata().map_err(opening)?;
        if !found.is_file() {
            return Err(missing(key));
        }
        Ok((meta(key.as_str().to_owned(), &found), file))
    }
}

/// Whether an error means that no object has this key.
fn absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
    )
}

fn missing(key: &Key) -> Error {
    Error::not_found(format!("there is no object `{key}`"))
}

fn meta(key: String, found: &fs::Metadata) -> Meta {
    Meta {
        key,
        size: found.len(),
        etag: etag(found),
        last_modified: found.modified().map_or(0, millis),
    }
}

fn etag(found: &fs::Metadata) -> String {
    format!(
        "{:x}.{:09}-{:x}-{:x}",
        found.mtime(),
        found.mtime_nsec(),
        found.ino(),
        found.len()
    )
}

#[async_trait]
impl Backend for Local {
    async fn head(&self, key: &Key) -> Result<Meta, Error> {
        // One stat of a name that is most likely cached costs less than a
        // change of threads.
        match self.0.stat(key)? {
            Some(found) => Ok(meta(key.as_str().to_owned(), &found)),
            None => Err(missing(key)),
        }
    }

    async fn open(
        &self,
        key: &Key,
        part: Option<Span>,
    ) -> Result<(Meta, Box<dyn ChunkReader>), Error> {
        let (meta, file) = self.0.open(key)?;
        let span = match part {
            Some(part) => part.within(key, meta.size)?,
            None => Span {
                offset: 0,
                length: meta.size,
            },
        };
        Ok((meta, Box::new(FileReader::new(file, span, key.clone()))))
    }

    async fn get(&self, key: &Key) -> Result<(Meta, Vec<u8>), Error> {
        let (meta, file) = self.0.open(key)?;
        check_total(key, meta.size)?;
        let span = Span {
            offset: 0,
            length: meta.size,
        };
        let mut read = read::spans(file, vec![span], key).await?;
        Ok((meta, read.pop().unwrap_or_default()))
    }

    async fn read(&self, key: &Key, spans: &[Span]) -> Result<Vec<Vec<u8>>, Error> {
        let (meta, file) = self.0.open(key)?;
        let spans = resolve(key, spans, meta.size)?;
        read::spans(file, spans, key).await
    }

    async fn put(&self, key: &Key, content: Bytes, mode: Mode) -> Result<Meta, Error> {
        let key = key.clone();
        self.blocking(move |inner| {
            inner.may_publish(&key, &mode)?;
            let temp = inner.temp.file()?;
            let mut file = temp.file();
            file.write_all(&content)
                .map_err(|e| Error::io(format_args!("write `{key}`"), e))?;
            inner.publish(&key, temp, &mode)
        })
        .await
    }

    async fn upload(&self, key: &Key, mode: Mode) -> Result<Box<dyn Upload>, Error> {
        let checked = (key.clone(), mode.clone());
        let temp = self
            .blocking(move |inner| {
                inner.may_publish(&checked.0, &checked.1)?;
                inner.temp.file()
            })
            .await?;
        Ok(Box::new(upload::FileUpload::new(
            self.clone(),
            key.clone(),
            mode,
            temp,
        )))
    }

    async fn delete(&self, key: &Key) -> Result<(), Error> {
        let key = key.clone();
        self.blocking(move |inner| inner.remove(&key)).await
    }

    async fn list(&self, request: &ListRequest) -> Result<Page, Error> {
        let request = request.clone();
        self.blocking(move |inner| list::page(&inner.root, &request))
            .await
    }
}
