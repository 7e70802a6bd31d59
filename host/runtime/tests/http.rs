//! Requests to guests that behave, and to ones that do not.

mod common;

use std::time::Duration;

use common::{BEHAVE, BEHAVE_03, COUNTER, Host};
use http_body_util::BodyExt;
use lakehouse_runtime::{Body, CallError, Clock};

#[tokio::test]
async fn an_instance_is_reused_as_often_as_it_may() {
    let host = Host::new();
    host.serve("behave", BEHAVE, |limits| limits.reuse = 3)
        .await;
    let mut answers = String::new();
    for _ in 0..7 {
        answers.push_str(&host.text("/ok").await);
    }
    assert_eq!(answers, "ABCABCA");
}

#[tokio::test]
async fn without_reuse_every_request_has_a_fresh_instance() {
    for reuse in [0, 1] {
        let host = Host::new();
        host.serve("behave", BEHAVE, |limits| limits.reuse = reuse)
            .await;
        for _ in 0..5 {
            assert_eq!(host.text("/ok").await, "A");
        }
        host.no_instance("behave").await;
    }
}

#[tokio::test]
async fn an_idle_instance_is_let_go() {
    let host = Host::new();
    host.serve("behave", BEHAVE, |limits| {
        limits.idle = Duration::from_millis(20)
    })
    .await;
    assert_eq!(host.text("/ok").await, "A");
    host.no_instance("behave").await;
    assert_eq!(host.text("/ok").await, "A");
}

#[tokio::test]
async fn a_trap_costs_its_request_and_no_other() {
    let host = Host::new();
    host.serve("behave", BEHAVE, |_| {}).await;
    assert_eq!(host.text("/ok").await, "A");
    match host.get("/trap").await {
        Err(CallError::Trapped(text)) => {
            assert!(text.contains("unreachable"), "{text}");
            assert!(text.contains("; at "), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(host.text("/ok").await, "A");
    assert_eq!(host.metrics("behave").traps, 1);
}

#[tokio::test]
async fn endless_recursion_traps() {
    let host = Host::new();
    host.serve("behave", BEHAVE, |_| {}).await;
    match host.get("/recurse").await {
        Err(CallError::Trapped(text)) => assert!(text.contains("stack"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(host.text("/ok").await, "A");
}

#[tokio::test]
async fn a_trap_after_the_head_breaks_the_body_off() {
    let host = Host::new();
    host.serve("behave", BEHAVE, |_| {}).await;
    let mut body = host.get("/late").await.expect("a head").into_body();
    let first = body.frame().await.expect("a frame").expect("a chunk");
    assert_eq!(first.into_data().expect("data"), "L");
    assert!(body.frame().await.expect("an end").is_err());
    assert_eq!(host.text("/ok").await, "A");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_guest_that_spins_is_stopped_at_its_deadline_and_hinders_nobody() {
    let host = Host::new();
    host.serve("behave", BEHAVE, |limits| {
        limits.deadline = Duration::from_secs(1)
    })
    .await;
    let spin = host.get("/spin");
    let meanwhile = async {
        for _ in 0..20 {
            host.text("/ok").await;
        }
    };
    let (spin, ()) = tokio::join!(spin, meanwhile);
    let limit = Clock::Deadline(Duration::from_secs(1));
    assert_eq!(spin.expect_err("no answer"), CallError::Timeout(limit));
    assert_eq!(host.metrics("behave").timeouts, 1);
    assert_eq!(host.metrics("behave").traps, 0);
}

#[tokio::test]
async fn the_deadline_cuts_the_body_too() {
    let host = Host::new();
    host.serve("behave", BEHAVE, |limits| {
        limits.deadline = Duration::from_millis(300)
    })
    .await;
    for path in ["/half", "/drip"] {
        let response = host.get(path).await.expect("a head");
        assert!(response.into_body().collect().await.is_err(), "{path}");
    }
    assert_eq!(host.metrics("behave").timeouts, 2);
}

#[tokio::test]
async fn a_body_that_nobody_reads_holds_no_instance_beyond_the_deadline() {
    let host = Host::new();
    host.serve("behave", BEHAVE, |limits| {
        limits.deadline = Duration::from_millis(200)
    })
    .await;
    let response = host.get("/drip").await.expect("a head");
    host.no_instance("behave").await;
    assert!(response.into_body().collect().await.is_err());
}

#[tokio::test]
async fn a_caller_that_leaves_takes_the_guest_along() {
    let host = Host::new();
    host.serve("behave", BEHAVE, |limits| {
        limits.deadline = Duration::from_secs(3600)
    })
    .await;

    let left = tokio::time::timeout(Duration::from_millis(50), host.get("/spin")).await;
    assert!(left.is_err());
    host.no_instance("behave").await;

    drop(host.get("/half").await.expect("a head"));
    host.no_instance("behave").await;

    // This one notices by itself that nobody takes its chunks, or is stopped.
    drop(host.get("/drip").await.expect("a head"));
    host.until("behave", |metrics| metrics.in_flight == 0).await;
    assert_eq!(host.metrics("behave").cancelled, 3);
}

#[tokio::test]
async fn memory_over_the_limit_is_refused_to_the_guest() {
    let host = Host::new();
    host.serve("behave", BEHAVE, |limits| {
        limits.memory = (4 << 20) + (64 << 10)
    })
    .await;
    assert_eq!(host.text("/memory").await, "E");
    assert_eq!(host.text("/ok").await, "B");
}

#[tokio::test]
async fn all_instances_together_have_a_limit_too() {
    let host = Host::with(Vec::new(), |config| config.total_memory = 3 << 20);
    host.serve("behave", BEHAVE, |limits| limits.reuse = 1)
        .await;
    assert_eq!(host.text("/memory").await, "C");
    host.no_instance("behave").await;
    assert_eq!(host.runtime.memory(), 0);
    assert_eq!(host.text("/memory").await, "C");
}

#[tokio::test]
async fn a_guest_that_does_not_answer_is_a_failure() {
    let host = Host::new();
    host.serve("behave", BEHAVE, |_| {}).await;
    for path in ["/nothing", "/error"] {
        match host.get(path).await {
            Err(CallError::Trapped(text)) => assert!(!text.is_empty()),
            other => panic!("{path}: {other:?}"),
        }
    }
    assert_eq!(host.metrics("behave").traps, 0);
}

#[tokio::test]
async fn requests_beyond_the_queue_are_turned_away() {
    let host = Host::new();
    host.serve("behave", BEHAVE, |limits| {
        limits.concurrency = 1;
        limits.queue = 1;
        limits.deadline = Duration::from_secs(3600);
        limits.queue_wait = Duration::from_millis(100);
    })
    .await;
    let busy = host.get("/half").await.expect("a head");
    // One waits, in vain; the next finds the queue full.
    let (waits, turned_away) = tokio::join!(host.get("/ok"), host.get("/ok"));
    for result in [waits, turned_away] {
        assert!(
            matches!(result, Err(CallError::Saturated { .. })),
            "{result:?}"
        );
    }
    assert_eq!(host.metrics("behave").rejected, 2);
    drop(busy);
    assert_eq!(host.text("/ok").await, "A");
}

#[tokio::test]
async fn many_at_once_are_all_answered() {
    let host = Host::new();
    host.serve("behave", BEHAVE, |limits| {
        limits.concurrency = 8;
        limits.queue = 1000;
        limits.reuse = 5;
    })
    .await;
    let all = (0..200).map(|_| host.text("/ok"));
    let answers = futures::future::join_all(all).await;
    assert!(
        answers
            .iter()
            .all(|answer| ("A"..="E").contains(&answer.as_str()))
    );
    let metrics = host.metrics("behave");
    assert_eq!(metrics.requests, 200);
    assert_eq!(metrics.answers.count, 200);
    assert_eq!(metrics.in_flight, 0);
    assert!(metrics.answers.buckets.is_sorted());
}

#[tokio::test]
async fn a_request_without_a_host_is_served() {
    let host = Host::new();
    host.serve("behave", BEHAVE, |_| {}).await;
    let request = http::Request::get("/ok")
        .body(Body::empty())
        .expect("a request");
    assert!(host.runtime.handle("behave", request, "1").await.is_ok());
    let request = http::Request::get("/ok")
        .header(
            "host",
            http::HeaderValue::from_bytes(b"\xff").expect("a value"),
        )
        .body(Body::empty())
        .expect("a request");
    assert!(host.runtime.handle("behave", request, "2").await.is_ok());
}

#[tokio::test]
async fn what_cannot_answer_says_so() {
    let host = Host::new();
    assert_eq!(
        host.get("/ok").await.expect_err("none"),
        CallError::NotFound
    );
    host.runtime.load(host.spec("behave", b"nonsense")).await;
    let error = host.get("/ok").await.expect_err("none");
    assert!(matches!(error, CallError::Unavailable { .. }), "{error:?}");
    host.serve("behave", COUNTER, |_| {}).await;
    assert_eq!(
        host.get("/ok").await.expect_err("none"),
        CallError::NotFound
    );
}

#[tokio::test]
async fn a_shutdown_waits_for_what_is_under_way() {
    let host = Host::new();
    host.serve("behave", BEHAVE, |limits| {
        limits.deadline = Duration::from_millis(300)
    })
    .await;
    let response = host.get("/drip").await.expect("a head");
    let reading = tokio::spawn(response.into_body().collect());
    host.runtime.shutdown().await;
    assert!(reading.await.expect("read").is_err());
    let error = host.get("/ok").await.expect_err("closed");
    assert!(matches!(error, CallError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_handler_of_wasi_http_0_3_is_served_and_reused_too() {
    let host = Host::new();
    host.serve("behave", BEHAVE_03, |_| {}).await;
    let status = host.runtime.plugin("behave").expect("loaded");
    assert_eq!(status.http, Some("0.3"));
    for expected in [201, 202, 203] {
        let response = host.get("/").await.expect("a response");
        assert_eq!(response.status(), expected);
        let body = response.into_body().collect().await.expect("a whole body");
        assert!(body.to_bytes().is_empty());
        // A 0.3 guest may still work when its body has ended: a request that comes
        // before it is through gets another instance.
        host.until("behave", |metrics| metrics.in_flight == 0).await;
    }
    match host.get("/").await {
        Err(CallError::Trapped(text)) => assert!(text.contains("unreachable"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(host.get("/").await.expect("a response").status(), 201);
    assert_eq!(host.metrics("behave").traps, 1);
}
