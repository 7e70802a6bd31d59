//! What the tests share: guests, a runtime in a temporary folder, and a capability.

#![expect(dead_code, reason = "each test uses a part of it")]

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http_body_util::BodyExt;
use lakehouse_runtime::{
    Body, CallError, Capability, Extensions, Limits, PluginMetrics, PluginSpec, PluginState,
    PluginStatus, Runtime, RuntimeConfig, State,
};
use tempfile::TempDir;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentNamedList, Lift, Linker};

pub const BEHAVE: &str = include_str!("../guests/behave.wat");
pub const BEHAVE_03: &str = include_str!("../guests/behave03.wat");
pub const COUNTER: &str = include_str!("../guests/counter.wat");
pub const RELAY: &str = include_str!("../guests/relay.wat");

/// A component's bytes from its text.
pub fn assemble(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the guest's text")
}

/// A runtime, its folder and what it offers.
pub struct Host {
    pub runtime: Runtime,
    pub folder: TempDir,
}

impl Host {
    pub fn new() -> Self {
        Self::with(Vec::new(), |_| {})
    }

    pub fn with(
        capabilities: Vec<Arc<dyn Capability>>,
        configure: impl FnOnce(&mut RuntimeConfig),
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = RuntimeConfig {
            cache_dir: folder.path().join("cache"),
            instances: 128,
            ..RuntimeConfig::default()
        };
        configure(&mut config);
        let runtime = Runtime::new(config, capabilities).expect("a runtime");
        Self { runtime, folder }
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(format!("{name}.wasm"));
        std::fs::write(&path, bytes).expect("a file");
        path
    }

    pub fn spec(&self, name: &str, bytes: &[u8]) -> PluginSpec {
        PluginSpec {
            name: name.to_owned(),
            path: self.write(name, bytes),
            limits: Limits {
                deadline: Duration::from_secs(30),
                ..Limits::default()
            },
            ..PluginSpec::default()
        }
    }

    /// Loads bytes and returns why they do not serve.
    pub async fn refusal(&self, bytes: &[u8]) -> String {
        let status = self.runtime.load(self.spec("plugin", bytes)).await;
        assert_eq!(status.state, PluginState::Failed, "{status:?}");
        status.reason.expect("a reason")
    }

    /// Loads a guest that must serve.
    pub async fn serve(&self, name: &str, text: &str, limit: impl FnOnce(&mut Limits)) {
        let mut spec = self.spec(name, &assemble(text));
        limit(&mut spec.limits);
        serving(self.runtime.load(spec).await);
    }

    pub async fn get(&self, path: &str) -> Result<http::Response<Body>, CallError> {
        let request = http::Request::get(path)
            .body(Body::empty())
            .expect("a request");
        self.runtime.handle("behave", request, "request-1").await
    }

    /// The body of an answer that must come whole.
    pub async fn text(&self, path: &str) -> String {
        let response = self.get(path).await.expect("a response");
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await.expect("a whole body");
        String::from_utf8(body.to_bytes().to_vec()).expect("text")
    }

    pub fn metrics(&self, plugin: &str) -> PluginMetrics {
        let metrics = self.runtime.metrics();
        let found = metrics.into_iter().find(|metrics| metrics.plugin == plugin);
        found.expect("the plugin's metrics")
    }

    /// Waits until a plugin has no instance left.
    pub async fn no_instance(&self, plugin: &str) {
        self.until(plugin, |metrics| metrics.instances == 0).await;
    }

    /// Waits until a plugin's numbers are so.
    pub async fn until(&self, plugin: &str, so: impl Fn(&PluginMetrics) -> bool) {
        let wait = async {
            while !so(&self.metrics(plugin)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
        assert!(waited.is_ok(), "{:?}", self.metrics(plugin));
    }
}

pub fn serving(status: PluginStatus) {
    assert_eq!(status.state, PluginState::Serving, "{status:?}");
}

/// Hands calls of `test:host/counter` to the plugin that exports `test:guest/counter`.
#[derive(Default)]
pub struct Counter {
    pub runtime: OnceLock<Runtime>,
}

impl Counter {
    async fn forward<R>(
        store: StoreContextMut<'_, State>,
        name: &'static str,
    ) -> wasmtime::Result<R>
    where
        R: Lift + ComponentNamedList + Send + Sync + 'static,
    {
        let state = store.data();
        let context = state.context();
        let this = state.extensions().get::<Arc<Counter>>().expect("prepared");
        let runtime = this.runtime.get().expect("bound").clone();
        let plugin = runtime
            .exporter("test:guest/counter")
            .ok_or_else(|| wasmtime::format_err!("nobody counts"))?;
        let result = runtime
            .call_with(&plugin, context, async |store, instance| {
                let interface = instance
                    .get_export_index(&mut *store, None, "test:guest/counter@0.1.0")
                    .expect("the interface");
                let function = instance
                    .get_export_index(&mut *store, Some(&interface), name)
                    .expect("the function");
                let function = instance.get_typed_func::<(), R>(&mut *store, function)?;
                function.call_async(store, ()).await
            })
            .await;
        result.map_err(wasmtime::Error::new)
    }
}

/// The capability, which hands itself to each plugin.
pub struct CounterCapability(pub Arc<Counter>);

impl Capability for CounterCapability {
    fn name(&self) -> &'static str {
        "counter"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &["test:host/counter"]
    }

    fn version(&self) -> Option<&str> {
        Some("0.1.0")
    }

    fn example(&self) -> &'static str {
        "true"
    }

    fn prepare(&self, spec: &PluginSpec, ext: &mut Extensions) -> Result<(), String> {
        if spec.grants.get(self.name()) != Some(&serde_json::Value::Bool(true)) {
            return Err("is not `true`".to_owned());
        }
        ext.insert(Arc::clone(&self.0));
        Ok(())
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        let mut interface = linker.instance("test:host/counter@0.1.0")?;
        interface.func_wrap_async("next", |store: StoreContextMut<'_, State>, ()| {
            Box::new(async move { Counter::forward::<(u32,)>(store, "next").await })
        })?;
        interface.func_wrap_async("spin", |store: StoreContextMut<'_, State>, ()| {
            Box::new(async move { Counter::forward::<()>(store, "spin").await })
        })
    }
}
