use std::time::Duration;

use lakehouse_tests::{Server, expect_json, expect_problem, expect_text};

use crate::{commit, detail, start, unharmed};

#[tokio::test]
async fn a_trap_is_a_bad_gateway() {
    let server = start().await;
    let detail = detail(&server, "trap", 502).await;
    assert!(detail.contains("unreachable"), "{detail}");
    unharmed(&server).await;
}

#[tokio::test]
async fn a_panic_leaves_its_message_in_the_log() {
    let server = start().await;
    detail(&server, "panic", 502).await;
    server.logged("a panic on purpose").await;
    unharmed(&server).await;
}

#[tokio::test]
async fn an_exit_ends_the_guest_alone() {
    let server = start().await;
    let detail = detail(&server, "exit", 502).await;
    assert!(detail.contains("exited with status 0"), "{detail}");
    unharmed(&server).await;
}

#[tokio::test]
async fn no_answer_is_a_bad_gateway() {
    let server = start().await;
    detail(&server, "silent", 502).await;
    unharmed(&server).await;
}

/// What `/v1/plugins/hostile` and `/metrics` say of it.
async fn backing_off(server: &Server) -> (bool, bool) {
    let view = server.get("/v1/plugins/hostile").send().await.unwrap();
    let view = expect_json(view, 200).await;
    let metrics = server.get("/metrics").send().await.unwrap();
    let metrics = expect_text(metrics, 200).await;
    let metric = r#"lakehouse_plugin_backing_off{plugin="hostile"} 1"#;
    (view.get("backoff").is_some(), metrics.contains(metric))
}

#[tokio::test]
async fn one_that_keeps_trapping_is_left_alone_for_a_while() {
    let server = start().await;
    for _ in 0..9 {
        detail(&server, "trap", 502).await;
    }
    assert_eq!(backing_off(&server).await, (false, false));
    detail(&server, "trap", 502).await;

    let answer = commit(&server, "ok").await;
    let wait = answer.headers()["retry-after"].to_str().unwrap();
    let wait = Duration::from_secs(wait.parse().unwrap());
    assert!(wait <= Duration::from_secs(1));
    let problem = expect_problem(answer, 503).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("trapped 10 times in a row"), "{detail}");
    assert_eq!(backing_off(&server).await, (true, true));

    tokio::time::sleep(wait).await;
    unharmed(&server).await;
    assert_eq!(backing_off(&server).await, (false, false));
}
