//! A loaded plugin.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wasmtime::Engine;
use wasmtime::component::InstancePre;
use wasmtime_wasi_config::WasiConfigVariables;
use wasmtime_wasi_http::handler::{ProxyHandler, ProxyPre};

use crate::admission::Admission;
use crate::direct::Direct;
use crate::limiter::Budget;
use crate::metrics::Stats;
use crate::pool::Pool;
use crate::state::State;
use crate::worker::Http;
use crate::{Extensions, PluginSpec};

/// What all instances of a plugin share.
pub(crate) struct Shared {
    pub(crate) spec: PluginSpec,
    pub(crate) engine: Engine,
    pub(crate) budget: Arc<Budget>,
    pub(crate) extensions: Extensions,
    pub(crate) variables: WasiConfigVariables,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) stats: Arc<Stats>,
    /// Places of HTTP requests.
    pub(crate) requests: Admission,
    /// Places of typed calls. They are apart, so that a plugin whose requests call
    /// each other through the host cannot wait for itself.
    pub(crate) calls: Admission,
    closed: AtomicBool,
}

impl Shared {
    pub(crate) fn new(
        spec: PluginSpec,
        engine: Engine,
        budget: Arc<Budget>,
        extensions: Extensions,
        stats: Arc<Stats>,
    ) -> Self {
        Self {
            engine,
            budget,
            extensions,
            variables: spec
                .config
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect(),
            environment: spec.env.clone().into_iter().collect(),
            stats,
            requests: Admission::new(&spec.limits),
            calls: Admission::new(&spec.limits),
            closed: AtomicBool::new(false),
            spec,
        }
    }

    /// No instance is kept for later from here on.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Requests and calls that run or wait.
    pub(crate) fn in_flight(&self) -> usize {
        self.requests.in_flight() + self.calls.in_flight()
    }
}

/// What answers HTTP requests.
pub(crate) enum Handler {
    /// For `wasi:http` 0.2.
    Direct(Arc<Direct>),
    /// For `wasi:http` 0.3.
    Workers(ProxyHandler<Http>),
}

impl Handler {
    pub(crate) fn new(shared: &Arc<Shared>, proxy: ProxyPre<State>) -> Self {
        let shared = Arc::clone(shared);
        match proxy {
            ProxyPre::P2(pre) => Self::Direct(Arc::new(Direct::new(shared, pre))),
            proxy @ ProxyPre::P3(_) => Self::Workers(ProxyHandler::new(Http::new(shared, proxy))),
        }
    }
}

/// A plugin that serves.
pub(crate) struct Plugin {
    pub(crate) shared: Arc<Shared>,
    /// Its HTTP handler, if it exports one.
    pub(crate) handler: Option<Handler>,
    /// Its instances for typed calls.
    pub(crate) pool: Arc<Pool>,
}

impl Plugin {
    pub(crate) fn new(
        shared: Arc<Shared>,
        handler: Option<Handler>,
        instance: InstancePre<State>,
    ) -> Self {
        Self {
            handler,
            pool: Arc::new(Pool::new(Arc::clone(&shared), instance)),
            shared,
        }
    }

    pub(crate) fn close(&self) {
        self.shared.close();
        self.pool.clear();
        if let Some(Handler::Direct(direct)) = &self.handler {
            direct.clear();
        }
    }
}
