//! What an instance's store holds.

use std::sync::Arc;
use std::time::Instant;

use lakehouse_trace::Cause;
use parking_lot::Mutex;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_config::WasiConfig;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::clock::Sampled;
use crate::engine::Calls;
use crate::hooks::Hooks;
use crate::limiter::Limiter;
use crate::output::{Outputs, Stream};
use crate::plugin::Shared;
use crate::quota::Quota;
use crate::{Callers, Extensions, Limits, PluginSpec};

/// What a call on behalf of a request inherits from it.
#[derive(Debug, Clone, Default)]
pub struct CallContext {
    /// When the request ends.
    pub deadline: Option<Instant>,
    /// The request itself.
    pub cause: Option<Cause>,
    /// The plugins that wait for it.
    pub callers: Callers,
}

/// What an instance's store holds.
pub struct State {
    plugin: Arc<Shared>,
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    limiter: Limiter,
    outputs: Arc<Outputs>,
    quota: Arc<Quota>,
    sampled: Arc<Mutex<Sampled>>,
    context: CallContext,
}

impl State {
    /// What capabilities prepared for this plugin.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.plugin.given.extensions
    }

    /// The resources that the guest holds.
    pub fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }

    /// The plugin as configured.
    #[must_use]
    pub fn plugin(&self) -> &PluginSpec {
        &self.plugin.spec
    }

    /// The id of the request being served.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.cause().map(|cause| &*cause.request_id)
    }

    /// The request being served.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        self.context.cause.as_ref()
    }

    /// When the request being served ends.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.context.deadline
    }

    /// What a call inherits that this plugin makes for the request being served.
    #[must_use]
    pub fn context(&self) -> CallContext {
        CallContext {
            callers: self.context.callers.with(&self.plugin),
            ..self.context.clone()
        }
    }

    /// Whether the guest may log so many bytes more for this request. The first time
    /// that it may not is said in the log.
    #[must_use]
    pub fn may_log(&self, bytes: usize) -> bool {
        let plugin = self.plugin.spec.name.as_str();
        self.quota.take(bytes, plugin)
    }

    /// A request begins, or has ended.
    pub(crate) fn set_context(&mut self, context: CallContext) {
        self.outputs.turn(context.cause.as_ref());
        self.context = context;
        self.quota.renew();
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.plugin.spec.limits
    }

    /// Why the guest got no more memory, if it did not.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.limiter.refusal()
    }

    /// The processor's clock where only others poll the guest.
    pub(crate) fn sampled(&self) -> Arc<Mutex<Sampled>> {
        Arc::clone(&self.sampled)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.plugin.stats.instance_gone();
        self.plugin.budget.leave();
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("plugin", &self.plugin.spec.name)
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}

/// Everything that needs no grant beside capabilities: WASI 0.2, and 0.3 where calls
/// can wait side by side, with nothing behind files, sockets and arguments, `wasi:http`
/// and `wasi:config`.
pub(crate) fn link_wasi(linker: &mut Linker<State>, calls: Calls) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    if calls == Calls::SideBySide {
        wasmtime_wasi::p3::add_to_linker(linker)?;
        wasmtime_wasi_http::p3::add_to_linker(linker)?;
    }
    wasmtime_wasi_config::add_to_linker(linker, |state: &mut State| {
        WasiConfig::from(&state.plugin.given.variables)
    })
}

/// A store for one instance of a plugin.
pub(crate) fn new_store(plugin: &Arc<Shared>) -> wasmtime::Result<Store<State>> {
    let limits = &plugin.spec.limits;
    let quota = Arc::new(Quota::new(limits.log));
    let mut wasi = WasiCtxBuilder::new();
    let outputs = Outputs::new(Arc::clone(plugin), Arc::clone(&quota));
    wasi.stdout(outputs.stream(Stream::Out))
        .stderr(outputs.stream(Stream::Err))
        .envs(&plugin.given.environment)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    if let Some(scratch) = &plugin.spec.scratch {
        wasi.preopened_dir(scratch, "/tmp", FsPerms::ReadWrite)?;
    }
    let mut table = ResourceTable::new();
    table.set_max_capacity(limits.handles);
    let sampled = Arc::new(Mutex::new(Sampled::default()));
    plugin.budget.enter().map_err(wasmtime::Error::msg)?;
    plugin.stats.instance_made();
    let mut store = Store::new(
        &plugin.engine,
        State {
            plugin: Arc::clone(plugin),
            table,
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            hooks: Hooks(Arc::clone(plugin)),
            limiter: Limiter::new(
                Arc::clone(&plugin.budget),
                Arc::clone(&plugin.stats),
                limits,
            ),
            outputs,
            quota,
            sampled: Arc::clone(&sampled),
            context: CallContext::default(),
        },
    );
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(limits.hostcall);
    store.set_max_component_handles(limits.handles);
    // Tokio's own yield lets the thread look after its sockets and timers before the
    // guest goes on; a plain one would let guests that compute starve them.
    let pulse = Arc::clone(&plugin.pulse);
    store.epoch_deadline_callback(move |_| {
        // It goes on, and with WASI 0.3 nobody else tells.
        pulse.beat();
        sampled.lock().tick();
        let sampled = Arc::clone(&sampled);
        let give_way = async move {
            tokio::task::yield_now().await;
            sampled.lock().resume();
        };
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(give_way)))
    });
    store.set_epoch_deadline(1);
    Ok(store)
}
