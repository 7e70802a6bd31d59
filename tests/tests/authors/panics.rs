//! How a plugin fails, as its author finds it in the log.

use lakehouse_tests::{Server, expect_problem};
use serde_json::Value;

/// The first log line that says this.
async fn line(server: &Server, said: &str) -> Value {
    let logs = server.logged(said).await;
    let mut lines = logs
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let found = lines.find(|line: &Value| {
        let message = line["message"].as_str();
        message.is_some_and(|message| message.contains(said))
    });
    found.unwrap_or_else(|| panic!("no message with {said:?}: {logs}"))
}

#[tokio::test]
async fn a_panic_shows_its_message_and_where_it_happened() {
    let server = Server::builder().plugins(&["probe"]).start().await;
    let answer = server.get("/v1/probe/panic?tea").send().await.unwrap();
    expect_problem(answer, 502).await;
    // The panic's own words, with file and line.
    let message = line(&server, "the probe was asked for tea").await;
    assert_eq!(message["plugin"], "probe", "{message}");
    assert_eq!(message["level"], "WARN", "{message}");
    line(&server, "probe/src/lib.rs:").await;
    // The host's, with the functions that led there, innermost first.
    let trap = line(&server, "trapped").await;
    let text = trap.to_string();
    let (before, after) = text
        .split_once("probe::panic_deeper")
        .unwrap_or_else(|| panic!("{text}"));
    assert!(before.ends_with("; at "), "{text}");
    assert!(after.starts_with(" < probe::panic_deep < "), "{text}");
    assert!(
        after.contains("Probe as lakehouse_sdk::http::Handler>::handle"),
        "{text}"
    );
}
