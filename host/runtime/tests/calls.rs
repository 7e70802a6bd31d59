//! Typed calls, from the host and from other plugins.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{COUNTER, Counter, CounterCapability, Host, RELAY, assemble, serving};
use lakehouse_runtime::{CallContext, CallError, Runtime};

async fn call(
    runtime: &Runtime,
    plugin: &str,
    interface: &str,
    name: &str,
) -> Result<u32, CallError> {
    call_with(runtime, CallContext::default(), plugin, interface, name).await
}

async fn call_with(
    runtime: &Runtime,
    context: CallContext,
    plugin: &str,
    interface: &str,
    name: &str,
) -> Result<u32, CallError> {
    runtime
        .call_with(plugin, context, async |store, instance| {
            let interface = instance
                .get_export_index(&mut *store, None, interface)
                .expect("the interface");
            let function = instance
                .get_export_index(&mut *store, Some(&interface), name)
                .expect("the function");
            if name == "next" {
                let next = instance.get_typed_func::<(), (u32,)>(&mut *store, function)?;
                Ok(next.call_async(store, ()).await?.0)
            } else {
                let other = instance.get_typed_func::<(), ()>(&mut *store, function)?;
                other.call_async(store, ()).await.map(|()| 0)
            }
        })
        .await
}

const GUEST: &str = "test:guest/counter@0.1.0";
const RELAYED: &str = "test:guest/relay@0.1.0";

#[tokio::test]
async fn instances_stay_warm_between_calls() {
    let host = Host::new();
    host.serve("counter", COUNTER, |limits| limits.reuse = 3)
        .await;
    let mut counts = Vec::new();
    for _ in 0..5 {
        counts.push(
            call(&host.runtime, "counter", GUEST, "next")
                .await
                .expect("a count"),
        );
    }
    assert_eq!(counts, [1, 2, 3, 1, 2]);
    assert_eq!(host.metrics("counter").calls, 5);
}

#[tokio::test]
async fn an_instance_that_trapped_is_thrown_away() {
    let host = Host::new();
    host.serve("counter", COUNTER, |_| {}).await;
    assert_eq!(call(&host.runtime, "counter", GUEST, "next").await, Ok(1));
    let error = call(&host.runtime, "counter", GUEST, "trap").await;
    assert!(matches!(error, Err(CallError::Trapped(_))), "{error:?}");
    assert_eq!(call(&host.runtime, "counter", GUEST, "next").await, Ok(1));
    assert_eq!(host.metrics("counter").traps, 1);
}

#[tokio::test]
async fn a_call_that_spins_ends_at_the_deadline() {
    let host = Host::new();
    host.serve("counter", COUNTER, |limits| {
        limits.deadline = Duration::from_millis(100)
    })
    .await;
    let error = call(&host.runtime, "counter", GUEST, "spin").await;
    assert!(matches!(error, Err(CallError::Timeout(_))), "{error:?}");
    host.no_instance("counter").await;
}

#[tokio::test]
async fn a_call_inherits_the_deadline_of_its_request() {
    let host = Host::new();
    host.serve("counter", COUNTER, |limits| {
        limits.deadline = Duration::from_secs(3600)
    })
    .await;
    let context = CallContext {
        deadline: Some(Instant::now() + Duration::from_millis(100)),
        ..CallContext::default()
    };
    let error = call_with(&host.runtime, context, "counter", GUEST, "spin").await;
    assert!(matches!(error, Err(CallError::Timeout(_))), "{error:?}");
}

#[tokio::test]
async fn idle_instances_are_let_go() {
    let host = Host::new();
    host.serve("counter", COUNTER, |limits| {
        limits.idle = Duration::from_millis(20)
    })
    .await;
    assert_eq!(call(&host.runtime, "counter", GUEST, "next").await, Ok(1));
    host.no_instance("counter").await;
    assert_eq!(call(&host.runtime, "counter", GUEST, "next").await, Ok(1));
}

async fn relay() -> Host {
    let counter = Arc::new(Counter::default());
    let capability = Arc::new(CounterCapability(Arc::clone(&counter)));
    let host = Host::with(vec![capability], |_| {});
    assert!(counter.runtime.set(host.runtime.clone()).is_ok());
    let mut spec = host.spec("relay", &assemble(RELAY));
    spec.grants = serde_json::json!({ "counter": true });
    serving(host.runtime.load(spec).await);
    host
}

#[tokio::test]
async fn one_plugin_calls_another_through_the_host() {
    let host = relay().await;
    let error = call(&host.runtime, "relay", RELAYED, "next").await;
    match error {
        Err(CallError::Trapped(text)) => assert!(text.contains("nobody counts"), "{text}"),
        other => panic!("{other:?}"),
    }
    host.serve("counter", COUNTER, |_| {}).await;
    assert_eq!(call(&host.runtime, "relay", RELAYED, "next").await, Ok(1));
    assert_eq!(call(&host.runtime, "relay", RELAYED, "next").await, Ok(2));
}

/// The future of a call can move between threads, one inside another too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_inside_calls_run_side_by_side() {
    let host = relay().await;
    host.serve("counter", COUNTER, |limits| limits.concurrency = 2)
        .await;
    let calls = (0..50).map(|_| {
        let runtime = host.runtime.clone();
        tokio::spawn(async move { call(&runtime, "relay", RELAYED, "next").await })
    });
    for count in futures::future::join_all(calls).await {
        assert!(count.expect("no panic").expect("a count") >= 1);
    }
}

#[tokio::test]
async fn the_inner_call_ends_with_the_outer() {
    let host = relay().await;
    host.serve("counter", COUNTER, |_| {}).await;
    let context = CallContext {
        deadline: Some(Instant::now() + Duration::from_millis(100)),
        ..CallContext::default()
    };
    let error = call_with(&host.runtime, context, "relay", RELAYED, "spin").await;
    assert!(error.is_err());
    host.no_instance("counter").await;
}
