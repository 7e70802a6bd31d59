//! The service: indexes by name, and the folder that holds them.

mod indexes;
mod items;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};

use crate::budget::Budget;
use crate::builders::Builders;
use crate::error::{Error, ErrorKind, Result};
use crate::index::Index;
use crate::searchers::Searchers;
use crate::types::{Durability, Engine};
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
    /// Threads that build graphs. By default as many as processors but one, and one more
    /// for links of the newest rows.
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
    builders: Arc<Builders>,
    worker: Arc<Worker>,
    linker: Arc<Worker>,
    threads: Vec<JoinHandle<()>>,
    searchers: Searchers,
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
        let lasting = config.build_threads.unwrap_or(processors - 1).max(1);
        let links = config.build_threads.unwrap_or(processors).max(1);
        let (worker, working) = Worker::start("work", Index::work)?;
        let (linker, linking) = Worker::start("linker", |index, _| index.link())?;
        let service = Self {
            folder: dir.to_owned(),
            indexes: RwLock::default(),
            next_folder: Mutex::new(0),
            builders: Arc::new(Builders::start(lasting, links)?),
            worker,
            linker,
            threads: vec![working, linking],
            searchers: Searchers::start(processors)?,
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

    /// Waits until no background work is queued or under way.
    pub fn settle(&self) {
        self.linker.settle();
        self.worker.settle();
    }

    pub(crate) fn index(&self, name: &str) -> Result<Arc<Index>> {
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
                index.end();
            }
        }
        self.worker.stop();
        self.linker.stop();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a background thread of the vector service had panicked");
            }
        }
        for slot in self.indexes.get_mut().values() {
            if let Slot::Open(index) = slot {
                index.close();
            }
        }
    }
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
