//! What a call from plugin to plugin costs.
//!
//! `cargo bench --package lakehouse-runtime --bench calls` prints microseconds at the
//! median and the 99th percentile, for calls with nothing to carry and for bytes: once
//! in a signature that is connected with static types, once in one that is not.

use std::time::{Duration, Instant};

use lakehouse_runtime::{Limits, PluginSpec, PluginState, Runtime, RuntimeConfig};
use wasmtime::component::{ComponentNamedList, Lift, Lower};

const COUNTER: &str = include_str!("../tests/guests/counter.wat");
const ECHO: &str = include_str!("../tests/guests/echo.wat");
const PEER: &str = include_str!("../tests/guests/peer.wat");
const TIME: Duration = Duration::from_secs(2);

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(run());
}

async fn run() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = RuntimeConfig {
        cache_dir: folder.path().join("cache"),
        ..RuntimeConfig::default()
    };
    let runtime = Runtime::new(config, Vec::new()).expect("a runtime");
    for (name, text) in [("counter", COUNTER), ("echo", ECHO), ("peer", PEER)] {
        let path = folder.path().join(format!("{name}.wasm"));
        std::fs::write(&path, wat::parse_str(text).expect("a component")).expect("a file");
        let spec = PluginSpec {
            name: name.to_owned(),
            path,
            limits: Limits {
                reuse: u32::MAX,
                // A byte counts for more than a byte where its type is known at run time.
                hostcall: 1 << 30,
                ..Limits::default()
            },
            grants: serde_json::json!({ "plugins": ["*"] }),
            ..PluginSpec::default()
        };
        assert_eq!(runtime.load(spec).await.state, PluginState::Serving);
    }
    println!("{:<44} {:>9} {:>9}", "microseconds", "p50", "p99");
    let counter = ("counter", "test:guest/counter@0.1.0", "next");
    report("host to plugin", 1, async || {
        call::<(), (u32,)>(&runtime, counter, ()).await;
    })
    .await;
    let peer = |name| ("peer", "test:guest/peer@0.1.0", name);
    report("host to plugin to plugin", 1, async || {
        call::<(), (u32,)>(&runtime, peer("next"), ()).await;
    })
    .await;
    report("plugin to plugin, mean of 100", 100, async || {
        call::<(u32,), (u32,)>(&runtime, peer("many"), (100,)).await;
    })
    .await;
    for (size, times) in [(1 << 10, 100), (64 << 10, 20), (1 << 20, 4)] {
        for (tagged, how) in [(false, "static types"), (true, "types at run time")] {
            let name = format!("plugin to plugin, {} KiB there and back, {how}", size >> 10);
            report(&name, times, async || {
                let params = (tagged, vec![7_u8; size], times);
                call::<(bool, Vec<u8>, u32), ()>(&runtime, peer("repeat"), params).await;
            })
            .await;
        }
    }
}

/// Calls over and over, and prints what one of `each` calls took.
async fn report<F: AsyncFn()>(name: &str, each: u32, once: F) {
    let mut taken = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < TIME {
        let start = Instant::now();
        once().await;
        taken.push(start.elapsed() / each);
    }
    taken.sort_unstable();
    let at = |share: f64| {
        let at = (taken.len() as f64 * share) as usize;
        taken[at.min(taken.len() - 1)].as_secs_f64() * 1e6
    };
    println!("{name:<44} {:>9.2} {:>9.2}", at(0.5), at(0.99));
}

async fn call<P, R>(runtime: &Runtime, (plugin, interface, name): (&str, &str, &str), params: P)
where
    P: ComponentNamedList + Lower + Send + Sync + 'static,
    R: ComponentNamedList + Lift + Send + Sync + 'static,
{
    let called = runtime.call(plugin, async |store, instance| {
        let interface = instance.get_export_index(&mut *store, None, interface);
        let function = instance
            .get_export_index(&mut *store, interface.as_ref(), name)
            .expect("the function");
        let function = instance.get_typed_func::<P, R>(&mut *store, function)?;
        function.call_async(store, params).await
    });
    called.await.expect("an answer");
}
