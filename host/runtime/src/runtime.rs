//! The runtime: plugins by name, and what can be asked of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::compile::Compilers;
use crate::engines::Engines;
use crate::lane;
use crate::limiter::Budget;
use crate::load::blank;
use crate::metrics::Stats;
use crate::plugin::Plugin;
use crate::state::State;
use crate::{
    Artifact, BackoffStatus, Body, CallContext, CallError, Capability, Cause, Error, Inspection,
    PluginMetrics, PluginSpec, PluginState, PluginStatus, Refusal, Retired, RuntimeConfig, Staged,
    Step, Swapped, Watch, check, inspect, load, peer,
};

/// How long a shutdown waits for requests under way.
const DRAIN: Duration = Duration::from_secs(10);

/// Holds plugins and calls them. Cheap to clone: all clones are one runtime.
#[derive(Clone)]
pub struct Runtime(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) engines: Engines,
    pub(crate) capabilities: Vec<Arc<dyn Capability>>,
    pub(crate) compilers: Compilers,
    pub(crate) start: Duration,
    pub(crate) budget: Arc<Budget>,
    pub(crate) heavy: lane::Threads,
    /// Where this was made: for tasks that outlive what began them.
    pub(crate) home: Handle,
    /// Replaced as a whole by each change: a request looks without a lock.
    plugins: ArcSwap<BTreeMap<String, Entry>>,
    closed: AtomicBool,
}

#[derive(Clone)]
struct Entry {
    status: PluginStatus,
    stats: Arc<Stats>,
    plugin: Option<Arc<Plugin>>,
}

impl Entry {
    fn retire(self) -> Option<Retired> {
        self.plugin.and_then(|plugin| Retired::new(&plugin))
    }
}

impl Runtime {
    /// Sets up the engine. No plugin is loaded yet.
    ///
    /// # Errors
    /// If the engine refuses its settings, two capabilities have one name, or this is
    /// called outside of a tokio runtime.
    pub fn new(
        config: RuntimeConfig,
        capabilities: Vec<Arc<dyn Capability>>,
    ) -> Result<Self, Error> {
        for (at, capability) in capabilities.iter().enumerate() {
            let name = capability.name();
            if capabilities[..at].iter().any(|other| other.name() == name) {
                return Err(Error::Capability {
                    name,
                    reason: "there are two of this name".to_owned(),
                });
            }
        }
        let home = Handle::try_current().map_err(|error| Error::Engine(error.to_string()))?;
        let budget = Arc::new(Budget::new(&config));
        let start = config.start;
        let engines = Engines::new(config)?;
        Ok(Self(Arc::new(Inner {
            compilers: Compilers::new()?,
            start,
            budget,
            heavy: lane::Threads::start(engines.pulse())?,
            engines,
            home,
            capabilities,
            plugins: ArcSwap::default(),
            closed: AtomicBool::new(false),
        })))
    }

    /// Reads what a component imports and exports, without compiling it.
    ///
    /// # Errors
    /// A text for people, if the bytes are no component.
    pub fn inspect(&self, artifact: &Artifact) -> Result<Inspection, String> {
        inspect::inspect(artifact, &self.0.capabilities)
    }

    /// Checks, compiles, links and starts a component without letting it serve, and
    /// without a change to what serves. Compiling is done at low priority.
    ///
    /// # Errors
    /// A [`Refusal`] that says at which step and why.
    pub async fn stage(&self, spec: PluginSpec, artifact: Artifact) -> Result<Staged, Refusal> {
        let (stats, serving) = self.known(&spec.name);
        load::stage(&self.0, spec, artifact, stats, !serving).await
    }

    /// Lets a staged plugin serve in the place of the one of its name. A request gets
    /// the one or the other whole: those under way finish with the old one.
    pub fn swap(&self, staged: Staged) -> Swapped {
        let plugin = Arc::clone(&staged.plugin);
        let watch = Watch(Arc::clone(&plugin.shared.trial));
        let entry = Entry {
            status: staged.status.clone(),
            stats: Arc::clone(&plugin.shared.stats),
            plugin: Some(plugin),
        };
        let replaced = self.0.insert(entry);
        Swapped {
            retired: replaced.and_then(Entry::retire),
            watch,
        }
    }

    /// Lets a plugin serve no more. Requests under way are finished.
    pub fn remove(&self, name: &str) -> Option<Retired> {
        let removed = self.0.change(name, |plugins| drop(plugins.remove(name)));
        removed.and_then(Entry::retire)
    }

    /// Removes compiled code of a component from the cache. It is compiled anew if it
    /// is staged again.
    pub fn forget(&self, digest: &str) {
        self.0.engines.forget(digest);
    }

    /// Reads, stages and swaps in a plugin. If it is refused, what serves goes on
    /// serving. The status returned is that of this attempt.
    pub async fn load(&self, spec: PluginSpec) -> PluginStatus {
        let name = spec.name.clone();
        let path = spec.path.clone();
        let read = tokio::task::spawn_blocking(move || std::fs::read(&path)).await;
        let staged = match read {
            Ok(Ok(bytes)) => self.stage(spec, Artifact::new(bytes)).await,
            Ok(Err(error)) => {
                let reason = format!("cannot read {}: {error}", spec.path.display());
                Err(Refusal::new(Step::Read, reason, blank(&spec)))
            }
            Err(panic) => Err(Refusal::new(Step::Read, panic.to_string(), blank(&spec))),
        };
        match staged {
            Ok(staged) => {
                let status = staged.status().clone();
                self.swap(staged);
                status
            }
            Err(refusal) => {
                tracing::error!(plugin = name, reason = refusal.reason, "not loaded");
                let status = *refusal.status;
                let (stats, serving) = self.known(&name);
                if !serving {
                    let entry = Entry {
                        status: status.clone(),
                        stats,
                        plugin: None,
                    };
                    self.0.insert(entry);
                }
                status
            }
        }
    }

    /// The counters of a plugin, new ones if it is not known, and whether it serves.
    fn known(&self, name: &str) -> (Arc<Stats>, bool) {
        let plugins = self.0.plugins.load();
        plugins
            .get(name)
            .map(|entry| (Arc::clone(&entry.stats), entry.plugin.is_some()))
            .unwrap_or_default()
    }

    /// All plugins, by name.
    #[must_use]
    pub fn plugins(&self) -> Vec<PluginStatus> {
        let plugins = self.0.plugins.load();
        plugins.values().map(|entry| entry.status.clone()).collect()
    }

    /// One plugin.
    #[must_use]
    pub fn plugin(&self, name: &str) -> Option<PluginStatus> {
        let plugins = self.0.plugins.load();
        plugins.get(name).map(|entry| entry.status.clone())
    }

    /// The plugin that exports this interface (named without version) and serves; the
    /// first by name if there are several.
    #[must_use]
    pub fn exporter(&self, interface: &str) -> Option<String> {
        let plugins = self.0.plugins.load();
        plugins
            .values()
            .find(|entry| {
                entry.status.state == PluginState::Serving
                    && entry
                        .status
                        .exports
                        .iter()
                        .any(|export| check::base(export) == interface)
            })
            .map(|entry| entry.status.name.clone())
    }

    /// The plugins that serve this interface, named with its version, by name; each with
    /// a number that is new whenever it is loaded.
    #[must_use]
    pub fn exporters(&self, interface: &str) -> Vec<(String, u64)> {
        let key = peer::key(interface);
        let mut exporters = Vec::new();
        self.0.find(|plugin| {
            if plugin.exports.interface(&key).is_some() {
                exporters.push((plugin.shared.spec.name.clone(), plugin.loading));
            }
            None::<()>
        });
        exporters
    }

    /// Has a plugin answer an HTTP request. Returns with the response's head; the body
    /// streams, and ends in an error if the guest fails before its end. Dropping the
    /// future or the body stops the guest. The guest's trace, if there is one, goes on
    /// from the cause's.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn handle(
        &self,
        plugin: &str,
        request: http::Request<Body>,
        cause: impl Into<Cause>,
    ) -> Result<http::Response<Body>, CallError> {
        self.serving(plugin)?.handle(request, cause.into()).await
    }

    /// Borrows a warm instance of a plugin, or makes one, and runs `f` with its store
    /// and instance under the plugin's limits. An instance whose call failed is thrown
    /// away.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call<R, F>(&self, plugin: &str, f: F) -> Result<R, CallError>
    where
        F: AsyncFnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<R> + Send,
    {
        self.call_with(plugin, CallContext::default(), f).await
    }

    /// The same on behalf of a request, whose deadline and id the call inherits: a
    /// capability passes [`State::context`] on.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call_with<R, F>(
        &self,
        plugin: &str,
        context: CallContext,
        f: F,
    ) -> Result<R, CallError>
    where
        F: AsyncFnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<R> + Send,
    {
        let plugin = self.serving(plugin)?;
        plugin.pool.call(context, f).await
    }

    /// Whether, and for how long, a plugin is left alone because it kept trapping.
    #[must_use]
    pub fn backoff(&self, plugin: &str) -> Option<BackoffStatus> {
        let plugins = self.0.plugins.load();
        let plugin = plugins.get(plugin)?.plugin.as_ref()?;
        plugin.shared.backoff.status()
    }

    /// What was counted, by plugin.
    #[must_use]
    pub fn metrics(&self) -> Vec<PluginMetrics> {
        let plugins = self.0.plugins.load();
        plugins
            .iter()
            .map(|(name, entry)| {
                let shared = entry.plugin.as_ref().map(|plugin| &plugin.shared);
                let in_flight = shared.map_or(0, |shared| shared.in_flight());
                let waiting = shared.map_or(0, |shared| shared.waiting());
                let backing_off = shared.is_some_and(|shared| shared.backoff.status().is_some());
                let stats = &entry.stats;
                PluginMetrics {
                    generation: shared.map_or(0, |_| entry.status.generation),
                    ..stats.read(name, in_flight as u64, waiting as u64, backing_off)
                }
            })
            .collect()
    }

    /// Bytes of linear memory that all instances hold now.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.0.budget.used()
    }

    /// Takes no more requests, waits for those under way (at most ten seconds) and
    /// lets go of idle instances.
    pub async fn shutdown(&self) {
        self.0.closed.store(true, Ordering::Relaxed);
        let plugins: Vec<Arc<Plugin>> = {
            let plugins = self.0.plugins.load();
            plugins
                .values()
                .filter_map(|entry| entry.plugin.as_ref().map(Arc::clone))
                .collect()
        };
        let end = Instant::now() + DRAIN;
        for plugin in plugins {
            while plugin.shared.in_flight() > 0 && Instant::now() < end {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            plugin.close();
        }
    }

    fn serving(&self, name: &str) -> Result<Arc<Plugin>, CallError> {
        if self.0.closed.load(Ordering::Relaxed) {
            return Err(CallError::Unavailable {
                reason: "the host is shutting down".to_owned(),
                retry_after: Duration::from_secs(5),
            });
        }
        let plugins = self.0.plugins.load();
        let entry = plugins.get(name).ok_or(CallError::NotFound)?;
        match &entry.plugin {
            Some(plugin) => Ok(Arc::clone(plugin)),
            None => Err(CallError::Unavailable {
                reason: format!("plugin `{name}` is not loaded"),
                retry_after: Duration::from_secs(30),
            }),
        }
    }
}

impl Inner {
    /// Puts an entry in the place of the one of its name, which it returns.
    fn insert(&self, entry: Entry) -> Option<Entry> {
        let name = &entry.status.name;
        self.change(name, |plugins| {
            plugins.insert(name.clone(), entry.clone());
        })
    }

    /// Changes the plugins, and returns the entry that one had before.
    fn change(&self, name: &str, change: impl Fn(&mut BTreeMap<String, Entry>)) -> Option<Entry> {
        let before = self.plugins.rcu(|plugins| {
            let mut plugins = BTreeMap::clone(plugins);
            change(&mut plugins);
            plugins
        });
        before.get(name).cloned()
    }

    /// The first of the plugins that serve, by name, for which there is something.
    pub(crate) fn find<R>(&self, mut look: impl FnMut(&Arc<Plugin>) -> Option<R>) -> Option<R> {
        let plugins = self.plugins.load();
        let mut serving = plugins.values().filter_map(|entry| entry.plugin.as_ref());
        serving.find_map(&mut look)
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").finish_non_exhaustive()
    }
}
