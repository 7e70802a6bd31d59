//! W3C trace context, in and out.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use lakehouse_tests::{Server, expect_json};
use serde_json::Value;
use tokio::net::TcpListener;

use super::collector::{Collector, one};
use super::{PARENT, TRACE, traced};

/// Headers of a request, and the `traceparent` and `tracestate` that go on from them.
type Passed = (
    &'static [(&'static str, &'static str)],
    Option<&'static str>,
    Option<&'static str>,
);

/// What a client sends of a trace, and what is made of it when no spans are recorded.
const SENT: [Passed; 5] = [
    (
        &[("traceparent", PARENT), ("tracestate", "rojo=1,congo=2")],
        Some(PARENT),
        Some("rojo=1,congo=2"),
    ),
    (&[("traceparent", PARENT)], Some(PARENT), None),
    (
        &[("traceparent", "00-nonsense-01"), ("tracestate", "rojo=1")],
        None,
        None,
    ),
    (&[("tracestate", "rojo=1")], None, None),
    (
        &[("traceparent", PARENT), ("tracestate", "NOT A LIST")],
        Some(PARENT),
        None,
    ),
];

/// Another host, which answers with the headers that it got.
async fn mirror() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(async |request: Request| {
        let headers = request.headers().iter();
        let seen: serde_json::Map<String, Value> = headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()))
            .collect();
        axum::Json(seen)
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test]
async fn without_a_collector_a_trace_is_passed_through() {
    let config = format!("[gateway]\nstorage_url = \"http://{}\"\n", mirror().await);
    let builder = Server::builder().config(config).plugins(&["probe"]);
    let server = builder.start().await;
    for path in ["/v1/probe/headers", "/v1/storage/x"] {
        for (sent, parent, state) in SENT {
            let mut request = server.get(path);
            for (name, value) in sent {
                request = request.header(*name, *value);
            }
            let answer = request.send().await.unwrap();
            assert!(!answer.headers().contains_key("traceresponse"));
            let seen = expect_json(answer, 200).await;
            assert_eq!(seen["traceparent"].as_str(), parent, "{path} {sent:?}");
            assert_eq!(seen["tracestate"].as_str(), state, "{path} {sent:?}");
        }
    }
}

#[tokio::test]
async fn with_a_collector_plugins_and_upstreams_continue_our_spans() {
    let collector = Collector::start().await;
    let upstream = mirror().await;
    let config = format!(
        "[telemetry]\notlp_endpoint = \"http://{}\"\n\
         [gateway]\nstorage_url = \"http://{upstream}\"\n",
        collector.address()
    );
    let server = Server::builder()
        .config(config)
        .env("OTEL_BSP_SCHEDULE_DELAY", "50")
        .plugins(&["probe"])
        .start()
        .await;
    for (path, top, below) in [
        ("/v1/probe/headers", "GET /v1/probe", "plugin probe"),
        ("/v1/storage/x", "GET /v1/storage", "GET"),
    ] {
        let request = server
            .get(path)
            .header("traceparent", PARENT)
            .header("tracestate", "rojo=1");
        let seen = expect_json(request.send().await.unwrap(), 200).await;
        let (top, _) = collector.span(top).await;
        let (below, _) = collector.span(below).await;
        assert_eq!(below.parent(), top.id(), "{path}");
        let parent = format!("00-{TRACE}-{}-01", below.id());
        assert_eq!(seen["traceparent"], parent, "{path}");
        assert_eq!(seen["tracestate"], "rojo=1", "{path}");
    }
}

#[tokio::test]
async fn a_malformed_trace_begins_a_new_one() {
    let collector = Collector::start().await;
    let server = traced(&collector).plugins(&["probe"]).start().await;
    let request = server
        .get("/v1/probe/headers")
        .header("traceparent", PARENT.to_uppercase())
        .header("tracestate", "rojo=1");
    let seen = expect_json(request.send().await.unwrap(), 200).await;
    let (top, spans) = collector.span("GET /v1/probe").await;
    assert_ne!(top.trace(), TRACE);
    assert_eq!(top.parent(), "");
    let plugin = one(&spans, "plugin probe");
    let parent = format!("00-{}-{}-01", top.trace(), plugin.id());
    assert_eq!(seen["traceparent"], parent);
    assert_eq!(seen["tracestate"], Value::Null);
}
