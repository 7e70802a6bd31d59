//! Plugins that call plugins.

mod common;

use std::time::{Duration, Instant};

use common::{COUNTER, Host, assemble, serving};
use lakehouse_runtime::{CallContext, CallError, PluginState, Runtime};
use serde_json::json;
use wasmtime::component::{ComponentNamedList, Lift, Lower, Val};

const ECHO: &str = include_str!("guests/echo.wat");
const PEER: &str = include_str!("guests/peer.wat");
const RING: &str = include_str!("guests/ring.wat");

const INTERFACE: &str = "test:guest/peer@0.1.0";

/// Calls a function with types known here.
async fn typed<P, R>(
    runtime: &Runtime,
    context: CallContext,
    (plugin, interface, name): (&str, &str, &str),
    params: P,
) -> Result<R, CallError>
where
    P: ComponentNamedList + Lower + Send + Sync + 'static,
    R: Send + Sync + 'static,
    (R,): ComponentNamedList + Lift + Send + Sync + 'static,
{
    runtime
        .call_with(plugin, context, async |store, instance| {
            let interface = instance.get_export_index(&mut *store, None, interface);
            let function = instance
                .get_export_index(&mut *store, interface.as_ref(), name)
                .expect("the function");
            let function = instance.get_typed_func::<P, (R,)>(&mut *store, function)?;
            Ok(function.call_async(store, params).await?.0)
        })
        .await
}

async fn next(runtime: &Runtime) -> Result<u32, CallError> {
    let context = CallContext::default();
    typed(runtime, context, ("peer", INTERFACE, "next"), ()).await
}

async fn bytes(runtime: &Runtime, bytes: Vec<u8>) -> Result<Result<Vec<u8>, String>, CallError> {
    let context = CallContext::default();
    typed(runtime, context, ("peer", INTERFACE, "bytes"), (bytes,)).await
}

async fn go(runtime: &Runtime, plugin: &str) -> Result<u32, String> {
    let interface = format!("test:ring/{plugin}@0.1.0");
    let context = CallContext::default();
    typed(runtime, context, (plugin, &interface, "go"), ())
        .await
        .expect("an answer")
}

/// Loads the peer with these grants.
async fn peer(host: &Host, grants: serde_json::Value) {
    let mut spec = host.spec("peer", &assemble(PEER));
    spec.grants = json!({ "plugins": grants });
    serving(host.runtime.load(spec).await);
}

/// Loads a plugin of a ring.
async fn ring(host: &Host, this: &str, next: &str) {
    let text = RING.replace("THIS", this).replace("NEXT", next);
    let mut spec = host.spec(this, &assemble(&text));
    spec.grants = json!({ "plugins": ["*"] });
    serving(host.runtime.load(spec).await);
}

fn trap(result: Result<u32, CallError>) -> String {
    match result {
        Err(CallError::Trapped(text) | CallError::Internal(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn whoever_exports_an_interface_now_is_called() {
    let host = Host::new();
    peer(&host, json!(["*"])).await;
    let text = trap(next(&host.runtime).await);
    assert!(
        text.contains("test:guest/counter@0.1.0 `next`: no plugin that serves exports it"),
        "{text}"
    );
    host.serve("counter", COUNTER, |_| {}).await;
    assert_eq!(next(&host.runtime).await, Ok(1));
    assert_eq!(next(&host.runtime).await, Ok(2));
    // A new one counts from the beginning.
    host.serve("counter", COUNTER, |_| {}).await;
    assert_eq!(next(&host.runtime).await, Ok(1));
}

#[tokio::test]
async fn a_plugin_that_may_call_nobody_is_told_the_missing_grant() {
    let host = Host::new();
    let mut spec = host.spec("peer", &assemble(PEER));
    for grants in [json!({}), json!({ "plugins": [] })] {
        spec.grants = grants;
        let reason = host.runtime.load(spec.clone()).await.reason;
        let reason = reason.expect("a reason");
        assert!(
            reason.contains(
                "imports test:guest/counter@0.1.0, which nothing here provides: to have it from \
                 a plugin that exports it, add `plugins = [\"test:guest/counter\"]` under \
                 [plugins.peer.grants]"
            ),
            "{reason}"
        );
    }
    for (grants, said) in [
        (json!("*"), "grants.plugins: is \"*\"; expected names"),
        (
            json!(["a b"]),
            "grants.plugins: \"a b\" is no plugin's name",
        ),
        (json!([""]), "grants.plugins: \"\""),
        (json!([7]), "grants.plugins: 7"),
        (json!(["acme:/"]), "grants.plugins: \"acme:/\""),
    ] {
        spec.grants = json!({ "plugins": grants });
        let reason = host.runtime.load(spec.clone()).await.reason;
        let reason = reason.expect("a reason");
        assert!(reason.starts_with(said), "{reason}");
    }
}

#[tokio::test]
async fn a_grant_is_a_plugin_an_interface_or_everything() {
    let host = Host::new();
    host.serve("counter", COUNTER, |_| {}).await;
    host.serve("echo", ECHO, |_| {}).await;
    for (grants, may_count) in [
        (json!(["counter"]), true),
        (json!(["test:guest/counter"]), true),
        (json!(["test:guest/counter@0.1.0"]), true),
        (json!(["echo", "*"]), true),
        (json!(["echo"]), false),
        (json!(["test:guest/echo"]), false),
    ] {
        peer(&host, grants.clone()).await;
        let counted = next(&host.runtime).await;
        if may_count {
            assert!(counted.is_ok(), "{grants}: {counted:?}");
        } else {
            let text = trap(counted);
            assert!(
                text.contains(
                    "plugin `counter` exports it, which the grant `plugins` of `peer` does not cover"
                ),
                "{text}"
            );
        }
    }
}

#[tokio::test]
async fn bytes_arrive_as_they_were() {
    let host = Host::new();
    peer(&host, json!(["*"])).await;
    let refused = bytes(&host.runtime, vec![1]).await.expect("an answer");
    let text = refused.expect_err("nobody echoes");
    assert!(
        text.contains("`bytes`: no plugin that serves exports it"),
        "{text}"
    );

    host.serve("echo", ECHO, |_| {}).await;
    for length in [0, 1, 1000, 3 << 20] {
        let sent: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let echoed = bytes(&host.runtime, sent.clone()).await;
        assert!(echoed == Ok(Ok(sent)), "{length} bytes");
    }
}

#[tokio::test]
async fn values_of_every_shape_arrive_as_they_were() {
    let host = Host::new();
    peer(&host, json!(["*"])).await;
    host.serve("echo", ECHO, |_| {}).await;
    let text = |text: &str| Val::String(text.to_owned());
    let item = |id: u64, name: &str, more: Option<f32>, ok: Result<u8, &str>| {
        Val::Tuple(vec![
            Val::U64(id),
            text(name),
            Val::Option(more.map(|more| Box::new(Val::Float32(more)))),
            Val::Result(match ok {
                Ok(value) => Ok(Some(Box::new(Val::U8(value)))),
                Err(error) => Err(Some(Box::new(text(error)))),
            }),
            Val::List(vec![Val::Bool(true), Val::Bool(id == 0)]),
            Val::Char('ß'),
        ])
    };
    let sent = [Val::List(vec![
        item(u64::MAX, "größer", Some(1.5), Ok(7)),
        item(0, "", None, Err("no")),
    ])];
    let echoed = host
        .runtime
        .call("peer", async |store, instance| {
            let interface = instance.get_export_index(&mut *store, None, INTERFACE);
            let values = instance
                .get_export_index(&mut *store, interface.as_ref(), "values")
                .and_then(|values| instance.get_func(&mut *store, values))
                .expect("the function");
            let mut echoed = [Val::Bool(false)];
            values.call_async(store, &sent, &mut echoed).await?;
            Ok(echoed)
        })
        .await;
    assert_eq!(echoed, Ok(sent));
}

#[tokio::test]
async fn another_type_and_another_version_are_told_apart() {
    let host = Host::new();
    peer(&host, json!(["*"])).await;
    let wide = COUNTER
        .replace(
            "(func (export \"next\") (result i32)",
            "(func (export \"next\") (result i64)",
        )
        .replace(
            "(global.get $calls))\n    (func (export \"spin\")",
            "(i64.const 1))\n    (func (export \"spin\")",
        )
        .replace("(func $next (result u32)", "(func $next (result u64)");
    host.serve("counter", &wide, |_| {}).await;
    let text = trap(next(&host.runtime).await);
    assert!(
        text.contains("plugin `counter` exports it with another type"),
        "{text}"
    );

    let later = COUNTER.replace("counter@0.1.0", "counter@0.2.0");
    host.serve("counter", &later, |_| {}).await;
    let text = trap(next(&host.runtime).await);
    assert!(
        text.contains(
            "no plugin that serves exports it; plugin `counter` exports test:guest/counter@0.2.0"
        ),
        "{text}"
    );
}

#[tokio::test]
async fn an_interface_with_resources_is_refused() {
    let text = r#"(component
        (import "acme:box/open@1.0.0" (instance
            (export "lid" (type $lid (sub resource)))
            (export "lift" (func (param "lid" (borrow $lid))))))
        (core module $m (func (export "run")))
        (core instance $i (instantiate $m))
        (func $run (canon lift (core func $i "run")))
        (export "run" (func $run)))"#;
    let host = Host::new();
    let mut spec = host.spec("opener", &assemble(text));
    spec.grants = json!({ "plugins": ["*"] });
    let status = host.runtime.load(spec).await;
    assert_eq!(status.state, PluginState::Failed);
    assert_eq!(
        status.reason.as_deref(),
        Some(
            "imports acme:box/open@1.0.0, which another plugin cannot provide: `lid` is a resource"
        )
    );
}

#[tokio::test]
async fn a_circle_is_an_error_that_names_it() {
    let host = Host::new();
    ring(&host, "a", "b").await;
    ring(&host, "b", "c").await;
    ring(&host, "c", "a").await;
    ring(&host, "self", "self").await;
    for (first, circle) in [("a", "a -> b -> c -> a"), ("self", "self -> self")] {
        let text = go(&host.runtime, first).await.expect_err("a circle");
        assert!(text.ends_with(&format!("in a circle: {circle}")), "{text}");
        // It cost nobody an instance.
        assert_eq!(host.metrics(first).traps, 0);
        assert!(go(&host.runtime, first).await.is_err());
    }
}

#[tokio::test]
async fn a_chain_is_only_so_deep() {
    let host = Host::new();
    for at in 0..18 {
        ring(&host, &format!("p{at}"), &format!("p{}", at + 1)).await;
    }
    let text = go(&host.runtime, "p0").await.expect_err("too deep");
    assert!(text.contains("more than 16 deep: p0 -> p1 -> "), "{text}");
    // From further on, the end is reached: nobody exports the last import.
    let text = go(&host.runtime, "p4").await.expect_err("an end");
    assert!(
        text.contains("test:ring/p18@0.1.0 `go`: no plugin"),
        "{text}"
    );
}

#[tokio::test]
async fn a_call_between_plugins_ends_with_its_request() {
    let host = Host::new();
    peer(&host, json!(["*"])).await;
    host.serve("counter", COUNTER, |limits| {
        limits.deadline = Duration::from_secs(3600)
    })
    .await;
    let context = CallContext {
        deadline: Some(Instant::now() + Duration::from_millis(100)),
        ..CallContext::default()
    };
    let spun: Result<u32, CallError> = host
        .runtime
        .call_with("peer", context, async |store, instance| {
            let interface = instance.get_export_index(&mut *store, None, INTERFACE);
            let spin = instance
                .get_export_index(&mut *store, interface.as_ref(), "spin")
                .expect("the function");
            let spin = instance.get_typed_func::<(), ()>(&mut *store, spin)?;
            spin.call_async(store, ()).await.map(|()| 0)
        })
        .await;
    assert!(spun.is_err(), "{spun:?}");
    host.no_instance("counter").await;
    assert_eq!(next(&host.runtime).await, Ok(1));
}

#[tokio::test]
async fn a_trap_in_the_plugin_called_is_the_callers_error() {
    let host = Host::new();
    peer(&host, json!(["*"])).await;
    let broken = ECHO.replace(
        "(call $bytes (local.get $at) (local.get $length))",
        "(unreachable)",
    );
    let broken = broken.replace("(i32.store (i32.const 16) (i32.const 0))", "(unreachable)");
    host.serve("echo", &broken, |_| {}).await;
    let text = bytes(&host.runtime, vec![1]).await.expect("an answer");
    let text = text.expect_err("a trap");
    assert!(
        text.contains("test:guest/echo@0.1.0 `bytes`: the plugin failed"),
        "{text}"
    );
    assert_eq!(host.metrics("echo").traps, 1);
    assert_eq!(host.metrics("peer").traps, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugins_call_each_other_side_by_side() {
    let host = Host::new();
    peer(&host, json!(["*"])).await;
    host.serve("counter", COUNTER, |limits| limits.concurrency = 2)
        .await;
    let calls = (0..50).map(|_| {
        let runtime = host.runtime.clone();
        tokio::spawn(async move { next(&runtime).await })
    });
    for count in futures::future::join_all(calls).await {
        assert!(count.expect("no panic").expect("a count") >= 1);
    }
}
