//! The service: indexes by name, and the folder that holds them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};
use rayon::ThreadPool;

use crate::budget::Budget;
use crate::disk;
use crate::error::{Error, ErrorKind, Result};
use crate::index::Index;
use crate::recover;
use crate::snapshot::{Restore, Snapshot};
use crate::types::{
    Added, DamagedIndex, Durability, Engine, Hit, IndexInfo, IndexSpec, Item, Query, StoredItem,
};
use crate::validate;
use crate::worker::Worker;

/// Begins the name of a folder that is being made.
const MAKING: &str = ".making-";
/// Begins the name of a folder that is being removed.
const DROPPED: &str = ".dropped-";
/// Begins the name of a folder that holds a snapshot while it is read.
const SNAPSHOT: &str = ".snapshot-";
/// Parts an index's name from a number, which keeps the folder of an index
/// apart from that of a dropped one of the same name.
const PART: char = '~';

/// How the service works. The default is right for most.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Rows in the log alone at which they are sealed into a segment with a
    /// graph. By default as many as make up about a million components.
    pub seal_rows: Option<usize>,
    /// Threads that build graphs. By default all processors but one.
    pub build_threads: Option<usize>,
    /// What an acknowledged write survives.
    pub durability: Durability,
    /// What builds the graphs.
    pub engine: Engine,
    /// Most bytes that all indexes hold in memory beside mapped files; more
    /// items are refused then. Not bounded by default.
    pub memory: Option<u64>,
    /// The same for each index.
    pub index_memory: Option<u64>,
}

/// Durable nearest-neighbour indexes under one folder.
///
/// Every method may be called from any thread. They block: on computing, and
/// writes on the disk. A write that returned `Ok` survives the process and the
/// machine, unless [`Config::durability`] says otherwise; one that returned an
/// error changed nothing.
#[derive(Debug)]
pub struct Service {
    folder: PathBuf,
    config: Config,
    indexes: RwLock<BTreeMap<String, Slot>>,
    /// Held while an index is made or dropped; counts folders made.
    next_folder: Mutex<u64>,
    worker: Arc<Worker>,
    thread: Option<JoinHandle<()>>,
    searchers: ThreadPool,
    budget: Arc<Budget>,
    /// Counts folders of snapshots.
    next_snapshot: AtomicU64,
    /// Keeps other processes out.
    _lock: File,
}

#[derive(Debug)]
enum Slot {
    Open(Arc<Index>),
    Damaged { folder: PathBuf, why: Error },
}

impl Service {
    /// Opens the service in a folder, which is made if need be. An index that
    /// cannot be opened is reported by [`Service::damaged`]; the others serve.
    ///
    /// # Errors
    /// If the folder cannot be made or read, or another process has it open.
    pub fn open(dir: &Path, config: Config) -> Result<Self> {
        fs::create_dir_all(dir).map_err(|e| Error::io(&e, "making", dir))?;
        let lock = lock(&dir.join(".lock"))?;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = config.build_threads.unwrap_or(processors - 1).max(1);
        let (worker, thread) = Worker::start(threads)?;
        let service = Self {
            folder: dir.to_owned(),
            indexes: RwLock::default(),
            next_folder: Mutex::new(0),
            worker,
            thread: Some(thread),
            searchers: searchers(processors)?,
            budget: Arc::new(Budget::new(config.memory, config.index_memory)),
            config,
            next_snapshot: AtomicU64::new(0),
            _lock: lock,
        };
        service.open_all()?;
        Ok(service)
    }

    fn open_all(&self) -> Result<()> {
        let failed = |e: std::io::Error| Error::io(&e, "reading the folder", &self.folder);
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let file_name = path.file_name().and_then(|name| name.to_str());
            let file_name = file_name.unwrap_or_default().to_owned();
            if [MAKING, DROPPED, SNAPSHOT]
                .iter()
                .any(|left| file_name.starts_with(left))
            {
                fs::remove_dir_all(&path).map_err(|e| Error::io(&e, "removing", &path))?;
                continue;
            }
            let parts = file_name.split_once(PART);
            let Some((name, number)) = parts.and_then(|(a, b)| Some((a, b.parse::<u64>().ok()?)))
            else {
                continue;
            };
            let mut next = self.next_folder.lock();
            *next = (*next).max(number + 1);
            let opened = self.open_index(name, &path);
            let slot = match opened {
                Ok(index) => Slot::Open(index),
                Err(why) => {
                    tracing::error!(index = name, error = %why, "the vector index cannot be opened");
                    Slot::Damaged { folder: path, why }
                }
            };
            self.indexes.write().insert(name.to_owned(), slot);
        }
        Ok(())
    }

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

    fn open_index(&self, name: &str, folder: &Path) -> Result<Arc<Index>> {
        let (worker, budget) = (Arc::clone(&self.worker), Arc::clone(&self.budget));
        Index::open(name, folder.to_owned(), &self.config, worker, budget)
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
            index.stop.store(true, Ordering::Relaxed);
            self.budget.note(&index.held, 0);
        }
        disk::sync_folder(&self.folder)?;
        if let Err(error) = fs::remove_dir_all(&away) {
            tracing::warn!(folder = %away.display(), %error, "removed at the next start");
        }
        Ok(())
    }

    /// Adds items or replaces them, all or none, in order: an id twice means
    /// that the last wins. Metadata that are `None` keep what was there.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid), naming the item;
    /// [`NotFound`](ErrorKind::NotFound); [`Exhausted`](ErrorKind::Exhausted).
    pub fn add(&self, index: &str, items: Vec<Item>) -> Result<Added> {
        self.index(index)?.add(items)
    }

    /// The `k` nearest items, nearest first, ties by id.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid), [`NotFound`](ErrorKind::NotFound).
    pub fn search(&self, index: &str, query: &Query) -> Result<Vec<Hit>> {
        self.index(index)?.search(query)
    }

    /// What [`Service::search`] gives for each of some queries, in their
    /// order, all as of one moment. They share the threads that search.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid), naming the query;
    /// [`NotFound`](ErrorKind::NotFound).
    pub fn search_many(&self, index: &str, queries: &[Query]) -> Result<Vec<Vec<Hit>>> {
        let index = self.index(index)?;
        self.searchers.install(|| index.search_many(queries))
    }

    /// Runs a job on one of the threads that search, of which there are as
    /// many as processors. A job that panics ends there, and is logged.
    pub fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        self.searchers.spawn(job);
    }

    /// One item.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound), of the index or of the item.
    pub fn item(&self, index: &str, id: &str) -> Result<StoredItem> {
        self.index(index)?.item(id)
    }

    /// Removes one item.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound), of the index or of the item.
    pub fn delete_item(&self, index: &str, id: &str) -> Result<()> {
        let index = self.index(index)?;
        match index.delete(vec![id.to_owned()])? {
            0 => Err(index.no_item(id)),
            _ => Ok(()),
        }
    }

    /// Removes items; says how many were there.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid), naming the id;
    /// [`NotFound`](ErrorKind::NotFound), of the index.
    pub fn delete(&self, index: &str, ids: Vec<String>) -> Result<u64> {
        self.index(index)?.delete(ids)
    }

    /// Waits until no background work is queued or under way.
    pub fn settle(&self) {
        self.worker.settle();
    }

    fn index(&self, name: &str) -> Result<Arc<Index>> {
        validate::name(name)?;
        match self.indexes.read().get(name) {
            Some(Slot::Open(index)) => Ok(Arc::clone(index)),
            Some(Slot::Damaged { why, .. }) => Err(Error::internal(format!(
                "index {name} could not be opened: {why}"
            ))),
            None => Err(no_index(name)),
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        for slot in self.indexes.get_mut().values() {
            if let Slot::Open(index) = slot {
                index.stop.store(true, Ordering::Relaxed);
            }
        }
        self.worker.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the background thread of the vector service had panicked");
        }
        for slot in self.indexes.get_mut().values() {
            if let Slot::Open(index) = slot {
                index.close();
            }
        }
    }
}

/// Threads that search.
fn searchers(threads: usize) -> Result<ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|i| format!("vectord-search-{i}"))
        .panic_handler(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            tracing::error!("a call panicked: {}", text.unwrap_or("no message"));
        })
        .build()
        .map_err(|e| Error::internal(format!("starting threads: {e}")))
}

fn no_index(name: &str) -> Error {
    Error::not_found(format!("no index {name}"))
}

fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).map_err(|e| Error::io(&e, "making", path))?;
    file.try_lock().map_err(|e| {
        Error::new(
            ErrorKind::Unavailable,
            format!(
                "{} cannot be locked; is another process serving it? ({e})",
                path.display()
            ),
        )
    })?;
    Ok(file)
}
