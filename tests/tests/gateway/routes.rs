//! Paths, methods and request ids.

use std::collections::HashSet;

use lakehouse_tests::{Server, expect_json, expect_problem, expect_status, expect_text};
use reqwest::Method;

use super::bare;

#[tokio::test]
async fn an_unknown_route_is_404() {
    let server = bare("").start().await;
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v1/nothing",
        "/v2/storage",
        "/healthz/x",
        "/v1/pluginsx",
        "/v1/plugins/a/b",
        "/v1/vectors",
        "/v1/vectors/x",
    ] {
        let problem = expect_problem(server.get(path).send().await.unwrap(), 404).await;
        assert_eq!(problem["title"], "Not Found", "{path}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_and_says_which_are_right() {
    let server = bare("").start().await;
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/v1/plugins",
        "/v1/plugins/x/generations",
    ] {
        for method in [
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::PATCH,
            Method::OPTIONS,
        ] {
            let answer = server.request(method, path).body("x").send().await.unwrap();
            assert_eq!(answer.headers()["allow"], "GET, HEAD", "{path}");
            expect_problem(answer, 405).await;
        }
    }
    let answer = server
        .request(Method::PATCH, "/v1/vectors/index")
        .send()
        .await
        .unwrap();
    let allow = answer.headers()["allow"].to_str().unwrap().to_owned();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
    expect_problem(answer, 405).await;
}

#[tokio::test]
async fn an_unusable_content_type_is_415() {
    let server = bare("").start().await;
    let answer = server
        .post("/v1/vectors/index")
        .header("content-type", "text/plain")
        .body("{}")
        .send()
        .await
        .unwrap();
    expect_problem(answer, 415).await;
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let server = Server::builder().plugins(&["hello"]).start().await;
    for path in ["/healthz", "/openapi.json", "/v1/plugins", "/v1/hello"] {
        let get = expect_status(server.get(path).send().await.unwrap(), 200).await;
        let head = expect_status(server.head(path).send().await.unwrap(), 200).await;
        let media = "content-type";
        assert_eq!(get.headers()[media], head.headers()[media], "{path}");
        assert_eq!(expect_text(head, 200).await, "", "{path}");
    }
}

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let server = Server::builder().plugins(&["hello"]).start().await;
    let mut seen = HashSet::new();
    for path in [
        "/healthz",
        "/nothing",
        "/v1/hello",
        "/v1/sql",
        "/v1/vectors/index/x",
        "/healthz",
    ] {
        let answer = server.get(path).send().await.unwrap();
        let id = answer.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(id.len() >= 16, "{id}");
        assert!(seen.insert(id), "an id twice");
    }
}

#[tokio::test]
async fn a_sane_request_id_is_kept_and_another_is_not() {
    let server = Server::builder().plugins(&["hello"]).start().await;
    let long = "x".repeat(129);
    for (id, kept) in [
        ("abc-123_X.y:z/1", true),
        ("0af7651916cd43dd8448eb211c80319c", true),
        ("with space", false),
        ("<script>", false),
        ("", false),
        (long.as_str(), false),
    ] {
        for path in ["/healthz", "/nothing", "/v1/hello"] {
            let answer = server
                .get(path)
                .header("x-request-id", id)
                .send()
                .await
                .unwrap();
            let all: Vec<_> = answer.headers().get_all("x-request-id").iter().collect();
            assert_eq!(all.len(), 1);
            assert_eq!(all[0].to_str().unwrap() == id, kept, "{id} at {path}");
        }
    }
}

#[tokio::test]
async fn vectors_are_reached_through_the_gateway() {
    let server = bare("").start().await;
    let list = expect_json(server.get("/v1/vectors/index").send().await.unwrap(), 200).await;
    assert_eq!(list["indexes"], serde_json::json!([]));
}
