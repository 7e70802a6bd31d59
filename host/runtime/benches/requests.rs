//! What the runtime itself costs a request: no sockets, no HTTP parsing.
//!
//! `cargo bench -p lakehouse-runtime` prints requests a second for a guest that
//! answers one letter, with a fresh instance each and with reuse, for one caller and
//! for several at once, and typed calls beside them.

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use lakehouse_runtime::{Body, Limits, PluginSpec, PluginState, Runtime, RuntimeConfig};

const BEHAVE: &str = include_str!("../tests/guests/behave.wat");
const COUNTER: &str = include_str!("../tests/guests/counter.wat");
const TIME: Duration = Duration::from_secs(3);

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
    for (name, text, reuse) in [
        ("fresh", BEHAVE, 1),
        ("reused", BEHAVE, 1024),
        ("calls", COUNTER, 1_000_000),
    ] {
        let path = folder.path().join(format!("{name}.wasm"));
        std::fs::write(&path, wat::parse_str(text).expect("a component")).expect("a file");
        let spec = PluginSpec {
            name: name.to_owned(),
            path,
            limits: Limits {
                reuse,
                ..Limits::default()
            },
            ..PluginSpec::default()
        };
        assert_eq!(runtime.load(spec).await.state, PluginState::Serving);
    }
    for callers in [1, 16] {
        for name in ["fresh", "reused"] {
            let rate = measure(callers, async || request(&runtime, name).await).await;
            println!("{name:>8} x{callers:<3} {rate:>10.0} requests/s");
        }
        let rate = measure(callers, async || call(&runtime).await).await;
        println!("{:>8} x{callers:<3} {rate:>10.0} calls/s", "calls");
    }
}

async fn measure<F>(callers: u32, once: F) -> f64
where
    F: AsyncFn(),
{
    let begun = Instant::now();
    let each = (0..callers).map(|_| async {
        let mut done = 0_u32;
        while begun.elapsed() < TIME {
            once().await;
            done += 1;
        }
        done
    });
    let done: u32 = futures::future::join_all(each).await.into_iter().sum();
    f64::from(done) / begun.elapsed().as_secs_f64()
}

async fn request(runtime: &Runtime, plugin: &str) {
    let request = http::Request::get("/ok")
        .body(Body::empty())
        .expect("a request");
    let response = runtime
        .handle(plugin, request, "1")
        .await
        .expect("an answer");
    response.into_body().collect().await.expect("a body");
}

async fn call(runtime: &Runtime) {
    runtime
        .call("calls", async |store, instance| {
            let interface = instance
                .get_export_index(&mut *store, None, "test:guest/counter@0.1.0")
                .expect("the interface");
            let next = instance
                .get_export_index(&mut *store, Some(&interface), "next")
                .expect("the function");
            let next = instance.get_typed_func::<(), (u32,)>(&mut *store, next)?;
            next.call_async(store, ()).await
        })
        .await
        .expect("a count");
}
