//! The components that served, each under its SHA-256, and a journal for each plugin.
//!
//! All of it lies in one folder: `<digest>.wasm` and `<plugin>.json`. A file appears
//! whole or not at all, by a rename; components are never changed after. A component
//! goes when no journal names it any more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use lakehouse_runtime::Artifact;
use parking_lot::Mutex;

use super::journal::Journal;

/// The folder.
#[derive(Debug)]
pub struct Vault {
    folder: PathBuf,
    /// Which plugins' journals name a component.
    users: Mutex<BTreeMap<String, BTreeSet<String>>>,
    /// Numbers of files that are being written.
    parts: AtomicU64,
}

/// Something in the folder cannot be read or written. The text names it.
#[derive(Debug, thiserror::Error)]
#[error("{what} {}: {error}", .path.display())]
pub struct VaultError {
    what: &'static str,
    path: PathBuf,
    error: io::Error,
}

impl VaultError {
    /// Whether there is no room.
    pub fn is_full(&self) -> bool {
        matches!(
            self.error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        )
    }
}

impl Vault {
    /// Opens the folder, which is made if it is not there, and reads all journals. One
    /// that is damaged is put aside and logged; what no journal names is removed.
    ///
    /// # Errors
    /// If the folder cannot be made or read.
    pub fn open(folder: &Path) -> Result<(Self, BTreeMap<String, Journal>), VaultError> {
        let failed = |what| {
            move |error| VaultError {
                what,
                path: folder.to_owned(),
                error,
            }
        };
        fs::create_dir_all(folder).map_err(failed("cannot make the folder"))?;
        let mut journals = BTreeMap::new();
        let mut components = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed("cannot read the folder"))? {
            let path = entry.map_err(failed("cannot read the folder"))?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let extension = path.extension().and_then(|extension| extension.to_str());
            match (stem, extension) {
                (Some(name), Some("json")) => {
                    journals.insert(name.to_owned(), read_journal(&path));
                }
                (Some(digest), Some("wasm")) => components.push((digest.to_owned(), path.clone())),
                // Left over by a crash.
                (_, Some("part")) => remove(&path),
                _ => {}
            }
        }
        let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, journal) in &journals {
            for generation in &journal.generations {
                let of = users.entry(generation.digest.clone()).or_default();
                of.insert(name.clone());
            }
        }
        for (digest, path) in components {
            if !users.contains_key(&digest) {
                remove(&path);
            }
        }
        let vault = Self {
            folder: folder.to_owned(),
            users: Mutex::new(users),
            parts: AtomicU64::new(0),
        };
        Ok((vault, journals))
    }

    /// Keeps a component for a plugin. With `durable` it survives a crash of the
    /// machine from here on; without, the system writes it in its own time, and a
    /// copy that a crash damaged is known by its digest.
    ///
    /// # Errors
    /// If it cannot be written. [`release`](Self::release) undoes the rest.
    pub fn keep(&self, plugin: &str, artifact: &Artifact, durable: bool) -> Result<(), VaultError> {
        // Named first: what has a user is not removed while it is written.
        let digest = artifact.digest().to_owned();
        let mut users = self.users.lock();
        users.entry(digest).or_default().insert(plugin.to_owned());
        drop(users);
        let path = self.path(artifact.digest());
        let there = fs::metadata(&path).is_ok_and(|file| file.len() == artifact.size());
        if there {
            return Ok(());
        }
        let bytes = artifact.bytes().map_err(|error| VaultError {
            what: "cannot keep the component as",
            path: path.clone(),
            error,
        })?;
        self.write(&path, &bytes)?.publish(durable)
    }

    /// A component that was kept.
    ///
    /// # Errors
    /// If it is not there, or is not what it was.
    pub fn fetch(&self, digest: &str) -> Result<Artifact, VaultError> {
        let path = self.path(digest);
        let failed = |error| VaultError {
            what: "cannot read the component",
            path: path.clone(),
            error,
        };
        let artifact = Artifact::new(fs::read(&path).map_err(failed)?);
        if artifact.digest() != digest {
            let text = format!("it is damaged: its SHA-256 is {}", artifact.digest());
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, text)));
        }
        Ok(artifact)
    }

    /// A plugin's journal names these components no more. Those that no other one
    /// names are removed and returned.
    pub fn release(&self, plugin: &str, digests: Vec<String>) -> Vec<String> {
        let mut users = self.users.lock();
        let mut removed = Vec::new();
        for digest in digests {
            let Some(of) = users.get_mut(&digest) else {
                continue;
            };
            of.remove(plugin);
            if of.is_empty() {
                users.remove(&digest);
                remove(&self.path(&digest));
                removed.push(digest);
            }
        }
        removed
    }

    /// Writes what is to replace a plugin's journal beside it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn draft(&self, plugin: &str, journal: &Journal) -> Result<Part, VaultError> {
        let path = self.folder.join(format!("{plugin}.json"));
        let text = serde_json::to_vec_pretty(journal).map_err(|error| VaultError {
            what: "cannot write the journal",
            path: path.clone(),
            error: error.into(),
        })?;
        self.write(&path, &text)
    }

    /// Where a component is kept.
    pub fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}.wasm"))
    }

    /// Writes what is to be at `path` beside it.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<Part, VaultError> {
        let number = self.parts.fetch_add(1, Ordering::Relaxed);
        let part = Part {
            at: self.folder.join(format!("{number}.part")),
            path: path.to_owned(),
        };
        let written = File::create(&part.at).and_then(|mut file| file.write_all(bytes));
        written.map_err(|error| part.failed(error))?;
        Ok(part)
    }
}

/// A file that is whole and lies beside the place where it counts. Dropped, it is gone.
#[derive(Debug)]
#[must_use = "it counts once it is published"]
pub struct Part {
    at: PathBuf,
    path: PathBuf,
}

impl Part {
    /// Puts it in its place, instead of the file that is there. With `durable` it survives
    /// a crash of the machine from here on.
    ///
    /// # Errors
    /// If it cannot be flushed or renamed. Until then, what was there stays.
    pub fn publish(self, durable: bool) -> Result<(), VaultError> {
        let flush = |path: &Path| {
            if durable {
                File::open(path)?.sync_all()
            } else {
                Ok(())
            }
        };
        let renamed = flush(&self.at).and_then(|()| {
            fs::rename(&self.at, &self.path)?;
            self.path.parent().map_or(Ok(()), flush)
        });
        renamed.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> VaultError {
        VaultError {
            what: "cannot write",
            path: self.path.clone(),
            error,
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        remove(&self.at);
    }
}

/// A journal that cannot be used is put aside, and the plugin begins a new one.
fn read_journal(path: &Path) -> Journal {
    let read = fs::read(path)
        .map_err(|error| error.to_string())
        .and_then(|text| Journal::parse(&text));
    read.unwrap_or_else(|error| {
        tracing::error!(
            path = %path.display(),
            error,
            "a plugin's journal cannot be used and is put aside: its generations are forgotten"
        );
        let aside = path.with_extension("json.damaged");
        if let Err(error) = fs::rename(path, &aside) {
            tracing::warn!(path = %aside.display(), %error, "cannot put it aside");
        }
        Journal::default()
    })
}

/// Removes a file; one that stays costs its space and is tried again at the next start.
fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "cannot remove");
    }
}

#[cfg(test)]
mod tests {
    use super::super::journal::{Outcome, Source};
    use super::*;

    fn served(digest: &str) -> Journal {
        let mut journal = Journal::default();
        journal.begin(digest, 1, Source::Api, Outcome::Replaced, None);
        journal
    }

    #[test]
    fn what_is_kept_is_there_after_opening_again() {
        let folder = tempfile::tempdir().unwrap();
        let (vault, journals) = Vault::open(folder.path()).unwrap();
        assert!(journals.is_empty());
        let kept = Artifact::new("a component".as_bytes());
        let lost = Artifact::new("never named".as_bytes());
        for artifact in [&kept, &lost] {
            vault.keep("a", artifact, true).unwrap();
        }
        let journal = vault.draft("a", &served(kept.digest())).unwrap();
        journal.publish(true).unwrap();
        // What was not to be leaves nothing.
        drop(vault.draft("a", &served(lost.digest())).unwrap());
        let parts = fs::read_dir(folder.path()).unwrap();
        let mut names = parts.map(|part| part.unwrap().path());
        assert!(names.all(|name| name.extension().unwrap() != "part"));

        let (vault, journals) = Vault::open(folder.path()).unwrap();
        assert_eq!(journals["a"].current().unwrap().digest, kept.digest());
        let fetched = vault.fetch(kept.digest()).unwrap();
        assert_eq!(fetched.bytes().unwrap(), kept.bytes().unwrap());
        assert!(vault.fetch(lost.digest()).is_err());
    }

    #[test]
    fn a_component_goes_with_the_last_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let (vault, _) = Vault::open(folder.path()).unwrap();
        let shared = Artifact::new("shared".as_bytes());
        vault.keep("a", &shared, false).unwrap();
        vault.keep("b", &shared, false).unwrap();
        let digests = vec![shared.digest().to_owned()];
        assert!(vault.release("a", digests.clone()).is_empty());
        assert!(vault.fetch(shared.digest()).is_ok());
        assert_eq!(vault.release("b", digests.clone()), digests);
        assert!(vault.fetch(shared.digest()).is_err());
    }

    #[test]
    fn damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (vault, _) = Vault::open(folder.path()).unwrap();
        let artifact = Artifact::new("whole".as_bytes());
        vault.keep("a", &artifact, false).unwrap();
        fs::write(vault.path(artifact.digest()), "holes").unwrap();
        let error = vault.fetch(artifact.digest()).unwrap_err().to_string();
        assert!(error.contains("damaged"), "{error}");

        let journal = vault.draft("a", &served(artifact.digest())).unwrap();
        journal.publish(true).unwrap();
        fs::write(folder.path().join("a.json"), "{\"form\":1").unwrap();
        let (_, journals) = Vault::open(folder.path()).unwrap();
        assert_eq!(journals["a"], Journal::default());
        assert!(folder.path().join("a.json.damaged").exists());
    }
}
