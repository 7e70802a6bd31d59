//! The log lines that a request causes.

use lakehouse_tests::{Server, expect_status};
use serde_json::Value;

use super::{PARENT, SPAN, TRACE};

/// The lines of a server, parsed, once one of them says so.
async fn lines(server: &Server, last: &str) -> Vec<Value> {
    let logs = server.logged(last).await;
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    logs.lines().map(parse).collect()
}

/// The line with this message.
fn line<'a>(lines: &'a [Value], message: &str) -> &'a Value {
    let found = lines.iter().find(|line| {
        let said = line["message"].as_str().unwrap_or_default();
        said.starts_with(message)
    });
    found.unwrap_or_else(|| panic!("no {message:?} in {lines:#?}"))
}

#[tokio::test]
async fn every_line_of_a_request_has_its_id() {
    let server = Server::builder()
        .config("[log]\nfilter = \"info,lakehouse::access=debug\"\n[gateway]\nstorage_url = \"http://127.0.0.1:9\"\n")
        .plugins(&["probe"])
        .start()
        .await;
    for (id, path, status) in [
        ("first", "/v1/probe/say", 204),
        ("second", "/v1/probe/panic", 502),
        ("third", "/v1/storage/get/a", 502),
    ] {
        let request = server.get(path).header("x-request-id", id);
        let request = request.header("traceparent", PARENT);
        expect_status(request.send().await.unwrap(), status).await;
    }
    expect_status(server.get("/v1/probe/say").send().await.unwrap(), 204).await;

    // The last line that is looked for.
    let lines = lines(&server, "\"path\":\"/v1/storage/get/a\"").await;
    for (message, id) in [
        ("said to standard output", "first"),
        ("said to standard error", "first"),
        ("said to the log", "first"),
        ("trapped", "second"),
        ("request failed", "second"),
        ("upstream cannot be reached", "third"),
    ] {
        let line = line(&lines, message);
        assert_eq!(line["request_id"], id, "{line}");
        assert_eq!(line["trace_id"], TRACE, "{line}");
        assert_eq!(line["span_id"], SPAN, "{line}");
    }
    // Half a line belongs to the request that began it, not to the next one.
    assert_eq!(line(&lines, "said without an end")["request_id"], "first");
    let panicked = lines.iter().find(|line| {
        line["message"]
            .as_str()
            .is_some_and(|said| said.contains("the probe was asked for nothing"))
    });
    assert_eq!(
        panicked.expect("the panic's message")["request_id"],
        "second"
    );
    let access = |id: &str| {
        let mut lines = lines.iter();
        lines.any(|line| line["target"] == "lakehouse::access" && line["request_id"] == id)
    };
    assert!(access("first") && access("second") && access("third"));

    let others = lines.iter().filter(|line| {
        let said = line["message"].as_str().unwrap_or_default();
        said.starts_with("listening") || said == "loaded"
    });
    for line in others {
        assert_eq!(line["request_id"], Value::Null, "{line}");
    }
}

#[tokio::test]
async fn lines_of_text_have_it_too() {
    let server = Server::builder()
        .config("[log]\nformat = \"text\"\n")
        .plugins(&["probe"])
        .start()
        .await;
    let request = server
        .get("/v1/probe/say")
        .header("x-request-id", "by-text");
    expect_status(request.send().await.unwrap(), 204).await;
    let logs = server.logged("said to the log").await;
    let said = logs.lines().find(|line| line.contains("said to the log"));
    let said = said.expect("its line");
    assert!(said.ends_with(" request_id=by-text"), "{said}");
}
