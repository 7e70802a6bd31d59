//! The plugins there are and ought to be, and how each of them is doing.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::fs;
use std::path::{Path, PathBuf};

use lakehouse_runtime::{PluginSpec, PluginState, PluginStatus};
use parking_lot::RwLock;
use serde::Serialize;
use serde_json::Value;

use crate::config::{Config, ConfigError, NAME_RULE, NATIVE_ROUTES, covers, is_plugin_name};

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

/// One plugin.
#[derive(Debug)]
pub struct Entry {
    /// Its name: that of the file without `.wasm`.
    pub name: String,
    /// The path it serves; none if it cannot have one.
    pub route: Option<String>,
    /// Whether readiness needs it.
    pub required: bool,
    /// What the runtime is told; none if there is nothing to load.
    pub spec: Option<PluginSpec>,
    now: RwLock<(State, Option<PluginStatus>)>,
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
    /// What the runtime knows: imports, exports, digest, limits.
    #[serde(flatten)]
    status: Value,
}

impl Entry {
    /// How it is doing.
    pub fn state(&self) -> State {
        self.now.read().0.clone()
    }

    /// Takes in how loading went.
    pub fn settle(&self, status: PluginStatus) {
        let state = match status.state {
            PluginState::Serving => State::Serving,
            PluginState::Failed => {
                State::Failed(status.reason.clone().unwrap_or_else(|| "unknown".into()))
            }
        };
        *self.now.write() = (state, Some(status));
    }

    /// Everything that is known of it.
    pub fn view(&self) -> View {
        let now = self.now.read();
        let mut status = serde_json::to_value(&now.1).unwrap_or_default();
        match &mut status {
            Value::Object(status) => {
                for key in ["name", "state", "reason"] {
                    status.remove(key);
                }
            }
            other => *other = Value::Object(serde_json::Map::new()),
        }
        View {
            name: self.name.clone(),
            state: now.0.word(),
            reason: now.0.reason().map(str::to_owned),
            route: self.route.clone(),
            required: self.required,
            status,
        }
    }
}

/// All plugins, by name.
#[derive(Debug)]
pub struct Roster(BTreeMap<String, Entry>);

impl Roster {
    /// The plugins in the folder, and those that are configured or required.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn new(config: &Config, scratch: &Path) -> Result<Self, ConfigError> {
        let dir = &config.plugins.dir;
        let files = files(dir).map_err(|error| {
            ConfigError::key(
                "plugins.dir",
                format!("cannot read the folder {}: {error}", dir.display()),
            )
        })?;
        let mut roster = BTreeMap::new();
        let mut routes: BTreeMap<String, String> = BTreeMap::new();
        // Configured plugins first: a route that one of them asks for is its own.
        let configured = config.plugins.sections.keys();
        for name in configured.chain(&config.plugins.required) {
            if roster.contains_key(name) {
                continue;
            }
            let route = config.plugins.route(name);
            routes.entry(route.clone()).or_insert_with(|| name.clone());
            let state = State::Absent(format!(
                "there is no file {}",
                dir.join(format!("{name}.wasm")).display()
            ));
            roster.insert(name.clone(), entry(config, name, Some(route), None, state));
        }
        for (name, path) in files {
            let new = match claim(config, &name, &mut routes) {
                Ok(route) => {
                    let spec = spec(config, &name, path, scratch);
                    entry(config, &name, Some(route), Some(spec), State::Loading)
                }
                Err(reason) => entry(config, &name, None, None, State::Failed(reason)),
            };
            match roster.entry(name) {
                btree_map::Entry::Vacant(place) => {
                    place.insert(new);
                }
                btree_map::Entry::Occupied(mut place) => {
                    place.insert(new);
                }
            }
        }
        Ok(Self(roster))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.0.values()
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.0.get(name)
    }

    /// Names and routes.
    pub fn routed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter()
            .filter_map(|entry| Some((entry.name.as_str(), entry.route.as_deref()?)))
    }
}

fn entry(
    config: &Config,
    name: &str,
    route: Option<String>,
    spec: Option<PluginSpec>,
    state: State,
) -> Entry {
    Entry {
        name: name.to_owned(),
        route,
        required: config
            .plugins
            .required
            .iter()
            .any(|required| required == name),
        spec,
        now: RwLock::new((state, None)),
    }
}

/// Names and paths of the `*.wasm` files of a folder, by name.
fn files(dir: &Path) -> std::io::Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    for file in fs::read_dir(dir)? {
        let path = file?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "wasm")
            && let Some(stem) = path.file_stem()
        {
            files.insert(stem.to_string_lossy().into_owned(), path);
        }
    }
    Ok(files)
}

/// The route of a file, if it can have one.
fn claim(
    config: &Config,
    name: &str,
    routes: &mut BTreeMap<String, String>,
) -> Result<String, String> {
    if !is_plugin_name(name) {
        return Err(format!("`{name}` cannot be a route: {NAME_RULE}"));
    }
    let route = config.plugins.route(name);
    if NATIVE_ROUTES.iter().any(|native| covers(native, &route)) {
        return Err(format!(
            "the host serves {route} itself: rename the file, or set plugins.{name}.route"
        ));
    }
    match routes.get(&route) {
        Some(owner) if owner != name => Err(format!(
            "{route} is the route of plugin `{owner}`: rename the file, or set plugins.{name}.route"
        )),
        _ => {
            routes.insert(route.clone(), name.to_owned());
            Ok(route)
        }
    }
}

fn spec(config: &Config, name: &str, path: PathBuf, scratch: &Path) -> PluginSpec {
    let section = config.plugins.section(name);
    PluginSpec {
        name: name.to_owned(),
        path,
        limits: section.limits(),
        grants: section
            .grants
            .and_then(|grants| serde_json::to_value(grants).ok())
            .unwrap_or_else(|| Value::Object(serde_json::Map::new())),
        config: section.config.unwrap_or_default(),
        env: section.env.unwrap_or_default(),
        scratch: (section.scratch == Some(true)).then(|| scratch.join(name)),
    }
}
