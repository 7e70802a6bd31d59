//! Who may change plugins.

use std::fs;

use lakehouse_tests::{Server, expect_problem, expect_status};
use reqwest::{Method, RequestBuilder};

use super::guest::version;
use super::{bench, deploy, toy};

/// Every call that needs the right to change plugins.
fn calls(server: &Server) -> Vec<RequestBuilder> {
    let path = |rest: &str| format!("/v1/plugins/toy{rest}");
    vec![
        server.put(&path("")).body(version('x')),
        server.post(&path("/rollback")),
        server.post(&path("/reload")),
        server.delete(&path("")),
        server.get(&path("/generations")),
    ]
}

async fn all_answer(
    server: &Server,
    status: u16,
    change: impl Fn(RequestBuilder) -> RequestBuilder,
) {
    for call in calls(server) {
        let answer = change(call).send().await.unwrap();
        if status == 401 {
            let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
            assert!(challenge.starts_with("Bearer"), "{challenge}");
        }
        expect_problem(answer, status).await;
    }
}

#[tokio::test]
async fn on_loopback_the_machine_is_trusted_and_web_pages_are_not() {
    let (builder, _) = bench("");
    let server = builder.start().await;
    deploy(&server, version('a')).await;
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://localhost:1"),
        ("host", "rebound.example"),
        ("host", "rebound.example:3210"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        all_answer(&server, 403, |call| call.header(name, value)).await;
    }
    assert_eq!(toy(&server).await, "a");
    // Reading is for all.
    let list = server
        .get("/v1/plugins")
        .header("origin", "https://evil.example");
    expect_status(list.send().await.unwrap(), 200).await;
    let own = server
        .put("/v1/plugins/toy")
        .header("origin", server.base());
    expect_status(own.body(version('b')).send().await.unwrap(), 200).await;
    assert_eq!(toy(&server).await, "b");
}

#[tokio::test]
async fn a_token_is_needed_where_there_is_one() {
    let (builder, _) = bench("[admin]\ntoken = \"open sesame\"\n");
    let server = builder.start().await;
    all_answer(&server, 401, |call| call).await;
    for value in [
        "Bearer",
        "Bearer open",
        "Bearer OPEN SESAME",
        "Basic open sesame",
        "open sesame",
    ] {
        all_answer(&server, 401, |call| call.header("authorization", value)).await;
    }
    let put = server.put("/v1/plugins/toy").bearer_auth("open sesame");
    let put = put
        .header("origin", "https://console.example")
        .body(version('a'));
    expect_status(put.send().await.unwrap(), 201).await;
    assert_eq!(toy(&server).await, "a");
}

#[tokio::test]
async fn a_token_can_be_in_a_file_or_the_environment() {
    let (builder, _) = bench("");
    let file = builder.folder().join("token");
    fs::write(&file, "from a file\n").unwrap();
    let server = builder
        .env("LAKEHOUSE_ADMIN_TOKEN_FILE", file.to_str().unwrap())
        .start()
        .await;
    let put = server.put("/v1/plugins/toy").body(version('a'));
    let put = put.bearer_auth("from a file");
    expect_status(put.send().await.unwrap(), 201).await;

    let (builder, _) = bench("");
    let server = builder
        .env("LAKEHOUSE_ADMIN_TOKEN", "from there")
        .start()
        .await;
    all_answer(&server, 401, |call| call.bearer_auth("from a file")).await;

    for config in [
        "[admin]\ntoken = \"a\"\ntoken_file = \"b\"\n",
        "[admin]\ntoken_file = \"/nonexistent/token\"\n",
    ] {
        let (builder, _) = bench(config);
        let output = builder.run("serve");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("admin.token"), "{text}");
    }
}

#[tokio::test]
async fn beyond_loopback_nothing_goes_without_a_token() {
    let (builder, _) = bench("");
    let server = builder.flag("--bind").flag("0.0.0.0:0").start().await;
    for call in calls(&server) {
        let problem = expect_problem(call.send().await.unwrap(), 403).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("LAKEHOUSE_ADMIN_TOKEN"), "{detail}");
    }
    let (builder, _) = bench("[admin]\ntoken = \"t\"\n");
    let server = builder.flag("--bind").flag("0.0.0.0:0").start().await;
    let put = server.put("/v1/plugins/toy").bearer_auth("t");
    expect_status(put.body(version('a')).send().await.unwrap(), 201).await;
}

#[tokio::test]
async fn other_methods_are_refused() {
    let (builder, _) = bench("");
    let server = builder.start().await;
    for (path, allow) in [
        ("/v1/plugins/toy", "GET, HEAD, PUT, DELETE"),
        ("/v1/plugins/toy/rollback", "POST"),
        ("/v1/plugins/toy/reload", "POST"),
        ("/v1/plugins/toy/generations", "GET, HEAD"),
    ] {
        let answer = server.request(Method::PATCH, path).send().await.unwrap();
        assert_eq!(answer.headers()["allow"], allow, "{path}");
        expect_problem(answer, 405).await;
    }
}
