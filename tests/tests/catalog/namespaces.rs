//! Namespaces.

use lakehouse_tests::{Server, expect_json, expect_problem, expect_status};
use serde_json::json;

use super::{append, delete, get, post, server};

async fn names(server: &Server) -> serde_json::Value {
    expect_json(get(server, "namespaces").await, 200).await["namespaces"].clone()
}

#[tokio::test]
async fn a_namespace_is_made_listed_and_removed() {
    let server = server().await;
    assert_eq!(names(&server).await, json!(["default"]));
    let made = post(&server, "namespaces", &json!({ "name": "sales" })).await;
    assert_eq!(expect_json(made, 201).await, json!({ "name": "sales" }));
    assert_eq!(names(&server).await, json!(["default", "sales"]));
    let again = post(&server, "namespaces", &json!({ "name": "sales" })).await;
    expect_problem(again, 409).await;
    expect_status(delete(&server, "namespaces/sales").await, 204).await;
    expect_problem(delete(&server, "namespaces/sales").await, 404).await;
    assert_eq!(names(&server).await, json!(["default"]));
}

#[tokio::test]
async fn a_namespace_with_a_table_stays() {
    let server = server().await;
    expect_problem(super::post_ids(&server, "sales.t", 0, 3).await, 404).await;
    post(&server, "namespaces", &json!({ "name": "sales" })).await;
    append(&server, "sales.t", 0, 3).await;
    let problem = expect_problem(delete(&server, "namespaces/sales").await, 409).await;
    assert!(problem["detail"].as_str().unwrap().contains("not empty"));
    expect_status(delete(&server, "tables/sales/t").await, 204).await;
    expect_status(delete(&server, "namespaces/sales").await, 204).await;
    expect_problem(get(&server, "tables?namespace=sales").await, 404).await;
}

#[tokio::test]
async fn the_default_namespace_is_always_there() {
    let server = server().await;
    let made = post(&server, "namespaces", &json!({ "name": "default" })).await;
    expect_problem(made, 409).await;
    expect_problem(delete(&server, "namespaces/default").await, 409).await;
    assert_eq!(names(&server).await, json!(["default"]));
}

#[tokio::test]
async fn names_that_could_be_paths_are_refused() {
    let server = server().await;
    let long = "n".repeat(129);
    for name in [
        "", "..", "../x", "a/b", "a.b", "a b", "-a", "a\0", "é", &long,
    ] {
        let made = post(&server, "namespaces", &json!({ "name": name })).await;
        expect_problem(made, 400).await;
    }
    for path in [
        "namespaces/..%2Fx",
        "namespaces/a.b",
        "tables/%2e%2e%2f%2e%2e/x",
        "tables/default/a%00",
        "tables/default/a.b",
    ] {
        expect_problem(delete(&server, path).await, 400).await;
    }
    expect_problem(get(&server, "tables?namespace=..%2F..").await, 400).await;
    assert_eq!(names(&server).await, json!(["default"]));
}

#[tokio::test]
async fn malformed_requests_are_told_what_is_wrong() {
    let server = server().await;
    let send = async |media: &str, body: &str| {
        let request = server
            .post("/v1/catalog/namespaces")
            .header("content-type", media);
        request
            .body(body.to_owned())
            .send()
            .await
            .expect("an answer")
    };
    let problem = expect_problem(send("application/json", "{\n \"name\": }").await, 400).await;
    assert_eq!(problem["line"], 2);
    for body in [
        "",
        "[]",
        "{}",
        "{\"name\":1}",
        "{\"name\":\"a\",\"other\":1}",
    ] {
        expect_problem(send("application/json", body).await, 400).await;
    }
    expect_problem(send("text/csv", "{\"name\":\"a\"}").await, 415).await;
    let long = format!("{{\"name\":\"{}\"}}", "n".repeat(100_000));
    expect_problem(send("application/json", &long).await, 413).await;
    assert_eq!(names(&server).await, json!(["default"]));
}

#[tokio::test]
async fn other_methods_and_paths_are_refused() {
    let server = server().await;
    for (path, allow) in [
        ("namespaces", "GET, POST"),
        ("namespaces/a", "DELETE"),
        ("tables", "GET"),
        ("tables/default/t", "GET, DELETE"),
        ("tables/default/t/snapshots", "GET"),
        ("tables/default/t/rollback", "POST"),
    ] {
        let request = server.put(&format!("/v1/catalog/{path}"));
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.headers()["allow"], allow, "{path}");
        expect_problem(answer, 405).await;
    }
    for path in ["", "other", "tables/default", "tables/default/t/other"] {
        expect_problem(get(&server, path).await, 404).await;
    }
}
