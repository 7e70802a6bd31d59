//! Spans, as a collector gets them.

use lakehouse_tests::{Server, expect_json, expect_status};

use super::collector::{Collector, one};
use super::{PARENT, SPAN, TRACE, traced};

#[tokio::test]
async fn a_request_is_traced_from_the_client_to_the_store() {
    let collector = Collector::start().await;
    let server = traced(&collector).plugins(&["storage"]).start().await;
    let request = server
        .put("/v1/storage/put/a")
        .header("traceparent", PARENT)
        .header("x-request-id", "look-for-me")
        .body("text");
    let answer = expect_status(request.send().await.unwrap(), 201).await;
    let answered = answer.headers()["traceresponse"]
        .to_str()
        .unwrap()
        .to_owned();
    drop(answer);

    let (top, spans) = collector.span("PUT /v1/storage").await;
    assert_eq!(top.service, "lakehouse");
    assert_eq!(top.trace(), TRACE);
    assert_eq!(top.parent(), SPAN);
    assert_eq!(answered, format!("00-{TRACE}-{}-01", top.id()));
    for (key, value) in [
        ("http.request.method", "PUT"),
        ("http.route", "/v1/storage"),
        ("url.path", "/v1/storage/put/a"),
        ("http.response.status_code", "201"),
        ("client.address", "127.0.0.1"),
        ("lakehouse.request_id", "look-for-me"),
    ] {
        assert_eq!(top.attribute(key).as_deref(), Some(value), "{key}");
    }

    let plugin = one(&spans, "plugin storage");
    assert_eq!(plugin.parent(), top.id());
    let stores: Vec<_> = spans
        .iter()
        .filter(|span| span.name().starts_with("store."))
        .collect();
    assert!(!stores.is_empty(), "{spans:#?}");
    for store in stores {
        assert_eq!(store.trace(), TRACE);
        assert_eq!(store.parent(), plugin.id(), "{store:#?}");
        assert!(store.inner.start_time_unix_nano >= top.inner.start_time_unix_nano);
        assert!(store.inner.end_time_unix_nano <= top.inner.end_time_unix_nano);
    }
    assert!(spans.iter().all(|span| !span.failed()), "{spans:#?}");
}

#[tokio::test]
async fn a_call_from_plugin_to_plugin_is_one_trace() {
    let collector = Collector::start().await;
    let builder = traced(&collector).plugins(&["catalog", "ingest"]);
    let server = builder.start().await;
    let request = server
        .post("/v1/ingest?table=t")
        .header("content-type", "text/csv")
        .body("a\n1\n");
    expect_json(request.send().await.unwrap(), 201).await;

    let (top, _) = collector.span("POST /v1/ingest").await;
    // One that the client did not begin begins here.
    assert_eq!(top.parent(), "");
    let named = |name: &str| {
        let name = name.to_owned();
        move |spans: &[super::collector::Span]| spans.iter().any(|span| span.name() == name)
    };
    let spans = collector.until(named("catalog.commit")).await;
    let ingest = one(&spans, "plugin ingest");
    let commit = one(&spans, "catalog.commit");
    assert_eq!(ingest.parent(), top.id());
    assert_eq!(commit.parent(), ingest.id());
    let catalog = spans
        .iter()
        .find(|span| span.parent() == commit.id())
        .expect("a call of the catalog");
    assert_eq!(catalog.name(), "plugin catalog");
    let put = spans
        .iter()
        .find(|span| span.parent() == catalog.id() && span.name().starts_with("store."));
    assert!(put.is_some(), "{spans:#?}");
    assert!(spans.iter().all(|span| span.trace() == top.trace()));
}

#[tokio::test]
async fn failures_are_told() {
    let collector = Collector::start().await;
    let server = traced(&collector).plugins(&["probe"]).start().await;
    let trap = server.get("/v1/probe/panic").header("traceparent", PARENT);
    expect_status(trap.send().await.unwrap(), 502).await;
    let (top, spans) = collector.span("GET /v1/probe").await;
    assert!(top.failed());
    assert_eq!(
        top.attribute("http.response.status_code").as_deref(),
        Some("502")
    );
    let plugin = one(&spans, "plugin probe");
    assert!(plugin.failed());
    let status = plugin.inner.status.clone().unwrap();
    assert!(status.message.contains("unreachable"), "{status:?}");

    // What a client asks in vain is no failure of the host.
    expect_status(server.get("/v1/nothing").send().await.unwrap(), 404).await;
    let (missed, _) = collector.span("GET").await;
    assert!(!missed.failed());
}

#[tokio::test]
async fn what_a_client_does_not_record_is_not_recorded() {
    let collector = Collector::start().await;
    let server = traced(&collector).plugins(&["probe"]).start().await;
    let unsampled = PARENT.replace("-01", "-00");
    let request = server.get("/v1/probe/headers");
    let request = request.header("traceparent", &unsampled);
    let seen = expect_json(request.send().await.unwrap(), 200).await;
    let parent = seen["traceparent"].as_str().unwrap();
    assert!(parent.starts_with(&format!("00-{TRACE}-")), "{parent}");
    assert!(parent.ends_with("-00"), "{parent}");

    expect_status(server.get("/v1/nothing").send().await.unwrap(), 404).await;
    let (_, spans) = collector.span("GET").await;
    assert_eq!(spans.len(), 1, "{spans:#?}");
}

#[tokio::test]
async fn the_last_spans_are_sent_at_the_end() {
    let collector = Collector::start().await;
    let mut server = Server::builder()
        .config(format!(
            "[telemetry]\notlp_endpoint = \"http://{}/\"\nservice_name = \"house\"\n",
            collector.address()
        ))
        .env("OTEL_BSP_SCHEDULE_DELAY", "3600000")
        .plugins(&[])
        .start()
        .await;
    expect_status(server.get("/v1/nothing").send().await.unwrap(), 404).await;
    assert_eq!(server.terminate().await.code(), Some(0));
    let spans = collector.spans();
    // The look whether it is ready is not among them.
    assert_eq!(spans.len(), 1, "{spans:#?}");
    assert_eq!(spans[0].name(), "GET");
    assert_eq!(spans[0].service, "house");
}

#[tokio::test]
async fn a_collector_that_is_away_is_named_in_the_log_and_costs_no_request() {
    // Nothing listens on a port that was just given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap();
    let server = Server::builder()
        .config(format!("[telemetry]\notlp_endpoint = \"http://{port}\"\n"))
        .env("OTEL_BSP_SCHEDULE_DELAY", "50")
        .plugins(&["probe"])
        .start()
        .await;
    for _ in 0..3 {
        expect_status(server.get("/v1/probe/headers").send().await.unwrap(), 200).await;
    }
    server.logged("BatchSpanProcessor").await;
}
