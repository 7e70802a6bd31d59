//! What a guest may use, and what is said when it is used up.

mod common;

use std::time::Duration;

use common::{BEHAVE, Host};
use http_body_util::BodyExt;
use lakehouse_runtime::{Body, CallError, Clock};

#[tokio::test]
async fn processor_time_has_an_end_and_is_counted() {
    let host = Host::new();
    let limit = Duration::from_millis(100);
    host.serve("behave", BEHAVE, |limits| limits.cpu = limit)
        .await;
    let error = host.get("/spin").await.expect_err("no answer");
    assert_eq!(error, CallError::Timeout(Clock::Cpu(limit)));
    assert!(
        error.to_string().contains("`cpu` limit of 100ms"),
        "{error}"
    );
    let metrics = host.metrics("behave");
    assert_eq!(metrics.timeouts, 1);
    assert!(metrics.cpu_seconds >= 0.1, "{metrics:?}");
    assert_eq!(host.text("/ok").await, "A");
}

#[tokio::test]
async fn a_body_over_its_limit_is_cut() {
    let host = Host::new();
    host.serve("behave", BEHAVE, |limits| limits.response = 3)
        .await;
    let mut body = host.get("/drip").await.expect("a head").into_body();
    let mut received = 0;
    let error = loop {
        match body.frame().await.expect("no clean end") {
            Ok(frame) => received += frame.data_ref().map_or(0, |data| data.len()),
            Err(error) => break error,
        }
    };
    assert_eq!(received, 3);
    assert!(error.to_string().contains('3'), "{error}");
    drop(body);
    host.until("behave", |metrics| metrics.in_flight == 0).await;
    assert_eq!(host.metrics("behave").cancelled, 0);
}

#[tokio::test]
async fn instances_of_all_plugins_together_have_a_limit() {
    let host = Host::with(Vec::new(), |config| config.instances = 1);
    host.serve("behave", BEHAVE, |limits| {
        limits.deadline = Duration::from_secs(3600)
    })
    .await;
    let busy = host.get("/half").await.expect("a head");
    match host.get("/ok").await {
        Err(CallError::Saturated { reason, .. }) => {
            assert!(reason.contains("`runtime.instances` (1)"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    drop(busy);
    host.no_instance("behave").await;
    assert_eq!(host.text("/ok").await, "A");
}

#[tokio::test]
async fn instances_are_there_before_they_are_needed_and_stay() {
    let host = Host::new();
    host.serve("behave", BEHAVE, |limits| {
        limits.min_pool = 2;
        limits.idle = Duration::from_millis(20);
        limits.reuse = 2;
    })
    .await;
    assert_eq!(host.metrics("behave").instances, 2);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(host.metrics("behave").instances, 2);
    // Two requests use one up, a trap another: both are replaced.
    assert_eq!(host.text("/ok").await, "A");
    assert_eq!(host.text("/ok").await, "B");
    assert!(host.get("/trap").await.is_err());
    host.until("behave", |metrics| {
        metrics.instances == 2 && metrics.instantiations == 5
    })
    .await;
}

#[tokio::test]
async fn no_more_instances_are_kept_than_may_be() {
    let host = Host::new();
    host.serve("behave", BEHAVE, |limits| limits.max_pool = 1)
        .await;
    let requests = (0..8).map(|_| host.text("/ok"));
    futures::future::join_all(requests).await;
    host.until("behave", |metrics| metrics.instances <= 1).await;
}

#[tokio::test]
async fn idle_instances_make_room_for_working_ones() {
    let host = Host::with(Vec::new(), |config| config.total_memory = 3 << 20);
    host.serve("behave", BEHAVE, |limits| limits.min_pool = 1)
        .await;
    assert_eq!(host.text("/memory").await, "C");
    assert_eq!(host.metrics("behave").instances, 1);
    host.serve("other", BEHAVE, |_| {}).await;
    let request = http::Request::get("/memory")
        .body(Body::empty())
        .expect("a request");
    let answer = host.runtime.handle("other", request, "1").await;
    let body = answer.expect("an answer").into_body();
    let body = body.collect().await.expect("a whole body");
    assert_eq!(body.to_bytes(), "C");
    assert_eq!(host.metrics("behave").instances, 0);
}
