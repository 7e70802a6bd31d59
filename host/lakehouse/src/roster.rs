//! The plugins there are and ought to be, and how each of them is doing. They come and
//! go while the host runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lakehouse_runtime::{BackoffStatus, PluginStatus, Runtime};
use parking_lot::RwLock;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::config::{Config, NAME_RULE, NATIVE_ROUTES, covers, is_plugin_name};
use crate::deploy::{Generation, Source, now};

/// How a plugin is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is being compiled and linked.
    Loading,
    /// It answers requests.
    Serving,
    /// It could not be loaded, for this reason.
    Failed(String),
    /// It is configured or required, and there is no file.
    Absent(String),
}

impl State {
    /// In one word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Serving => "serving",
            Self::Failed(_) => "failed",
            Self::Absent(_) => "absent",
        }
    }

    /// Why it does not serve and will not.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Loading | Self::Serving => None,
            Self::Failed(reason) | Self::Absent(reason) => Some(reason),
        }
    }
}

/// How a deploy went.
#[derive(Debug, Clone, Serialize)]
pub struct Attempt {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    at: String,
    source: Source,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
}

impl Attempt {
    /// It ended in this generation, which serves.
    pub fn served(generation: &Generation) -> Self {
        Self {
            outcome: "serving",
            reason: None,
            at: generation.at.clone(),
            source: generation.source,
            generation: Some(generation.generation),
        }
    }

    /// It failed just now; what served before serves on.
    pub fn failed(reason: &str, source: Source) -> Self {
        Self {
            outcome: "failed",
            reason: Some(reason.to_owned()),
            at: now(),
            source,
            generation: None,
        }
    }
}

/// One plugin.
#[derive(Debug)]
pub struct Entry {
    /// Its name: that of the file without `.wasm`.
    pub name: String,
    /// The path it serves; none if it cannot have one.
    pub route: Option<String>,
    /// Whether readiness needs it.
    pub required: bool,
    now: RwLock<Now>,
    /// Whether that is serving, for those who ask at every request.
    serves: AtomicBool,
    /// Told of every change.
    news: Arc<Notify>,
}

#[derive(Debug)]
struct Now {
    state: State,
    status: Option<PluginStatus>,
    since: Option<(Source, String)>,
    last_attempt: Option<Attempt>,
}

/// One plugin, for people and programs.
#[derive(Debug, Serialize)]
pub struct View {
    name: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Source>,
    /// When it was deployed.
    #[serde(skip_serializing_if = "Option::is_none")]
    deployed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_attempt: Option<Attempt>,
    /// Whether it is left alone for now because it kept trapping.
    #[serde(skip_serializing_if = "Option::is_none")]
    backoff: Option<BackoffStatus>,
    /// What the runtime knows: generation, imports, exports, digest, limits.
    #[serde(flatten)]
    status: Value,
}

impl Entry {
    /// How it is doing.
    pub fn state(&self) -> State {
        self.now.read().state.clone()
    }

    /// Whether it answers requests.
    pub fn serves(&self) -> bool {
        self.serves.load(Ordering::Acquire)
    }

    fn change(&self, change: impl FnOnce(&mut Now)) {
        let mut now = self.now.write();
        change(&mut now);
        let serves = now.state == State::Serving;
        self.serves.store(serves, Ordering::Release);
        drop(now);
        self.news.notify_waiters();
    }

    /// A generation serves.
    pub fn serve(&self, status: PluginStatus, generation: &Generation, attempt: Option<Attempt>) {
        self.change(|now| {
            now.state = State::Serving;
            now.status = Some(status);
            now.since = Some((generation.source, generation.at.clone()));
            if attempt.is_some() {
                now.last_attempt = attempt;
            }
        });
    }

    /// An attempt failed, which left this status. What serves goes on.
    pub fn fail(&self, status: Option<&PluginStatus>, attempt: Attempt) {
        self.change(|now| {
            if now.state != State::Serving {
                now.state = State::Failed(attempt.reason.clone().unwrap_or_default());
                now.status = status.cloned();
                now.since = None;
            }
            now.last_attempt = Some(attempt);
        });
    }

    /// A component of it could serve.
    pub fn stage(&self, status: PluginStatus) {
        self.change(|now| {
            now.state = State::Serving;
            now.status = Some(status);
        });
    }

    /// None could, for this reason.
    pub fn withhold(&self, reason: String) {
        self.change(|now| now.state = State::Failed(reason));
    }

    /// It serves no more, or not yet, for this reason.
    pub fn withdraw(&self, reason: String) {
        self.change(|now| {
            now.state = State::Absent(reason);
            now.status = None;
            now.since = None;
        });
    }

    /// Everything that is known of it.
    pub fn view(&self, runtime: &Runtime) -> View {
        let now = self.now.read();
        let mut status = serde_json::to_value(&now.status).unwrap_or_default();
        match &mut status {
            Value::Object(status) => {
                for key in ["name", "state", "reason"] {
                    status.remove(key);
                }
            }
            other => *other = Value::Object(serde_json::Map::new()),
        }
        let (source, deployed_at) = now.since.clone().unzip();
        View {
            name: self.name.clone(),
            state: now.state.word(),
            reason: now.state.reason().map(str::to_owned),
            route: self.route.clone(),
            required: self.required,
            source,
            deployed_at,
            last_attempt: now.last_attempt.clone(),
            backoff: runtime.backoff(&self.name),
            status,
        }
    }
}

/// All plugins, by name.
#[derive(Debug)]
pub struct Roster {
    config: Arc<Config>,
    /// Who has a route, of those that the configuration names.
    owners: BTreeMap<String, String>,
    entries: RwLock<BTreeMap<String, Arc<Entry>>>,
    version: AtomicU64,
    /// Told of every change.
    news: Arc<Notify>,
}

impl Roster {
    /// The plugins that are configured or required, and those of these names, which
    /// are there and about to be loaded.
    pub fn new(config: Arc<Config>, names: impl IntoIterator<Item = String>) -> Self {
        let configured = config.plugins.sections.keys();
        let known: Vec<String> = configured
            .chain(&config.plugins.required)
            .cloned()
            .collect();
        let mut owners = BTreeMap::new();
        for name in &known {
            let route = config.plugins.route(name);
            owners.entry(route).or_insert_with(|| name.clone());
        }
        let roster = Self {
            config,
            owners,
            entries: RwLock::default(),
            version: AtomicU64::new(0),
            news: Arc::default(),
        };
        for name in known {
            let file = roster.config.plugins.dir.join(format!("{name}.wasm"));
            roster.leave(&name, &format!("there is no file {}", file.display()));
        }
        for name in names {
            match roster.claim(&name) {
                Ok(_) => {
                    let entry = roster.enter(&name);
                    entry.change(|now| now.state = State::Loading);
                }
                Err(reason) => roster.refuse(&name, reason),
            }
        }
        roster
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Entry>> {
        self.entries.read().values().map(Arc::clone).collect()
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<Arc<Entry>> {
        self.entries.read().get(name).map(Arc::clone)
    }

    /// Grows whenever a plugin or a route comes or goes.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The route of a plugin, whether it is there or not.
    ///
    /// # Errors
    /// A text for people, if it can have none.
    pub fn claim(&self, name: &str) -> Result<String, String> {
        if !is_plugin_name(name) {
            return Err(format!("`{name}` cannot be a route: {NAME_RULE}"));
        }
        let route = self.config.plugins.route(name);
        if NATIVE_ROUTES.iter().any(|native| covers(native, &route)) {
            return Err(format!(
                "the host serves {route} itself: rename the file, or set plugins.{name}.route"
            ));
        }
        match self.owners.get(&route) {
            Some(owner) if owner != name => Err(format!(
                "{route} is the route of plugin `{owner}`: rename the file, or set \
                 plugins.{name}.route"
            )),
            _ => Ok(route),
        }
    }

    /// The entry of a plugin, which is loading if it is new and has a route.
    pub fn enter(&self, name: &str) -> Arc<Entry> {
        if let Some(entry) = self.get(name) {
            entry.change(|now| {
                if matches!(now.state, State::Absent(_)) {
                    now.state = State::Loading;
                }
            });
            if entry.route.is_some() {
                return entry;
            }
        }
        self.put(name, self.claim(name).ok(), State::Loading)
    }

    /// A file that cannot be a plugin, for this reason.
    pub fn refuse(&self, name: &str, reason: String) {
        self.put(name, None, State::Failed(reason));
    }

    /// A plugin is no more. One that is configured or required stays, as absent.
    pub fn leave(&self, name: &str, reason: &str) {
        if self.requires(name) || self.config.plugins.sections.contains_key(name) {
            let state = State::Absent(reason.to_owned());
            self.put(name, self.claim(name).ok(), state);
        } else {
            self.entries.write().remove(name);
            self.changed();
        }
    }

    /// Comes with the next change of any of them, also if it is asked for later.
    pub fn news(&self) -> Notified<'_> {
        self.news.notified()
    }

    fn put(&self, name: &str, route: Option<String>, state: State) -> Arc<Entry> {
        let entry = Arc::new(Entry {
            name: name.to_owned(),
            route,
            required: self.requires(name),
            serves: AtomicBool::new(state == State::Serving),
            now: RwLock::new(Now {
                state,
                status: None,
                since: None,
                last_attempt: None,
            }),
            news: Arc::clone(&self.news),
        });
        let mut entries = self.entries.write();
        entries.insert(name.to_owned(), Arc::clone(&entry));
        drop(entries);
        self.changed();
        entry
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
        self.news.notify_waiters();
    }

    fn requires(&self, name: &str) -> bool {
        self.config
            .plugins
            .required
            .iter()
            .any(|required| required == name)
    }
}
