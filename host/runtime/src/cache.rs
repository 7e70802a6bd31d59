//! Compiled code on disk.
//!
//! One file a component, named by the SHA-256 of the component, by what the engine's
//! settings and version make of compiled code, and by a checksum of the file itself:
//! a file that was cut or damaged no longer has its name, and is compiled anew. A file
//! that is used is touched; when one more makes them too many bytes, those go that were
//! touched longest ago. What was opened last stays open: who goes back a version, or
//! drops one again, has it at once.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, DirEntry, File, FileTimes};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::Stamp;

/// Reads of the checksum.
const BLOCK: usize = 256 << 10;
const SUFFIX: &str = ".cwasm";
/// Components that stay open.
const OPEN: usize = 2;
/// How long code of another make is kept: a host of another version may want it.
const KEEP: Duration = Duration::from_secs(24 * 3600);
/// Age of a file half written from which on nobody writes it.
const ABANDONED: Duration = Duration::from_secs(60 * 60);

/// The folder of compiled code, for one engine.
pub(crate) struct Cache {
    folder: PathBuf,
    /// Most bytes of its files.
    size: u64,
    engine: Engine,
    make: String,
    /// Files whose checksum was right, as they were then: each is read once.
    sound: Mutex<HashMap<PathBuf, Stamp>>,
    /// Files opened last, the latest at the end.
    open: Mutex<VecDeque<Open>>,
}

/// A file that is open, and as what.
struct Open {
    path: PathBuf,
    stamp: Stamp,
    component: Component,
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    Stamp::of(&fs::metadata(path)?)
}

impl Cache {
    pub(crate) fn new(folder: &Path, size: u64, engine: &Engine) -> Self {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self {
            folder: folder.to_owned(),
            size,
            engine: engine.clone(),
            make: format!("{:016x}", hasher.finish()),
            sound: Mutex::default(),
            open: Mutex::default(),
        }
    }

    /// Writes compiled code of this engine and reads it back, mapped. Trouble with the
    /// folder is logged and costs the caching.
    ///
    /// # Errors
    /// If it cannot be used even from memory.
    pub(crate) fn keep(&self, digest: &str, code: &[u8]) -> wasmtime::Result<Component> {
        match self.write(digest, code) {
            Ok(path) => match self.open(&path) {
                Ok(component) => return Ok(component),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "compiled code cannot be read back");
                }
            },
            Err(error) => {
                tracing::warn!(folder = %self.folder.display(), %error, "compiled code is not cached");
            }
        }
        // SAFETY: the bytes were made by this engine a moment ago and never left memory.
        unsafe { Component::deserialize(&self.engine, code) }
    }

    /// Whether there is code of this component that another engine made.
    pub(crate) fn has_other(&self, digest: &str) -> bool {
        let own = format!("{digest}-{}-", self.make);
        self.names(digest).any(|name| !name.starts_with(&own))
    }

    /// Whether there is code of this component, whatever engine made it.
    pub(crate) fn knows(&self, digest: &str) -> bool {
        self.names(digest).next().is_some()
    }

    /// Names of the files with code of a component.
    fn names(&self, digest: &str) -> impl Iterator<Item = String> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries.filter_map(move |entry| {
            let name = entry.file_name().into_string().ok()?;
            (name.starts_with(digest) && name.ends_with(SUFFIX)).then_some(name)
        })
    }

    /// Compiled code of a component, if it is there and whole.
    pub(crate) fn find(&self, digest: &str) -> Option<Component> {
        let prefix = format!("{digest}-{}-", self.make);
        for entry in fs::read_dir(&self.folder).ok()?.flatten() {
            let name = entry.file_name();
            let Some(sum) = name
                .to_str()
                .and_then(|name| name.strip_prefix(&prefix)?.strip_suffix(SUFFIX))
            else {
                continue;
            };
            let path = entry.path();
            match self.is_sound(&path, sum) {
                Ok(true) => match self.open(&path) {
                    Ok(component) => {
                        touch(&path);
                        return Some(component);
                    }
                    Err(error) => {
                        tracing::warn!(path = %path.display(), %error, "compiled code of another make: compiling anew");
                    }
                },
                Ok(false) => {
                    tracing::warn!(path = %path.display(), "compiled code is damaged: compiling anew");
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "compiled code cannot be read: compiling anew");
                }
            }
            self.lose(&path);
            let _ = fs::remove_file(&path);
        }
        None
    }

    /// Whether a file has this checksum. It is not read again while it stays as it is:
    /// nobody but the host writes to the folder.
    fn is_sound(&self, path: &Path, sum: &str) -> io::Result<bool> {
        let now = stamp(path)?;
        if self.sound.lock().get(path) == Some(&now) {
            return Ok(true);
        }
        let sound = checksum(path)? == sum;
        if sound {
            self.sound.lock().insert(path.to_owned(), now);
        }
        Ok(sound)
    }

    /// Opens a file that is sound, unless it is open.
    fn open(&self, path: &Path) -> wasmtime::Result<Component> {
        let stamp = stamp(path)?;
        let same = |file: &Open| file.path == path && file.stamp == stamp;
        let mut files = self.open.lock();
        let found = files.iter().position(same);
        let file = if let Some(file) = found.and_then(|at| files.remove(at)) {
            file
        } else {
            // It takes a while: others need not wait.
            drop(files);
            let component = open(&self.engine, path)?;
            files = self.open.lock();
            Open {
                path: path.to_owned(),
                stamp,
                component,
            }
        };
        let component = file.component.clone();
        files.push_back(file);
        if files.len() > OPEN {
            files.pop_front();
        }
        Ok(component)
    }

    /// A file is no more.
    fn lose(&self, path: &Path) {
        self.sound.lock().remove(path);
        self.open.lock().retain(|open| open.path != path);
    }

    /// Removes compiled code of a component, for whatever engine. What cannot be
    /// removed costs space alone.
    pub(crate) fn forget(&self, digest: &str) {
        self.sweep(digest, |_, _| true);
    }

    /// Writes beside and renames, so that a file is there whole or not at all. It is
    /// not flushed: one that a crash cut off is known by its checksum. Files of the
    /// same component for other engines are left over from an upgrade, once they are of
    /// some age: a host of the other version may still run.
    fn write(&self, digest: &str, code: &[u8]) -> io::Result<PathBuf> {
        fs::create_dir_all(&self.folder)?;
        let sum = format!("{:08x}", crc32fast::hash(code));
        let name = format!("{digest}-{}-{sum}{SUFFIX}", self.make);
        let path = self.folder.join(&name);
        let temporary = self.folder.join(format!(".{name}.{}", std::process::id()));
        let written = (|| {
            let mut file = File::create(&temporary)?;
            file.write_all(code)?;
            fs::rename(&temporary, &path)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written?;
        self.sweep(digest, |other, file| other != name && is_old(file));
        if let Err(error) = self.prune(&path) {
            tracing::warn!(folder = %self.folder.display(), %error, "compiled code is not pruned");
        }
        Ok(path)
    }

    /// Removes those files of a component that are to go.
    fn sweep(&self, digest: &str, goes: impl Fn(&str, &DirEntry) -> bool) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let stale = entry.file_name().to_str().is_some_and(|name| {
                name.starts_with(digest) && name.ends_with(SUFFIX) && goes(name, &entry)
            });
            if stale {
                self.lose(&entry.path());
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Removes what was used longest ago until the rest fits, and what was never
    /// written to its end. `newest` stays.
    fn prune(&self, newest: &Path) -> io::Result<()> {
        let now = SystemTime::now();
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)?.flatten() {
            let name = entry.file_name();
            let (Some(name), Ok(meta)) = (name.to_str(), entry.metadata()) else {
                continue;
            };
            if name.ends_with(SUFFIX) {
                files.push((meta.accessed()?, meta.len(), entry.path()));
            } else if name.starts_with('.')
                && name.contains(SUFFIX)
                && now
                    .duration_since(meta.modified()?)
                    .is_ok_and(|age| age > ABANDONED)
            {
                remove(&entry.path());
            }
        }
        let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        files.sort_unstable();
        for (_, size, path) in files {
            if bytes <= self.size {
                break;
            }
            if path != newest {
                // Whoever has it mapped keeps it.
                self.lose(&path);
                remove(&path);
                bytes -= size;
            }
        }
        Ok(())
    }
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => tracing::info!(path = %path.display(), "compiled code removed: not used lately"),
        Err(error) => tracing::warn!(path = %path.display(), %error, "compiled code stays"),
    }
}

/// Notes that a file was used now, as the time of its last access: some file systems
/// note none by themselves.
fn touch(path: &Path) {
    let now = FileTimes::new().set_accessed(SystemTime::now());
    let touched = File::open(path).and_then(|file| file.set_times(now));
    if let Err(error) = touched {
        tracing::debug!(path = %path.display(), %error, "the use of compiled code is not noted");
    }
}

/// Whether a file was written long enough ago that no other host may want it.
fn is_old(file: &DirEntry) -> bool {
    let written = file.metadata().and_then(|metadata| metadata.modified());
    let age = written.ok().and_then(|written| written.elapsed().ok());
    age.is_some_and(|age| age > KEEP)
}

fn open(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file is code that will run in this process, so it must be what this
    // host wrote. Its folder belongs to the host alone (as `RuntimeConfig::cache_dir`
    // demands), the caller has compared its checksum, against accidents, and wasmtime
    // checks that version and settings are this engine's. It is replaced by renaming
    // and never written to in place, so the mapping does not change under the engine.
    unsafe { Component::deserialize_file(engine, path) }
}

fn checksum(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = crc32fast::Hasher::new();
    let mut block = vec![0; BLOCK];
    loop {
        match file.read(&mut block)? {
            0 => break,
            read => hasher.update(&block[..read]),
        }
    }
    Ok(format!("{:08x}", hasher.finalize()))
}
