//! Indexes out and in: their files as they stood at one moment, and an index
//! made of such files.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::disk;
use crate::error::{Error, Result};
use crate::index::Index;
use crate::log;
use crate::manifest::{self, Manifest};
use crate::segment_file;
use crate::types::IndexInfo;

/// The files of an index as they stood at one moment, kept from change until
/// this drops.
#[derive(Debug)]
pub struct Snapshot {
    folder: PathBuf,
    /// The index as it stood.
    pub info: IndexInfo,
    /// Its files.
    pub files: Vec<SnapshotFile>,
}

/// One file of a [`Snapshot`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    /// Its name.
    pub name: String,
    /// Where it can be read.
    pub path: PathBuf,
    /// How many bytes from its beginning belong to the snapshot.
    pub bytes: u64,
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // What cannot be removed now goes at the next start.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Index {
    /// Takes a snapshot, into a new folder.
    pub fn snapshot(&self, folder: &Path) -> Result<Snapshot> {
        // As long as this is held, no file comes, goes or grows.
        let writer = self.writer.lock();
        if writer.dropped {
            return Err(Error::not_found(format!(
                "index {} was dropped",
                self.spec.name
            )));
        }
        fs::create_dir(folder).map_err(|e| Error::io(&e, "making", folder))?;
        let mut snapshot = Snapshot {
            folder: folder.to_owned(),
            info: self.info(),
            files: Vec::new(),
        };
        snapshot.take(&manifest::path(&self.folder), None)?;
        for segment in &self.view().segments {
            if segment.file_bytes.is_some() {
                snapshot.take(&segment_file::path(&self.folder, segment.id), None)?;
            }
        }
        for number in writer.first_log..=writer.log.number() {
            let current = number == writer.log.number();
            let length = current.then(|| writer.log.length());
            snapshot.take(&log::path(&self.folder, number), length)?;
        }
        Ok(snapshot)
    }
}

impl Snapshot {
    /// Takes a file in, or its first bytes.
    fn take(&mut self, from: &Path, bytes: Option<u64>) -> Result<()> {
        let name = from.file_name().and_then(|name| name.to_str());
        let name = name.unwrap_or_default().to_owned();
        let path = self.folder.join(&name);
        let taken = fs::hard_link(from, &path).or_else(|error| match error.kind() {
            io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied => {
                fs::copy(from, &path).map(drop)
            }
            _ => Err(error),
        });
        let length = taken.and_then(|()| fs::metadata(&path));
        let length = length.map_err(|e| Error::io(&e, "taking", from))?.len();
        self.files.push(SnapshotFile {
            name,
            path,
            bytes: bytes.unwrap_or(length),
        });
        Ok(())
    }
}

/// An index in the making: files of a snapshot are to be written into it.
/// What was not handed to
/// [`Service::finish_restore`](crate::Service::finish_restore) goes when this
/// drops.
#[derive(Debug)]
pub struct Restore {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
}

impl Drop for Restore {
    fn drop(&mut self) {
        // Gone if it became an index; what cannot be removed now goes at the
        // next start.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Restore {
    pub(crate) fn begin(name: &str, folder: PathBuf) -> Result<Self> {
        fs::create_dir(&folder).map_err(|e| Error::io(&e, "making", &folder))?;
        Ok(Self {
            name: name.to_owned(),
            folder,
        })
    }

    /// Where a file of the snapshot is to be written.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if no index has a file of that
    /// name.
    pub fn file(&self, name: &str) -> Result<PathBuf> {
        let known = name == manifest::NAME
            || log::number(name).is_some_and(|n| log::path(Path::new(""), n) == Path::new(name))
            || segment_file::number(name)
                .is_some_and(|n| segment_file::path(Path::new(""), n) == Path::new(name));
        if !known {
            return Err(Error::invalid(format!("an index has no file {name:?}")));
        }
        Ok(self.folder.join(name))
    }

    /// Gives the index its name, and makes its files durable.
    pub(crate) fn complete(&self) -> Result<()> {
        let mut manifest = Manifest::read(&self.folder)?;
        manifest.name.clone_from(&self.name);
        manifest.write(&self.folder)?;
        let failed = |e: io::Error| Error::io(&e, "flushing", &self.folder);
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            File::open(&path)
                .and_then(|file| file.sync_all())
                .map_err(|e| Error::io(&e, "flushing", &path))?;
        }
        disk::sync_folder(&self.folder)
    }
}
