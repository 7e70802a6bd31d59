//! One version takes the place of another.

use std::path::PathBuf;
use std::sync::Arc;

use lakehouse_runtime::{Artifact, Code, Retired, Verdict, Watch};
use tokio::task::JoinHandle;

use super::journal::{Outcome, Source, Target};
use super::lane::Lane;
use super::vault::Part;
use super::{Deployer, Fault, blocking};
use crate::roster::Attempt;

/// A new version of a plugin.
pub(super) struct Candidate {
    pub(super) artifact: Artifact,
    pub(super) source: Source,
    /// Where it came from.
    pub(super) path: PathBuf,
    /// What becomes of the generation that it replaces, and why.
    pub(super) left: Outcome,
    pub(super) reason: Option<String>,
    /// It takes the place of one like it too.
    pub(super) afresh: bool,
}

impl Deployer {
    /// Lets what the journal names serve, unless it does: `at_hand`, if that is it. The start of a plugin whose
    /// file is not news, or is not fit to serve.
    pub(super) async fn restore(
        self: &Arc<Self>,
        name: &str,
        lane: &mut Lane,
        at_hand: Option<Artifact>,
    ) {
        let Some(current) = lane.journal.current().cloned() else {
            return;
        };
        if self.runtime.plugin(name).is_some() {
            return;
        }
        let number = current.generation;
        let restored = async {
            let artifact = match at_hand {
                Some(artifact) if artifact.digest() == current.digest => artifact,
                _ => self.fetch(&current.digest).await?,
            };
            let path = self.vault.path(&current.digest);
            let version = artifact.clone();
            let staged = self
                .workshop
                .stage(name, number, &path, artifact, Code::Draft);
            Ok((staged.await.map_err(Fault::from)?, path, version))
        };
        match restored.await {
            Ok((staged, path, artifact)) => {
                let status = staged.status().clone();
                let is_draft = status.draft;
                self.runtime.swap(staged);
                tracing::info!(plugin = name, generation = number, "serves again");
                self.roster.enter(name).serve(status, &current, None);
                if is_draft {
                    self.refine(name, number, path, artifact);
                }
            }
            Err(fault) => self.failed(name, &fault, current.source),
        }
    }

    /// Tries a candidate and lets it serve. `file` is the digest of the plugin's file
    /// if that is what it is.
    pub(super) async fn activate(
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
        lane.flushed().await;
        let (digest, size) = (artifact.digest().to_owned(), artifact.size());
        let mut journal = lane.journal.clone();
        let serves = self.runtime.plugin(name).is_some();
        // A start that finds the journal as it is now would take the file over.
        let is_news = file.is_some() && file != journal.file;
        if serves && !afresh && journal.current().is_some_and(|now| now.digest == digest) {
            if is_news {
                journal.file = file;
                self.note(name, &journal).await?;
                lane.set(journal);
            }
            return Ok(());
        }
        let number = journal.begin(&digest, size, source, left, reason);
        if is_news {
            journal.file = file;
        }
        let dropped = journal.prune(self.config.plugins.keep);

        let staged = self
            .workshop
            .prepare(name, number, &path, artifact.clone(), Code::Draft)
            .await
            .map_err(Fault::from)?;
        // The file is a copy of its own; of what was sent there is no other.
        let durable = source == Source::Api;
        let kept = async {
            let noted = self.keep(name, artifact.clone(), durable, &journal).await?;
            if is_news {
                return Ok(Some(noted));
            }
            publish(noted).await.map(|()| None)
        };
        let to_note = match kept.await {
            Ok(to_note) => to_note,
            Err(fault) => {
                if !lane.journal.names(&digest) {
                    self.vault.release(name, vec![digest]);
                }
                return Err(fault);
            }
        };

        let status = staged.status().clone();
        let before = lane.journal.current;
        lane.set(journal);
        let (cached, draft, ms) = (status.cached, status.draft, status.load_ms);
        // First the word, then the deed: who was answered by a version finds it listed.
        if let Some(current) = lane.journal.current() {
            let attempt = Some(Attempt::served(current));
            self.roster.enter(name).serve(status, current, attempt);
        }
        let swapped = self.runtime.swap(staged);
        tracing::info!(
            plugin = name,
            generation = number,
            digest,
            ?source,
            cached,
            draft,
            ms,
            "serves"
        );
        if let Some(retired) = swapped.retired {
            tokio::spawn(drain(name.to_owned(), before, retired));
        }
        if before.is_some() && matches!(source, Source::Folder | Source::Api) {
            self.put_on_trial(name, lane, number, swapped.watch);
        } else {
            lane.end_trial();
        }
        if draft {
            self.refine(name, number, path, artifact);
        }
        match to_note {
            Some(noted) => lane.flush(self.note_later(name, number, noted, dropped)),
            None => self.forget(name, dropped).await,
        }
        Ok(())
    }

    /// Lets a journal count while the generation that it tells of serves, and removes what
    /// it names no more.
    fn note_later(
        self: &Arc<Self>,
        name: &str,
        number: u64,
        journal: Part,
        dropped: Vec<String>,
    ) -> JoinHandle<()> {
        let deployer = Arc::clone(self);
        let name = name.to_owned();
        tokio::spawn(async move {
            match publish(journal).await {
                Ok(()) => deployer.forget(&name, dropped).await,
                // The journal that counts names the old ones still.
                Err(fault) => {
                    let reason = fault.to_string();
                    tracing::error!(
                        plugin = name,
                        generation = number,
                        reason,
                        "serves, and is not noted: the next start takes its file as news"
                    );
                }
            }
        })
    }

    /// Has a generation that serves on a draft of its code serve on better code, as soon
    /// as there is some and if it is the one that serves then.
    fn refine(self: &Arc<Self>, name: &str, number: u64, path: PathBuf, artifact: Artifact) {
        let deployer = Arc::clone(self);
        let name = name.to_owned();
        tokio::spawn(async move {
            let Ok(_turn) = deployer.refining.acquire().await else {
                return;
            };
            let Some(lane) = deployer.lanes.find(&name) else {
                return;
            };
            if lane.noted().current != Some(number) {
                return;
            }
            let better = deployer
                .workshop
                .stage(&name, number, &path, artifact, Code::Better);
            let staged = match better.await {
                Ok(staged) => staged,
                Err(refusal) => {
                    let reason = refusal.to_string();
                    tracing::error!(
                        plugin = name,
                        generation = number,
                        reason,
                        "serves on a draft of its code"
                    );
                    return;
                }
            };
            let mut lane = lane.lock().await;
            let Some(current) = lane.journal.current().cloned() else {
                return;
            };
            if current.generation != number {
                return;
            }
            let status = staged.status().clone();
            let ms = status.load_ms;
            let entry = deployer.roster.enter(&name);
            entry.serve(status, &current, None);
            let swapped = deployer.runtime.swap(staged);
            tracing::info!(
                plugin = name,
                generation = number,
                ms,
                "serves on better code"
            );
            if let Some(retired) = swapped.retired {
                tokio::spawn(drain(name.clone(), Some(number), retired));
            }
            if lane.is_on_trial() {
                deployer.put_on_trial(&name, &mut lane, number, swapped.watch);
            }
        });
    }

    /// Takes a plugin out of service and notes it. `file` says that its file is gone.
    pub(super) async fn take_away(
        &self,
        name: &str,
        lane: &mut Lane,
        source: Source,
        reason: &str,
        file: bool,
    ) -> Result<(), Fault> {
        lane.flushed().await;
        let mut journal = lane.journal.clone();
        let number = journal.current;
        journal.end(Outcome::Removed, Some(reason.to_owned()));
        if file {
            journal.file = None;
        }
        let dropped = journal.prune(self.config.plugins.keep);
        self.note(name, &journal).await?;
        lane.set(journal);
        lane.end_trial();
        // Who finds the route closed finds nothing listed as serving.
        if source == Source::Api && self.file(name).exists() {
            self.roster.enter(name).withdraw(reason.to_owned());
        } else {
            self.roster.leave(name, reason);
        }
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
        self.forget(name, dropped).await;
        Ok(())
    }

    pub(super) async fn go_back(
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
    pub(super) fn failed(&self, name: &str, fault: &Fault, source: Source) {
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
}

/// Lets a journal count, and has it survive a crash of the machine.
async fn publish(journal: Part) -> Result<(), Fault> {
    blocking(move || Ok(journal.publish(true)?)).await
}

/// Says when nothing is left of a generation.
async fn drain(plugin: String, generation: Option<u64>, retired: Retired) {
    let begun = std::time::Instant::now();
    retired.drained().await;
    let ms = begun.elapsed().as_millis();
    tracing::info!(plugin, generation, ms, "drained and freed");
}
