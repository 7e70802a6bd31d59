//! The runtime: plugins by name, and what can be asked of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use wasmtime::component::{Instance, Linker};
use wasmtime::{Engine, Store};
use wasmtime_wasi_http::handler::InstantiationError;

use crate::cache::Cache;
use crate::limiter::Budget;
use crate::metrics::Stats;
use crate::plugin::{Handler, Plugin};
use crate::state::{State, link_wasi};
use crate::ticket::{Failure, Guard, Ticket};
use crate::{
    Body, CallContext, CallError, Capability, Error, PluginMetrics, PluginSpec, PluginState,
    PluginStatus, RuntimeConfig, check, engine, load, trap,
};

/// How long a caller waits to be told why its worker ended, which is there at once.
const POST_MORTEM: Duration = Duration::from_secs(1);
/// How long a shutdown waits for requests under way.
const DRAIN: Duration = Duration::from_secs(10);

/// Holds plugins and calls them. Cheap to clone: all clones are one runtime.
#[derive(Clone)]
pub struct Runtime(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<State>,
    pub(crate) capabilities: Vec<Arc<dyn Capability>>,
    pub(crate) cache: Cache,
    pub(crate) budget: Arc<Budget>,
    plugins: RwLock<BTreeMap<String, Entry>>,
    closed: AtomicBool,
}

struct Entry {
    status: PluginStatus,
    stats: Arc<Stats>,
    plugin: Option<Arc<Plugin>>,
}

impl Runtime {
    /// Sets up the engine. No plugin is loaded yet.
    ///
    /// # Errors
    /// If the engine refuses its settings, or two capabilities have one name.
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
        let engine = engine::engine(&config)?;
        let mut linker = Linker::new(&engine);
        link_wasi(&mut linker).map_err(|error| Error::Engine(format!("{error:#}")))?;
        Ok(Self(Arc::new(Inner {
            cache: Cache::new(&config.cache_dir, &engine),
            budget: Arc::new(Budget::new(config.total_memory)),
            engine,
            linker,
            capabilities,
            plugins: RwLock::default(),
            closed: AtomicBool::new(false),
        })))
    }

    /// Reads, checks, compiles and links a plugin. One of the same name is replaced,
    /// its requests under way finish with the old one; if the new one does not load,
    /// what serves goes on serving. The status returned is that of this attempt.
    pub async fn load(&self, spec: PluginSpec) -> PluginStatus {
        let name = spec.name.clone();
        let known = {
            let plugins = self.0.plugins.read();
            plugins
                .get(&name)
                .map(|entry| (Arc::clone(&entry.stats), entry.plugin.is_some()))
        };
        let (stats, serving) = known.unwrap_or_default();
        let (status, plugin) = load::load(&self.0, spec, Arc::clone(&stats), !serving).await;
        match &status.reason {
            None => tracing::info!(
                plugin = name,
                cached = status.cached,
                ms = status.load_ms,
                "loaded"
            ),
            Some(reason) => tracing::error!(plugin = name, reason, "not loaded"),
        }
        if plugin.is_some() || !serving {
            let entry = Entry {
                status: status.clone(),
                stats,
                plugin: plugin.map(Arc::new),
            };
            let replaced = self.0.plugins.write().insert(name, entry);
            if let Some(plugin) = replaced.and_then(|entry| entry.plugin) {
                plugin.close();
            }
        }
        status
    }

    /// All plugins, by name.
    #[must_use]
    pub fn plugins(&self) -> Vec<PluginStatus> {
        let plugins = self.0.plugins.read();
        plugins.values().map(|entry| entry.status.clone()).collect()
    }

    /// One plugin.
    #[must_use]
    pub fn plugin(&self, name: &str) -> Option<PluginStatus> {
        let plugins = self.0.plugins.read();
        plugins.get(name).map(|entry| entry.status.clone())
    }

    /// The plugin that exports this interface (named without version) and serves; the
    /// first by name if there are several.
    #[must_use]
    pub fn exporter(&self, interface: &str) -> Option<String> {
        let plugins = self.0.plugins.read();
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

    /// Has a plugin answer an HTTP request. Returns with the response's head; the body
    /// streams, and ends in an error if the guest fails before its end. Dropping the
    /// future or the body stops the guest.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn handle(
        &self,
        plugin: &str,
        mut request: http::Request<Body>,
        request_id: &str,
    ) -> Result<http::Response<Body>, CallError> {
        let started = Instant::now();
        let plugin = self.serving(plugin)?;
        let handler = plugin.handler.as_ref().ok_or(CallError::NotFound)?;
        let shared = &plugin.shared;
        shared.stats.request();
        let deadline = started + shared.spec.limits.deadline;
        shared
            .requests
            .admit(deadline)
            .await
            .inspect_err(|error| match error {
                CallError::Timeout => shared.stats.timeout(),
                _ => shared.stats.rejected(),
            })?;
        let ticket = Ticket::new(Arc::clone(shared), request_id, started);
        let mut guard = Guard::new(Arc::clone(&ticket), request.method());
        name_host(&mut request);
        let request = request.map(Body::into_wasi);
        let handler = match handler {
            Handler::Direct(direct) => return direct.handle(ticket, guard, request).await,
            Handler::Workers(handler) => handler,
        };
        match handler.handle(Arc::clone(&ticket), request).await {
            Ok(response) => {
                guard.expect(response.headers());
                Ok(response.map(|body| Body::guarded(body, guard)))
            }
            Err(error) => {
                let error = post_mortem(&ticket, error).await;
                guard.complete();
                Err(error)
            }
        }
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

    /// What was counted, by plugin.
    #[must_use]
    pub fn metrics(&self) -> Vec<PluginMetrics> {
        let plugins = self.0.plugins.read();
        plugins
            .iter()
            .map(|(name, entry)| {
                let in_flight = entry
                    .plugin
                    .as_ref()
                    .map_or(0, |plugin| plugin.shared.in_flight());
                entry.stats.read(name, in_flight as u64)
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
            let plugins = self.0.plugins.read();
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
        let plugins = self.0.plugins.read();
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

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").finish_non_exhaustive()
    }
}

/// `wasi:http` demands an authority, which HTTP/1.0 clients need not send.
fn name_host(request: &mut http::Request<Body>) {
    if request.uri().authority().is_some() {
        return;
    }
    let named = request
        .headers()
        .get(http::header::HOST)
        .is_some_and(|host| host.to_str().is_ok_and(|host| !host.is_empty()));
    if !named {
        request.headers_mut().insert(
            http::header::HOST,
            http::HeaderValue::from_static("localhost"),
        );
    }
}

/// Why a request got no head: what its worker left, which knows best, or the error
/// that came in its place.
async fn post_mortem(ticket: &Ticket, error: wasmtime::Error) -> CallError {
    let stats = &ticket.plugin.stats;
    if let Some(error) = error.downcast_ref::<InstantiationError<Arc<Ticket>>>() {
        let error = &*error.error;
        let plugin = ticket.plugin.spec.name.as_str();
        tracing::error!(plugin, error = format!("{error:#}"), "no instance");
        // It could be made when it was loaded: what is missing now is room.
        stats.rejected();
        return CallError::Saturated {
            retry_after: Duration::from_secs(1),
        };
    }
    if tokio::time::timeout(POST_MORTEM, ticket.settled())
        .await
        .is_err()
    {
        return CallError::Internal(format!("{error:#}"));
    }
    match ticket.failure() {
        Some(Failure::Timeout) => CallError::Timeout,
        Some(Failure::Trap(trap)) => CallError::Trapped(trap),
        Some(Failure::Cancelled) => CallError::Internal("cancelled".to_owned()),
        None => CallError::Trapped(trap::describe(&error)),
    }
}
