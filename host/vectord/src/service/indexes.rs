//! Making, listing, keeping and dropping indexes.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{DROPPED, MAKING, PART, SNAPSHOT, Service, Slot, no_index};
use crate::disk;
use crate::error::{Error, ErrorKind, Result};
use crate::index::{Index, Threads};
use crate::recover;
use crate::snapshot::{Restore, Snapshot};
use crate::types::{DamagedIndex, IndexInfo, IndexSpec, Source};
use crate::validate;

impl Service {
    /// Makes an index.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid), naming the parameter;
    /// [`AlreadyExists`](ErrorKind::AlreadyExists).
    pub fn create(&self, spec: &IndexSpec) -> Result<IndexInfo> {
        let spec = validate::spec(spec)?;
        let mut next = self.next_folder.lock();
        self.check_new(&spec.name)?;
        let folder_name = format!("{}{PART}{}", spec.name, *next);
        let folder = self.folder.join(&folder_name);
        recover::create(
            &spec,
            &folder,
            &self.folder.join(format!("{MAKING}{folder_name}")),
        )?;
        *next += 1;
        self.open_new(&spec.name, &folder)
    }

    fn check_new(&self, name: &str) -> Result<()> {
        if self.indexes.read().contains_key(name) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("index {name} exists already"),
            ));
        }
        Ok(())
    }

    pub(super) fn open_index(&self, name: &str, folder: &Path) -> Result<Arc<Index>> {
        let threads = Threads {
            worker: Arc::clone(&self.worker),
            linker: Arc::clone(&self.linker),
            builders: Arc::clone(&self.builders),
        };
        let budget = Arc::clone(&self.budget);
        Index::open(name, folder.to_owned(), &self.config, threads, budget)
    }

    /// Opens an index whose folder has just got its name.
    fn open_new(&self, name: &str, folder: &Path) -> Result<IndexInfo> {
        let opened = self.open_index(name, folder);
        let index = opened.inspect_err(|_| {
            // A failed call leaves nothing; a second folder would be in doubt.
            let _ = fs::remove_dir_all(folder);
        })?;
        let info = index.info();
        self.indexes
            .write()
            .insert(name.to_owned(), Slot::Open(index));
        Ok(info)
    }

    /// Takes a snapshot: the files of an index as they stand now.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound).
    pub fn snapshot(&self, index: &str) -> Result<Snapshot> {
        let index = self.index(index)?;
        let number = self.next_snapshot.fetch_add(1, Ordering::Relaxed);
        index.snapshot(&self.folder.join(format!("{SNAPSHOT}{number}")))
    }

    /// Begins to make an index of the files of a snapshot.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the name cannot be one;
    /// [`AlreadyExists`](ErrorKind::AlreadyExists).
    pub fn begin_restore(&self, name: &str) -> Result<Restore> {
        validate::name(name)?;
        self.check_new(name)?;
        let mut next = self.next_folder.lock();
        let folder = self.folder.join(format!("{MAKING}{name}{PART}{}", *next));
        *next += 1;
        Restore::begin(name, folder)
    }

    /// Makes an index of the files that were written.
    ///
    /// # Errors
    /// [`AlreadyExists`](ErrorKind::AlreadyExists);
    /// [`Internal`](ErrorKind::Internal), naming the file that is damaged or
    /// missing.
    pub fn finish_restore(&self, restore: &Restore) -> Result<IndexInfo> {
        restore.complete()?;
        let _next = self.next_folder.lock();
        self.check_new(&restore.name)?;
        let made = restore.folder.file_name().and_then(|name| name.to_str());
        let made = made.and_then(|name| name.strip_prefix(MAKING));
        let folder = self.folder.join(made.unwrap_or_default());
        fs::rename(&restore.folder, &folder).map_err(|e| Error::io(&e, "making", &folder))?;
        disk::sync_folder(&self.folder)?;
        self.open_new(&restore.name, &folder)
    }

    /// All open indexes, by name.
    pub fn list(&self) -> Vec<IndexInfo> {
        let indexes = self.indexes.read();
        let open = indexes.values().filter_map(|slot| match slot {
            Slot::Open(index) => Some(index.info()),
            Slot::Damaged { .. } => None,
        });
        open.collect()
    }

    /// The indexes that could not be opened, by name.
    pub fn damaged(&self) -> Vec<DamagedIndex> {
        let indexes = self.indexes.read();
        let damaged = indexes.iter().filter_map(|(name, slot)| match slot {
            Slot::Open(_) => None,
            Slot::Damaged { why, .. } => Some(DamagedIndex {
                name: name.clone(),
                detail: why.to_string(),
            }),
        });
        damaged.collect()
    }

    /// One index.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound).
    pub fn get(&self, name: &str) -> Result<IndexInfo> {
        Ok(self.index(name)?.info())
    }

    /// Removes an index and all that is in it, a damaged one too.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound).
    pub fn drop(&self, name: &str) -> Result<()> {
        validate::name(name)?;
        let _next = self.next_folder.lock();
        let (folder, index) = match self.indexes.read().get(name) {
            None => return Err(no_index(name)),
            Some(Slot::Open(index)) => (index.folder.clone(), Some(Arc::clone(index))),
            Some(Slot::Damaged { folder, .. }) => (folder.clone(), None),
        };
        let old = folder.file_name().and_then(|name| name.to_str());
        let away = self
            .folder
            .join(format!("{DROPPED}{}", old.unwrap_or_default()));
        {
            // No write may be acknowledged once the folder is gone.
            let mut writer = index.as_ref().map(|index| index.writer.lock());
            fs::rename(&folder, &away).map_err(|e| Error::io(&e, "removing", &folder))?;
            if let Some(writer) = &mut writer {
                writer.dropped = true;
            }
        }
        self.indexes.write().remove(name);
        if let Some(index) = &index {
            index.end();
            self.budget.note(&index.held, 0);
        }
        disk::sync_folder(&self.folder)?;
        if let Err(error) = fs::remove_dir_all(&away) {
            tracing::warn!(folder = %away.display(), %error, "removed at the next start");
        }
        Ok(())
    }

    /// Notes the query that an index is being filled from, or was.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound); if it cannot be written.
    pub fn set_source(&self, index: &str, source: Source) -> Result<()> {
        self.index(index)?.set_source(source)
    }
}
