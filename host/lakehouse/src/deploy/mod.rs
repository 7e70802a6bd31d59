//! Which version of each plugin serves, and how one takes the place of another.
//!
//! A version is staged, put to its tests, kept, noted in the plugin's journal, and
//! then swapped in; whatever fails on the way, the one before serves on. The latest
//! act decides what serves: a file that is new or another one, a deploy or a removal
//! through the API, a rollback. A file counts as an act when its content changes, also
//! while the host was off, and not when a start finds it as it was.

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

use lakehouse_runtime::{Artifact, Retired, Runtime, Verdict, Watch};
use parking_lot::Mutex;
use tokio::sync::MutexGuard;

use crate::config::Config;
use crate::roster::{Attempt, Roster, State};

pub use fault::Fault;
pub use folder::{Found, look};
pub use journal::{Generation, Source, Target, now};
use journal::{Journal, Outcome};
use lane::{Lane, Lanes};
pub use prepare::Workshop;
pub use vault::Vault;

/// Deploys plugins.
pub struct Deployer {
    config: Arc<Config>,
    roster: Arc<Roster>,
    runtime: Runtime,
    workshop: Workshop,
    vault: Arc<Vault>,
    lanes: Lanes,
    /// Plugins that the start has not come to yet: what it finds was done before.
    unsettled: Mutex<BTreeSet<String>>,
    /// Why the plugins folder cannot be read.
    trouble: Mutex<Option<String>>,
}

/// A new version of a plugin.
struct Candidate {
    artifact: Artifact,
    source: Source,
    /// Where it came from.
    path: PathBuf,
    /// What becomes of the generation that it replaces, and why.
    left: Outcome,
    reason: Option<String>,
    /// It takes the place of one like it too.
    afresh: bool,
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
                    .chain(remembered(&journals))
                    .collect(),
            ),
            roster,
            lanes: Lanes::new(journals),
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
        let mut lane = self.enter(name, &lane)?;
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
        let mut lane = self.enter(name, &lane)?;
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
        let mut lane = self.enter(name, &lane)?;
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
        let mut lane = self.enter(name, &lane)?;
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
                self.restore(name, &mut lane).await;
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
                self.restore(name, &mut lane).await;
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
            self.restore(name, &mut lane).await;
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

    /// Lets what the journal names serve, unless it does. The start of a plugin whose
    /// file is not news, or is not fit to serve.
    async fn restore(&self, name: &str, lane: &mut Lane) {
        let Some(current) = lane.journal.current().cloned() else {
            return;
        };
        if self.runtime.plugin(name).is_some() {
            return;
        }
        let number = current.generation;
        let restored = async {
            let artifact = self.fetch(&current.digest).await?;
            let path = self.vault.path(&current.digest);
            let staged = self.workshop.stage(name, number, &path, artifact).await;
            Ok::<_, Fault>(staged.map_err(Fault::from)?)
        };
        match restored.await {
            Ok(staged) => {
                let status = staged.status().clone();
                self.runtime.swap(staged);
                tracing::info!(plugin = name, generation = number, "serves again");
                self.roster.enter(name).serve(status, &current, None);
            }
            Err(fault) => self.failed(name, &fault, current.source),
        }
    }

    /// Tries a candidate and lets it serve. `file` is the digest of the plugin's file
    /// if that is what it is.
    async fn activate(
        self: &Arc<Self>,
        name: &str,
        lane: &mut Lane,
        candidate: Candidate,
        file: Option<String>,
    ) -> Result<(), Fault> {
        let source = candidate.source;
        let result = self.try_activate(name, lane, candidate, file).await;
        if let Err(fault) = &result {
            self.failed(name, fault, source);
        }
        result
    }

    async fn try_activate(
        self: &Arc<Self>,
        name: &str,
        lane: &mut Lane,
        candidate: Candidate,
        file: Option<String>,
    ) -> Result<(), Fault> {
        let Candidate {
            artifact,
            source,
            path,
            left,
            reason,
            afresh,
        } = candidate;
        let (digest, size) = (artifact.digest().to_owned(), artifact.size());
        let mut journal = lane.journal.clone();
        let serves = self.runtime.plugin(name).is_some();
        if serves && !afresh && journal.current().is_some_and(|now| now.digest == digest) {
            if file.is_some() && file != journal.file {
                journal.file = file;
                self.note(name, &journal, None).await?;
                lane.set(journal);
            }
            return Ok(());
        }
        let number = journal.begin(&digest, size, source, left, reason);
        if file.is_some() {
            journal.file = file;
        }
        let dropped = journal.prune(self.config.plugins.keep);

        let staged = self
            .workshop
            .prepare(name, number, &path, artifact.clone())
            .await
            .map_err(Fault::from)?;
        // The file is a copy of its own; of what was sent there is no other.
        let durable = source == Source::Api;
        if let Err(fault) = self.note(name, &journal, Some((artifact, durable))).await {
            if !lane.journal.names(&digest) {
                self.vault.release(name, vec![digest]);
            }
            return Err(fault);
        }

        let status = staged.status().clone();
        let before = lane.journal.current;
        lane.set(journal);
        let swapped = self.runtime.swap(staged);
        tracing::info!(
            plugin = name,
            generation = number,
            digest,
            ?source,
            cached = status.cached,
            ms = status.load_ms,
            "serves"
        );
        if let Some(current) = lane.journal.current() {
            let attempt = Some(Attempt::served(current));
            self.roster.enter(name).serve(status, current, attempt);
        }
        if let Some(retired) = swapped.retired {
            tokio::spawn(drain(name.to_owned(), before, retired));
        }
        if before.is_some() && matches!(source, Source::Folder | Source::Api) {
            self.put_on_trial(name, lane, number, swapped.watch);
        } else {
            lane.end_trial();
        }
        self.forget(name, dropped).await;
        Ok(())
    }

    /// Takes a plugin out of service and notes it. `file` says that its file is gone.
    async fn take_away(
        &self,
        name: &str,
        lane: &mut Lane,
        source: Source,
        reason: &str,
        file: bool,
    ) -> Result<(), Fault> {
        let mut journal = lane.journal.clone();
        let number = journal.current;
        journal.end(Outcome::Removed, Some(reason.to_owned()));
        if file {
            journal.file = None;
        }
        let dropped = journal.prune(self.config.plugins.keep);
        self.note(name, &journal, None).await?;
        lane.set(journal);
        lane.end_trial();
        if let Some(retired) = self.runtime.remove(name) {
            tokio::spawn(drain(name.to_owned(), number, retired));
        }
        tracing::info!(
            plugin = name,
            generation = number,
            ?source,
            reason,
            "removed"
        );
        if source == Source::Api && self.file(name).exists() {
            self.roster.enter(name).withdraw(reason.to_owned());
        } else {
            self.roster.leave(name, reason);
        }
        self.forget(name, dropped).await;
        Ok(())
    }

    async fn go_back(
        self: &Arc<Self>,
        name: &str,
        lane: &mut Lane,
        target: &Target,
        source: Source,
        reason: Option<String>,
    ) -> Result<(), Fault> {
        let target = lane.journal.target(target).map_err(Fault::NotFound)?;
        let digest = target.digest.clone();
        let artifact = self.fetch(&digest).await?;
        let candidate = Candidate {
            path: self.vault.path(&digest),
            artifact,
            source,
            left: Outcome::RolledBack,
            reason,
            afresh: true,
        };
        self.activate(name, lane, candidate, None).await
    }

    /// Watches the first requests to a generation, and goes back if too many fail.
    fn put_on_trial(self: &Arc<Self>, name: &str, lane: &mut Lane, number: u64, watch: Watch) {
        let trial = self.config.plugins.section(name).trial.unwrap_or_default();
        if trial.requests == 0 {
            lane.end_trial();
            return;
        }
        let deployer = Arc::clone(self);
        let name = name.to_owned();
        lane.begin_trial(tokio::spawn(async move {
            match watch.verdict(trial.requests, trial.failures).await {
                Verdict::Passed => {
                    tracing::debug!(plugin = name, generation = number, "stands its trial");
                }
                Verdict::Failed(failures) => {
                    // In a task of its own: going back ends this one.
                    tokio::spawn(async move {
                        deployer
                            .give_up(&name, number, failures, trial.requests)
                            .await;
                    });
                }
            }
        }));
    }

    /// Goes back from a generation that failed its trial.
    async fn give_up(self: &Arc<Self>, name: &str, number: u64, failures: u64, requests: u64) {
        let Some(lane) = self.lanes.find(name) else {
            return;
        };
        let mut lane = lane.lock().await;
        if lane.journal.current != Some(number) {
            return;
        }
        let reason = format!(
            "{failures} of its first {requests} requests trapped or timed out: \
             the host went back to the generation before"
        );
        tracing::error!(
            plugin = name,
            generation = number,
            reason,
            "failed its trial"
        );
        let back = self.go_back(
            name,
            &mut lane,
            &Target::Previous,
            Source::Auto,
            Some(reason),
        );
        if let Err(fault) = back.await {
            tracing::error!(plugin = name, generation = number, reason = %fault, "serves on");
        }
    }

    /// Notes an attempt that failed.
    fn failed(&self, name: &str, fault: &Fault, source: Source) {
        let reason = fault.to_string();
        tracing::error!(plugin = name, reason, ?source, "not deployed");
        let entry = match source {
            Source::Folder => Some(self.roster.enter(name)),
            // What was sent and refused leaves no trace of a plugin that never was.
            _ => self.roster.get(name),
        };
        if let Some(entry) = entry {
            entry.fail(fault.status(), Attempt::failed(&reason, source));
        }
    }

    /// Keeps a component and writes the journal, so that both survive what follows.
    async fn note(
        &self,
        name: &str,
        journal: &Journal,
        keep: Option<(Artifact, bool)>,
    ) -> Result<(), Fault> {
        let vault = Arc::clone(&self.vault);
        let name = name.to_owned();
        let journal = journal.clone();
        blocking(move || {
            let kept = keep.as_ref().map_or(Ok(()), |(artifact, durable)| {
                vault.keep(&name, artifact, *durable)
            });
            kept.and_then(|()| vault.write(&name, &journal))
                .map_err(Fault::from)
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
        blocking(move || match folder::read(&path, limit) {
            Ok(bytes) => Ok(bytes.map(Artifact::new)),
            Err(error) => Err(Fault::Read(format!(
                "cannot read {}: {error}",
                path.display()
            ))),
        })
        .await
    }

    /// Where the plugin's file is or would be.
    fn file(&self, name: &str) -> PathBuf {
        self.config.plugins.dir.join(format!("{name}.wasm"))
    }

    /// One's turn to change a plugin, if it is nobody else's.
    fn enter<'a>(&self, name: &str, lane: &'a lane::Shared) -> Result<MutexGuard<'a, Lane>, Fault> {
        if self.unsettled.lock().contains(name) {
            return Err(Fault::busy(name));
        }
        lane.try_lock().map_err(|_| Fault::busy(name))
    }
}

/// Names whose journals say that they serve.
fn remembered(journals: &BTreeMap<String, Journal>) -> impl Iterator<Item = String> {
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

/// Says when nothing is left of a generation.
async fn drain(plugin: String, generation: Option<u64>, retired: Retired) {
    let begun = std::time::Instant::now();
    retired.drained().await;
    let ms = begun.elapsed().as_millis();
    tracing::info!(plugin, generation, ms, "drained and freed");
}

fn absent(file: &Path) -> String {
    format!("there is no file {}", file.display())
}
