//! Health, readiness, metrics, logs, and stopping.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use lakehouse_tests::{Builder, Server, expect_json, expect_status, expect_text};
use serde_json::Value;

fn bare(config: &str) -> Builder {
    Server::builder().config(config).plugins(&[])
}

#[tokio::test]
async fn a_server_with_its_plugins_is_ready() {
    let server = Server::builder().plugins(&["hello"]).start().await;
    let ready = expect_json(server.get("/readyz").send().await.unwrap(), 200).await;
    assert_eq!(ready["status"], "ready");
}

/// The value of a metric's line.
fn metric(text: &str, line: &str) -> f64 {
    let found = text.lines().find_map(|found| found.strip_prefix(line));
    let value = found.unwrap_or_else(|| panic!("no {line} in {text}"));
    value.trim().parse().unwrap()
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let server = Server::builder().plugins(&["hello"]).start().await;
    for _ in 0..3 {
        expect_text(server.get("/v1/hello").send().await.unwrap(), 200).await;
    }
    expect_status(
        server.get("/v1/vectors/index/none").send().await.unwrap(),
        404,
    )
    .await;
    let answer = server.get("/metrics").send().await.unwrap();
    let media = answer.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(media.starts_with("text/plain; version=0.0.4"), "{media}");
    let text = expect_text(answer, 200).await;
    assert_eq!(
        metric(&text, "lakehouse_plugin_requests_total{plugin=\"hello\"}"),
        3.0
    );
    assert_eq!(
        metric(
            &text,
            "lakehouse_plugin_traps_total{plugin=\"hello\",kind=\"unreachable\"}"
        ),
        0.0
    );
    assert_eq!(
        metric(&text, "lakehouse_plugin_timeouts_total{plugin=\"hello\"}"),
        0.0
    );
    assert!(
        metric(
            &text,
            "lakehouse_plugin_instantiations_total{plugin=\"hello\"}"
        ) >= 1.0
    );
    let count = "lakehouse_plugin_request_duration_seconds_count{plugin=\"hello\"}";
    assert_eq!(metric(&text, count), 3.0);
    for (line, expected) in [
        ("generation{plugin=\"hello\"}", 1.0),
        ("answers_total{plugin=\"hello\",status=\"2xx\"}", 3.0),
        ("answers_total{plugin=\"hello\",status=\"5xx\"}", 0.0),
        ("instances{plugin=\"hello\",state=\"busy\"}", 0.0),
        ("instances{plugin=\"hello\",state=\"idle\"}", 1.0),
        ("queue_length{plugin=\"hello\"}", 0.0),
        ("queue_waits_total{plugin=\"hello\"}", 0.0),
    ] {
        assert_eq!(metric(&text, &format!("lakehouse_plugin_{line}")), expected);
    }
    let peak = metric(
        &text,
        "lakehouse_plugin_memory_peak_bytes{plugin=\"hello\"}",
    );
    assert!((65_536.0..64e6).contains(&peak), "{peak}");
    let requests = "lakehouse_http_requests_total{route=\"hello\",status=\"2xx\"}";
    assert_eq!(metric(&text, requests), 3.0);
    let missed = "lakehouse_http_requests_total{route=\"vectors\",status=\"4xx\"}";
    assert_eq!(metric(&text, missed), 1.0);
    assert!(metric(&text, "process_resident_memory_bytes") > 1e6);
}

#[tokio::test]
async fn every_metric_has_a_type_and_stands_once() {
    let server = Server::builder().plugins(&["hello"]).start().await;
    expect_text(server.get("/v1/hello").send().await.unwrap(), 200).await;
    let text = expect_text(server.get("/metrics").send().await.unwrap(), 200).await;
    let mut types = Vec::new();
    let mut lines = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            types.push(rest.split(' ').next().unwrap().to_owned());
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let known = types.iter().any(|family| name.starts_with(family.as_str()));
            assert!(known, "{line} has no type");
            assert!(!lines.contains(&name), "{name} stands twice");
            lines.push(name);
        }
    }
}

#[tokio::test]
async fn logs_are_json_where_no_terminal_is() {
    let mut server = bare("").start().await;
    server.terminate().await;
    let logs = server.logs();
    let mut messages = Vec::new();
    for line in logs.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(
            line["timestamp"].is_string() && line["level"].is_string(),
            "{line}"
        );
        messages.push(line["message"].as_str().unwrap_or_default().to_owned());
    }
    assert!(
        messages
            .iter()
            .any(|message| message.starts_with("listening on http://127.0.0.1:"))
    );
}

#[tokio::test]
async fn logs_can_be_text_and_filtered() {
    let server = bare("[log]\nformat = \"text\"\n")
        .flag("--log")
        .flag("info,lakehouse::access=debug")
        .start()
        .await;
    let id = "look-for-me";
    let request = server.get("/v1/nothing").header("x-request-id", id);
    expect_status(request.send().await.unwrap(), 404).await;
    let logs = server.logged(id).await;
    assert!(!logs.contains("{\"timestamp\""));
}

/// A request to vectors whose body has not come yet.
fn half_a_request(server: &Server, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let head = format!(
        "POST /v1/vectors/index HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The server must have seen it before it is told to stop.
    std::thread::sleep(Duration::from_millis(300));
    stream
}

const INDEX: &str = r#"{"name":"drained","dimension":2,"distance":"l2"}"#;

#[tokio::test]
async fn sigterm_finishes_what_is_under_way() {
    let mut server = bare("").start().await;
    let mut stream = half_a_request(&server, INDEX);
    server.signal_terminate();
    let refused = loop {
        match TcpStream::connect(server.address()) {
            // The system had taken it when the listening socket went.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => break error,
            Ok(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);

    stream.write_all(INDEX.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");

    let status = server.wait_exit().await;
    assert_eq!(status.code(), Some(0));

    server.restart().await;
    let path = "/v1/vectors/index/drained";
    expect_json(server.get(path).send().await.unwrap(), 200).await;
}

#[tokio::test]
async fn sigterm_does_not_wait_for_ever() {
    let mut server = bare("[server]\ndrain_timeout = \"300ms\"\n").start().await;
    let _stream = half_a_request(&server, INDEX);
    let status = server.terminate().await;
    assert_eq!(status.code(), Some(0));
    server.logged("server.drain_timeout").await;
}

#[tokio::test]
async fn a_killed_server_starts_again_on_its_data() {
    let mut server = bare("").start().await;
    let create = server
        .post("/v1/vectors/index")
        .header("content-type", "application/json");
    expect_status(create.body(INDEX).send().await.unwrap(), 201).await;
    server.kill9();
    server.restart().await;
    let index = expect_json(
        server
            .get("/v1/vectors/index/drained")
            .send()
            .await
            .unwrap(),
        200,
    )
    .await;
    assert_eq!(index["dimension"], 2);
}
