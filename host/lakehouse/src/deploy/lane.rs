//! One deploy at a time for each plugin.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::MutexGuard;
use tokio::task::JoinHandle;

use super::journal::Journal;

/// What belongs to one plugin, held by whoever deploys it.
pub struct Lane {
    /// As it is on disk, or is about to be.
    pub journal: Journal,
    /// The same for those who only look, while a deploy takes its time.
    noted: Arc<Mutex<Journal>>,
    /// What brings the journal to the disk.
    flush: Option<JoinHandle<()>>,
    trial: Option<JoinHandle<()>>,
}

impl Lane {
    /// Takes over a journal that was written.
    pub fn set(&mut self, journal: Journal) {
        self.noted.lock().clone_from(&journal);
        self.journal = journal;
    }

    /// The journal is on its way to the disk.
    pub fn flush(&mut self, flush: JoinHandle<()>) {
        self.flush = Some(flush);
    }

    /// Waits until the journal is on the disk, before there is another one.
    pub async fn flushed(&mut self) {
        if let Some(flush) = self.flush.take()
            && let Err(panic) = flush.await
        {
            tracing::error!(%panic, "a journal was not written");
        }
    }

    /// Watches the requests of the generation that serves now, and of no other.
    pub fn begin_trial(&mut self, trial: JoinHandle<()>) {
        self.end_trial();
        self.trial = Some(trial);
    }

    /// Whether requests are watched.
    pub fn is_on_trial(&self) -> bool {
        self.trial
            .as_ref()
            .is_some_and(|trial| !trial.is_finished())
    }

    /// Watches no more.
    pub fn end_trial(&mut self) {
        if let Some(trial) = self.trial.take() {
            trial.abort();
        }
    }
}

/// A lane and its queue.
pub struct Shared {
    lane: tokio::sync::Mutex<Lane>,
    noted: Arc<Mutex<Journal>>,
}

impl Shared {
    fn new(journal: Journal) -> Self {
        let noted = Arc::new(Mutex::new(journal.clone()));
        Self {
            lane: tokio::sync::Mutex::new(Lane {
                journal,
                noted: Arc::clone(&noted),
                flush: None,
                trial: None,
            }),
            noted,
        }
    }

    /// Waits for one's turn.
    pub async fn lock(&self) -> MutexGuard<'_, Lane> {
        self.lane.lock().await
    }

    /// The journal as it was last written.
    pub fn noted(&self) -> Journal {
        self.noted.lock().clone()
    }
}

/// All lanes, by plugin.
pub struct Lanes(Mutex<HashMap<String, Arc<Shared>>>);

impl Lanes {
    /// Those of the plugins that are remembered.
    pub fn new(journals: BTreeMap<String, Journal>) -> Self {
        let lanes = journals.into_iter();
        let lanes = lanes.map(|(name, journal)| (name, Arc::new(Shared::new(journal))));
        Self(Mutex::new(lanes.collect()))
    }

    /// The lane of a plugin, made if it is new.
    pub fn get(&self, name: &str) -> Arc<Shared> {
        let mut lanes = self.0.lock();
        let lane = lanes
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Shared::new(Journal::default())));
        Arc::clone(lane)
    }

    /// The lane of a plugin that is known.
    pub fn find(&self, name: &str) -> Option<Arc<Shared>> {
        self.0.lock().get(name).map(Arc::clone)
    }
}
