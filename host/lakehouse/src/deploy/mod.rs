//! Which version of each plugin serves, and how one takes the place of another.
//!
//! A version is staged, put to its tests, kept, noted in the plugin's journal, and
//! then swapped in; whatever fails on the way, the one before serves on. The latest
//! act decides what serves: a file that is new or another one, a deploy or a removal
//! through the API, a rollback. A file counts as an act when its content changes, also
//! while the host was off, and not when a start finds it as it was.

mod activate;
mod fault;
mod folder;
mod journal;
mod lane;
mod prepare;
mod vault;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lakehouse_runtime::{Artifact, Digests, Runtime};
use parking_lot::Mutex;
use tokio::sync::{MutexGuard, Semaphore};

use crate::config::Config;
use crate::roster::{Roster, State};

use activate::Candidate;
pub use fault::Fault;
pub use folder::{Found, look};
pub use journal::{Generation, Source, Target, now};
use journal::{Journal, Outcome};
use lane::{Lane, Lanes};
pub use prepare::Workshop;
use vault::Part;
pub use vault::Vault;

/// Versions for which better code than a draft is made at once: the processors are busy
/// with one, and another one that takes its time to start need not hold up the next.
const REFINING: usize = 2;

/// How long a request waits for its plugin: a file that comes is to serve within a second.
const PATIENCE: Duration = Duration::from_secs(2);

/// Deploys plugins.
pub struct Deployer {
    config: Arc<Config>,
    roster: Arc<Roster>,
    runtime: Runtime,
    workshop: Workshop,
    vault: Arc<Vault>,
    lanes: Lanes,
    /// Turns to make better code than a draft. Who waits for one takes no thread.
    refining: Semaphore,
    /// Of files that were read.
    digests: Arc<Digests>,
    /// Plugins that the start has not come to yet: what it finds was done before.
    unsettled: Mutex<BTreeSet<String>>,
    /// Why the plugins folder cannot be read.
    trouble: Mutex<Option<String>>,
}

impl Deployer {
    /// One for these; `journals` are what the vault remembers. Nothing is done before
    /// [`run`](Self::run).
    pub fn new(
        config: Arc<Config>,
        roster: Arc<Roster>,
        runtime: Runtime,
        workshop: Workshop,
        vault: Vault,
        journals: BTreeMap<String, Journal>,
    ) -> Self {
        Self {
            config,
            runtime,
            workshop,
            vault: Arc::new(vault),
            unsettled: Mutex::new(
                roster
                    .all()
                    .iter()
                    .filter(|entry| entry.state() == State::Loading)
                    .map(|entry| entry.name.clone())
                    .collect(),
            ),
            roster,
            lanes: Lanes::new(journals),
            refining: Semaphore::new(REFINING),
            digests: Arc::default(),
            trouble: Mutex::default(),
        }
    }

    /// Deploys a component that was sent. True if nothing of this name served before.
    ///
    /// # Errors
    /// A [`Fault`]; what served before serves on.
    pub async fn deploy(self: &Arc<Self>, name: &str, artifact: Artifact) -> Result<bool, Fault> {
        self.roster.claim(name).map_err(Fault::Name)?;
        let lane = self.lanes.get(name);
        let mut lane = self.enter(name, &lane).await?;
        let first = lane.journal.current.is_none();
        let candidate = Candidate {
            path: self.vault.path(artifact.digest()),
            artifact,
            source: Source::Api,
            left: Outcome::Replaced,
            reason: None,
            afresh: false,
        };
        self.activate(name, &mut lane, candidate, None).await?;
        Ok(first)
    }

    /// Goes back to an earlier generation.
    ///
    /// # Errors
    /// A [`Fault`]; what served before serves on.
    pub async fn rollback(self: &Arc<Self>, name: &str, target: &Target) -> Result<(), Fault> {
        let lane = self.lanes.find(name).ok_or_else(|| Fault::unknown(name))?;
        let mut lane = self.enter(name, &lane).await?;
        self.go_back(name, &mut lane, target, Source::Rollback, None)
            .await
    }

    /// Takes the file in the plugins folder, whatever was done since it changed; where
    /// there is none, starts what serves afresh.
    ///
    /// # Errors
    /// A [`Fault`]; what served before serves on.
    pub async fn reload(self: &Arc<Self>, name: &str) -> Result<(), Fault> {
        let route = self.roster.claim(name).map_err(Fault::Name);
        let path = self.file(name);
        let is_there = path.exists();
        let lane = if is_there {
            route?;
            self.lanes.get(name)
        } else {
            self.lanes.find(name).ok_or_else(|| Fault::unknown(name))?
        };
        let mut lane = self.enter(name, &lane).await?;
        let (artifact, source, file) = if is_there {
            let artifact = self.read(&path).await?.ok_or_else(|| Fault::busy(name))?;
            let file = artifact.digest().to_owned();
            (artifact, Source::Folder, Some(file))
        } else {
            let current = lane.journal.current().ok_or_else(|| Fault::unknown(name))?;
            let source = current.source;
            (self.fetch(&current.digest.clone()).await?, source, None)
        };
        let candidate = Candidate {
            artifact,
            source,
            path,
            left: Outcome::Replaced,
            reason: None,
            afresh: true,
        };
        self.activate(name, &mut lane, candidate, file).await
    }

    /// Removes a plugin. Its generations stay, to go back to; a file of it in the
    /// plugins folder stays too and counts again when it changes.
    ///
    /// # Errors
    /// A [`Fault`]; what served before serves on.
    pub async fn remove(&self, name: &str) -> Result<(), Fault> {
        let lane = self.lanes.find(name).ok_or_else(|| Fault::unknown(name))?;
        let mut lane = self.enter(name, &lane).await?;
        if lane.journal.current.is_none() {
            return Err(Fault::unknown(name));
        }
        let mut reason = "it was removed through the API".to_owned();
        if self.file(name).exists() {
            let file = self.file(name);
            reason.push_str(&format!("; {} counts when it changes", file.display()));
        }
        self.take_away(name, &mut lane, Source::Api, &reason, false)
            .await
    }

    /// The generations of a plugin, latest first, and the number of the one that serves.
    pub fn generations(&self, name: &str) -> Option<(Option<u64>, Vec<Generation>)> {
        let lane = self.lanes.find(name)?;
        let journal = lane.noted();
        if journal.generations.is_empty() {
            return None;
        }
        let mut generations = journal.generations.clone();
        generations.reverse();
        Some((journal.current, generations))
    }

    /// Why the plugins folder cannot be read; none if it can.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Whether a plugin is being loaded and nothing of it serves meanwhile, or its file is
    /// new in the folder and was not noticed yet.
    pub async fn is_to_come(&self, name: &str) -> bool {
        match self.roster.get(name).map(|entry| entry.state()) {
            Some(State::Loading) => return true,
            Some(State::Serving | State::Failed(_)) => return false,
            Some(State::Absent(_)) => {
                let lane = self.lanes.find(name);
                if lane.is_some_and(|lane| lane.noted().file.is_some()) {
                    // Removed through the API: the file that is there does not count.
                    return false;
                }
            }
            None if self.roster.claim(name).is_err() => return false,
            None => {}
        }
        tokio::fs::try_exists(self.file(name))
            .await
            .unwrap_or(false)
    }

    /// Waits until a plugin that is to come serves or failed, but not for ever.
    pub async fn arrival(&self, name: &str) {
        let arrived = async {
            loop {
                // Before the look, for no change to be missed.
                let news = self.roster.news();
                match self.roster.get(name).map(|entry| entry.state()) {
                    Some(State::Failed(_)) => return,
                    Some(State::Serving) if self.runtime.plugin(name).is_some() => return,
                    // It is listed a moment before it serves.
                    Some(State::Serving) => tokio::task::yield_now().await,
                    Some(State::Loading | State::Absent(_)) | None => news.await,
                }
            }
        };
        // Whoever asked sees how it is.
        let _ = tokio::time::timeout(PATIENCE, arrived).await;
    }

    /// Takes over a file as it is now. False if somebody is writing to it.
    async fn take(self: &Arc<Self>, name: &str, path: &Path) -> bool {
        if let Err(reason) = self.roster.claim(name) {
            tracing::error!(plugin = name, reason, "not loaded");
            self.roster.refuse(name, reason);
            return true;
        }
        let entry = self.roster.enter(name);
        let lane = self.lanes.get(name);
        let mut lane = lane.lock().await;
        let artifact = match self.read(path).await {
            Ok(Some(artifact)) => artifact,
            Ok(None) => return false,
            Err(fault) => {
                self.failed(name, &fault, Source::Folder);
                self.restore(name, &mut lane, None).await;
                return true;
            }
        };
        let digest = artifact.digest().to_owned();
        if lane.journal.file.as_deref() == Some(&digest) {
            if lane.journal.current.is_none() {
                let path = path.display();
                entry.withdraw(format!(
                    "it was removed through the API; {path} counts when it changes"
                ));
            } else {
                self.restore(name, &mut lane, Some(artifact)).await;
            }
            return true;
        }
        let candidate = Candidate {
            artifact,
            source: Source::Folder,
            path: path.to_owned(),
            left: Outcome::Replaced,
            reason: None,
            afresh: false,
        };
        let file = Some(digest);
        if self
            .activate(name, &mut lane, candidate, file)
            .await
            .is_err()
        {
            self.restore(name, &mut lane, None).await;
        }
        true
    }

    /// The file of a plugin is no more.
    async fn lose(&self, name: &str) {
        let Some(lane) = self.lanes.find(name) else {
            self.roster.leave(name, &absent(&self.file(name)));
            return;
        };
        let mut lane = lane.lock().await;
        if lane.journal.file.is_none() && lane.journal.current.is_some() {
            // It was never taken over: what serves came another way.
            return;
        }
        let reason = absent(&self.file(name));
        if lane.journal.generations.is_empty() {
            self.roster.leave(name, &reason);
            return;
        }
        let away = self.take_away(name, &mut lane, Source::Folder, &reason, true);
        if let Err(fault) = away.await {
            tracing::error!(plugin = name, reason = %fault, "not removed");
        }
    }

    /// Replaces a plugin's journal, so that it survives what follows.
    async fn note(&self, name: &str, journal: &Journal) -> Result<(), Fault> {
        let vault = Arc::clone(&self.vault);
        let name = name.to_owned();
        let journal = journal.clone();
        blocking(move || Ok(vault.draft(&name, &journal)?.publish(true)?)).await
    }

    /// Keeps a component, and writes a journal that names it beside the one that counts.
    async fn keep(
        &self,
        name: &str,
        artifact: Artifact,
        durable: bool,
        journal: &Journal,
    ) -> Result<Part, Fault> {
        let vault = Arc::clone(&self.vault);
        let name = name.to_owned();
        let journal = journal.clone();
        blocking(move || {
            vault.keep(&name, &artifact, durable)?;
            Ok(vault.draft(&name, &journal)?)
        })
        .await
    }

    /// Removes what no journal names any more.
    async fn forget(&self, name: &str, digests: Vec<String>) {
        if digests.is_empty() {
            return;
        }
        let vault = Arc::clone(&self.vault);
        let runtime = self.runtime.clone();
        let name = name.to_owned();
        let forgotten = blocking(move || {
            for digest in vault.release(&name, digests) {
                runtime.forget(&digest);
            }
            Ok(())
        });
        if let Err(fault) = forgotten.await {
            tracing::error!(reason = %fault, "old generations stay");
        }
    }

    async fn fetch(&self, digest: &str) -> Result<Artifact, Fault> {
        let vault = Arc::clone(&self.vault);
        let digest = digest.to_owned();
        blocking(move || vault.fetch(&digest).map_err(Fault::from)).await
    }

    /// A file's content; none if it changes meanwhile.
    async fn read(&self, path: &Path) -> Result<Option<Artifact>, Fault> {
        let path = path.to_owned();
        let limit = self.config.plugins.max_size.0;
        let digests = Arc::clone(&self.digests);
        blocking(move || {
            folder::read(&path, limit, &digests)
                .map_err(|error| Fault::Read(format!("cannot read {}: {error}", path.display())))
        })
        .await
    }

    /// Where the plugin's file is or would be.
    fn file(&self, name: &str) -> PathBuf {
        self.config.plugins.dir.join(format!("{name}.wasm"))
    }

    /// One's turn to change a plugin, if it is nobody else's. A draft that gives way to
    /// better code does so within this time.
    async fn enter<'a>(
        &self,
        name: &str,
        lane: &'a lane::Shared,
    ) -> Result<MutexGuard<'a, Lane>, Fault> {
        const MOMENT: Duration = Duration::from_millis(50);
        if self.unsettled.lock().contains(name) {
            return Err(Fault::busy(name));
        }
        let turn = tokio::time::timeout(MOMENT, lane.lock()).await;
        turn.map_err(|_| Fault::busy(name))
    }
}

/// Names whose journals say that they serve.
pub fn remembered(journals: &BTreeMap<String, Journal>) -> impl Iterator<Item = String> {
    let serving = journals
        .iter()
        .filter(|(_, journal)| journal.current.is_some());
    serving.map(|(name, _)| name.clone())
}

/// Runs what blocks where that does no harm.
async fn blocking<T: Send + 'static>(
    f: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(f).await {
        Ok(result) => result,
        Err(panic) => Err(Fault::Internal(panic.to_string())),
    }
}

fn absent(file: &Path) -> String {
    format!("there is no file {}", file.display())
}
