//! Giving a finished file its name, and taking names away.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use parking_lot::RwLock;

use super::temp::TempFile;
use super::{Inner, absent, etag, meta};
use crate::store::key::Key;
use crate::store::{Meta, Mode};
use crate::{Error, Kind};

/// How often a put starts over because a delete removed its folder meanwhile.
const ATTEMPTS: usize = 100;

/// Guards the making and removing of folders: whoever finds a folder under the
/// read lock knows that its own name was synced to disk before.
#[derive(Debug, Default)]
pub(super) struct Folders(RwLock<()>);

impl Inner {
    /// Whether a put could take effect now: spares writing what will be refused.
    pub(super) fn may_publish(&self, key: &Key, mode: &Mode) -> Result<(), Error> {
        match mode {
            Mode::Overwrite => Ok(()),
            Mode::Create => match self.stat(key)? {
                Some(_) => Err(exists(key)),
                None => Ok(()),
            },
            Mode::Update(wanted) => self.check_etag(key, wanted),
        }
    }

    fn check_etag(&self, key: &Key, wanted: &str) -> Result<(), Error> {
        let failed = |found: &str| {
            Error::new(
                Kind::PreconditionFailed,
                format!(
                    "the ETag of `{key}` is {found}, not \"{}\"",
                    wanted.escape_debug()
                ),
            )
        };
        match self.stat(key)? {
            None => Err(failed("none, there is no such object")),
            Some(found) => {
                let found = etag(&found);
                if found == wanted {
                    Ok(())
                } else {
                    Err(failed(&format!("\"{found}\"")))
                }
            }
        }
    }

    /// Makes a written file the object `key`, durably.
    pub(super) fn publish(&self, key: &Key, temp: TempFile, mode: &Mode) -> Result<Meta, Error> {
        let sealed = temp
            .seal()
            .map_err(|e| Error::io(format_args!("write `{key}`"), e))?;
        let target = self.path(key);
        let folder = target.parent().unwrap_or(&self.root);
        for _ in 0..ATTEMPTS {
            self.make_folder(key, folder)?;
            let placed = match mode {
                Mode::Create => fs::hard_link(temp.path(), &target),
                Mode::Overwrite => {
                    let _lock = self.locks.lock(key)?;
                    fs::rename(temp.path(), &target)
                }
                Mode::Update(wanted) => {
                    let _lock = self.locks.lock(key)?;
                    let checked = self.check_etag(key, wanted);
                    if checked.is_err() {
                        self.prune(folder);
                    }
                    checked?;
                    fs::rename(temp.path(), &target)
                }
            };
            match placed {
                Ok(()) => {
                    match mode {
                        // The link is a second name; dropping removes the first.
                        Mode::Create => drop(temp),
                        Mode::Overwrite | Mode::Update(_) => temp.placed(),
                    }
                    sync_name(key, folder)?;
                    return Ok(meta(key.as_str().to_owned(), &sealed));
                }
                // A delete removed the folder between the two steps.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(_) if target.is_dir() => {
                    // An empty folder is what a crash between two steps leaves.
                    if fs::remove_dir(&target).is_err() {
                        return Err(Error::new(
                            Kind::Conflict,
                            format!(
                                "`{key}` cannot be stored: there are objects whose keys begin with `{key}/`, and in a local folder a name is a file or a folder"
                            ),
                        ));
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(exists(key)),
                Err(e) => {
                    self.prune(folder);
                    return Err(Error::io(format_args!("store `{key}`"), e));
                }
            }
        }
        Err(Error::new(
            Kind::Unavailable,
            format!("`{key}` cannot be stored: its folder is being removed again and again"),
        ))
    }

    /// Makes the folder of a key and syncs the names of what it made.
    fn make_folder(&self, key: &Key, folder: &Path) -> Result<(), Error> {
        {
            let _reading = self.folders.0.read();
            if folder.is_dir() {
                return Ok(());
            }
        }
        let made = {
            let _writing = self.folders.0.write();
            make_folders(&self.root, folder)
        };
        let Err(error) = made else {
            return Ok(());
        };
        self.prune(folder);
        match error.kind() {
            // Another process removed a folder on the way; the caller starts over.
            io::ErrorKind::NotFound => Ok(()),
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => Err(Error::new(
                Kind::Conflict,
                format!(
                    "`{key}` cannot be stored: a beginning of it is itself an object, and in a local folder a name is a file or a folder"
                ),
            )),
            _ => Err(Error::io(format_args!("make the folder of `{key}`"), error)),
        }
    }

    /// Removes an object, durably.
    pub(super) fn remove(&self, key: &Key) -> Result<(), Error> {
        let target = self.path(key);
        let folder = target.parent().unwrap_or(&self.root);
        let removed = {
            let _lock = self.locks.lock(key)?;
            fs::remove_file(&target)
        };
        match removed {
            Ok(()) => {
                sync_name(key, folder)?;
                self.prune(folder);
                Ok(())
            }
            Err(e) if absent(&e) || target.is_dir() => Ok(()),
            Err(e) => Err(Error::io(format_args!("delete `{key}`"), e)),
        }
    }

    /// Removes a folder and those above it, as far as they are empty.
    fn prune(&self, folder: &Path) {
        let _writing = self.folders.0.write();
        for folder in folder.ancestors() {
            // Not removable means, most of the time, not empty; and a folder
            // that stays does no harm.
            if folder == self.root || fs::remove_dir(folder).is_err() {
                return;
            }
        }
    }
}

fn make_folders(root: &Path, folder: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    for ancestor in folder.ancestors() {
        if ancestor == root || ancestor.is_dir() {
            break;
        }
        missing.push(ancestor);
    }
    for path in missing.into_iter().rev() {
        match fs::create_dir(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            made => made?,
        }
        if let Some(parent) = path.parent() {
            sync_folder(parent)?;
        }
    }
    Ok(())
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes durable that `folder` has a name more or less.
fn sync_name(key: &Key, folder: &Path) -> Result<(), Error> {
    match sync_folder(folder) {
        // A delete beside this call emptied it: what it held is gone either way.
        Err(e) if !absent(&e) => Err(Error::io(format_args!("sync the folder of `{key}`"), e)),
        _ => Ok(()),
    }
}

fn exists(key: &Key) -> Error {
    Error::new(Kind::AlreadyExists, format!("`{key}` exists already"))
}
