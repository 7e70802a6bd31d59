//! Watching the plugins folder.
//!
//! The system tells of changes where it can. The folder is looked at all the same, so
//! that one which cannot be watched (too many watches, a network file system), was
//! replaced by another one, or holds links to files elsewhere, is no different but for
//! a part of a second.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Deployer;
use super::folder::{self, Change, Tracker};

/// How often the folder is looked at beside what the system tells.
const RESCAN: Duration = Duration::from_secs(1);
/// The same where it tells nothing.
const POLL: Duration = Duration::from_millis(250);
/// How long it is left alone after it refused to tell.
const RETRY: Duration = Duration::from_secs(60);

/// What the system tells.
enum News {
    /// Something happened.
    Something,
    /// Somebody writes to this plugin's file.
    Open(String),
    /// The writer of this plugin's file is done.
    Closed(String),
}

impl Deployer {
    /// Takes over the folder as it is, and then every change of it, until dropped.
    pub async fn run(self: Arc<Self>) {
        let dir = self.config.plugins.dir.clone();
        let (sender, mut news) = mpsc::unbounded_channel();
        let mut eye = Eye::open(&dir, &sender);
        let mut tracker = Tracker::default();
        let mut closed = HashSet::new();
        let mut busy = HashSet::new();
        let mut jobs: JoinSet<(String, bool)> = JoinSet::new();
        // Plugins that came another way, or whose file went while the host was off.
        let mut remembered = self.unsettled.lock().clone();
        loop {
            let looked = tokio::task::spawn_blocking({
                let dir = dir.clone();
                move || folder::look(&dir)
            });
            let mut again = None;
            match looked.await {
                Ok(Ok(files)) => {
                    self.set_trouble(None);
                    let due = tracker.compare(&files, &mut closed, &busy);
                    again = due.again;
                    for (name, change) in due.changes {
                        remembered.remove(&name);
                        busy.insert(name.clone());
                        jobs.spawn(Arc::clone(&self).settle(name, change));
                    }
                    let here = |name: &String| !files.contains_key(name);
                    for name in std::mem::take(&mut remembered).into_iter().filter(here) {
                        busy.insert(name.clone());
                        jobs.spawn(Arc::clone(&self).recall(name));
                    }
                }
                Ok(Err(error)) => {
                    self.set_trouble(Some(format!(
                        "plugins.dir: cannot read the folder {}: {error}",
                        dir.display()
                    )));
                    // What was there when it could be read serves on.
                    for name in std::mem::take(&mut remembered) {
                        busy.insert(name.clone());
                        jobs.spawn(Arc::clone(&self).recall(name));
                    }
                }
                Err(panic) => tracing::error!(%panic, "looking at the plugins folder"),
            }
            eye.refresh(&dir, &sender);
            let rest = if eye.watcher.is_some() { RESCAN } else { POLL };
            let until = Instant::now() + rest;
            let until = again.map_or(until, |again| again.min(until));
            tokio::select! {
                told = news.recv() => {
                    note(told, &mut closed);
                    while let Ok(more) = news.try_recv() {
                        note(Some(more), &mut closed);
                    }
                }
                Some(done) = jobs.join_next() => {
                    if let Ok((name, settled)) = done {
                        if settled {
                            self.unsettled.lock().remove(&name);
                        } else {
                            tracker.retry(&name);
                        }
                        busy.remove(&name);
                    }
                }
                () = tokio::time::sleep_until(until.into()) => {}
            }
        }
    }

    /// Follows one change; says whether it is done with. In a task of its own: what
    /// panics there is not tried again until the file changes.
    async fn settle(self: Arc<Self>, name: String, change: Change) -> (String, bool) {
        let plugin = name.clone();
        let settled = tokio::spawn(async move {
            match change {
                Change::There(path) => self.take(&plugin, &path).await,
                Change::Gone => {
                    self.lose(&plugin).await;
                    true
                }
            }
        });
        let settled = settled.await.unwrap_or_else(|panic| {
            tracing::error!(plugin = name, %panic, "not deployed");
            true
        });
        (name, settled)
    }

    /// At the start, a plugin without a file: one that was sent serves again, one
    /// whose file went while the host was off is gone.
    async fn recall(self: Arc<Self>, name: String) -> (String, bool) {
        let lane = self.lanes.get(&name);
        let mut lane = lane.lock().await;
        let journal = &lane.journal;
        let no_news = journal.file.is_none() || self.trouble().is_some();
        if journal.current.is_some() && no_news {
            self.restore(&name, &mut lane, None).await;
        } else {
            drop(lane);
            self.lose(&name).await;
        }
        (name, true)
    }

    fn set_trouble(&self, now: Option<String>) {
        let mut trouble = self.trouble.lock();
        match (&*trouble, &now) {
            (None, Some(reason)) => tracing::error!(reason, "no plugin is added or changed"),
            (Some(_), None) => tracing::info!("the plugins folder can be read again"),
            _ => {}
        }
        *trouble = now;
    }
}

fn note(told: Option<News>, closed: &mut HashSet<String>) {
    match told {
        Some(News::Closed(name)) => {
            closed.insert(name);
        }
        Some(News::Open(name)) => {
            closed.remove(&name);
        }
        Some(News::Something) | None => {}
    }
}

/// The system's word on one folder.
struct Eye {
    /// None where it has none.
    watcher: Option<RecommendedWatcher>,
    /// The folder that is watched, which another one of its name may replace.
    inode: Option<u64>,
    since: Instant,
}

impl Eye {
    fn open(dir: &Path, news: &mpsc::UnboundedSender<News>) -> Self {
        Self {
            watcher: watch(dir, news.clone()),
            inode: inode(dir),
            since: Instant::now(),
        }
    }

    /// Watches anew where the folder is another one, or could not be watched a while
    /// ago.
    fn refresh(&mut self, dir: &Path, news: &mpsc::UnboundedSender<News>) {
        let there = inode(dir);
        let failed = self.watcher.is_none() && self.since.elapsed() > RETRY;
        if there.is_some() && (there != self.inode || failed) {
            *self = Self::open(dir, news);
        }
    }
}

fn inode(dir: &Path) -> Option<u64> {
    std::fs::metadata(dir).ok().map(|folder| folder.ino())
}

/// Asks the system to tell of changes. None if it does not.
fn watch(dir: &Path, news: mpsc::UnboundedSender<News>) -> Option<RecommendedWatcher> {
    let tell = move |event: notify::Result<Event>| match event {
        Ok(event) => tell(&event, &news),
        Err(error) => {
            tracing::debug!(%error, "watching the plugins folder");
            // Fails when the host is on its way out.
            let _ = news.send(News::Something);
        }
    };
    let watching = notify::recommended_watcher(tell).and_then(|mut watcher| {
        watcher.watch(dir, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    watching
        .inspect_err(|error| {
            tracing::warn!(
                folder = %dir.display(),
                %error,
                "the plugins folder cannot be watched: it is looked at four times a second"
            );
        })
        .ok()
}

fn tell(event: &Event, news: &mpsc::UnboundedSender<News>) {
    let about: fn(String) -> News = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => News::Closed,
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_)) => News::Open,
        // Reading, also our own.
        EventKind::Access(_) => return,
        _ => |_| News::Something,
    };
    for path in &event.paths {
        let is_plugin = path
            .extension()
            .is_some_and(|extension| extension == "wasm");
        let name = path.file_stem().filter(|_| is_plugin);
        let told = name.map_or(News::Something, |name| {
            about(name.to_string_lossy().into_owned())
        });
        // Fails when the host is on its way out.
        let _ = news.send(told);
    }
}
