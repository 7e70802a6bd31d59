//! Plugins that call plugins.

use lakehouse_tests::{Server, expect_json, expect_problem, expect_text};

const GRANTED: &str = "[plugins.greet.grants]\nplugins = [\"example:words/words\"]\n";

async fn server(plugins: &[&str], config: &str) -> Server {
    Server::builder()
        .plugins(plugins)
        .config(config)
        .until_loaded()
        .start()
        .await
}

#[tokio::test]
async fn a_plugin_uses_what_another_exports() {
    let server = server(&["greet", "words"], GRANTED).await;
    let answer = server
        .get("/v1/greet?name=Ada&language=german")
        .send()
        .await
        .unwrap();
    assert_eq!(expect_text(answer, 200).await, "Hallo, Ada!");
    // What the other plugin refuses comes back as it said it.
    let answer = server.get("/v1/greet?language=latin").send().await.unwrap();
    assert_eq!(
        expect_problem(answer, 503).await["detail"],
        "nobody here speaks latin"
    );
    // It is no HTTP plugin.
    expect_problem(server.get("/v1/words").send().await.unwrap(), 404).await;
}

#[tokio::test]
async fn a_plugin_that_nobody_serves_says_so() {
    let server = server(&["greet"], GRANTED).await;
    let problem = expect_problem(server.get("/v1/greet").send().await.unwrap(), 503).await;
    assert_eq!(
        problem["detail"],
        "example:words/words@0.1.0 `greet`: no plugin that serves exports it"
    );
}

#[tokio::test]
async fn calling_needs_a_grant() {
    let server = server(&["greet", "words"], "").await;
    let view = server.get("/v1/plugins/greet").send().await.unwrap();
    let view = expect_json(view, 200).await;
    let reason = view["reason"].as_str().expect("a reason");
    assert!(
        reason.ends_with("add `plugins = [\"example:words/words\"]` under [plugins.greet.grants]"),
        "{reason}"
    );
}
