//! The vector service, through the front door.

mod arrow;
mod calls;
mod changed;
mod damage;
mod input;
mod many;
mod restart;
mod routes;
mod snapshots;

use std::fs;

use lakehouse_tests::{Builder, Server, expect_json, expect_status};
use reqwest::Response;
use serde_json::{Value, json};

const INDEX: &str = "/v1/vectors/index";

/// A server without plugins: vectors need none.
fn builder(config: &str) -> Builder {
    let builder = Server::builder().config(format!("[plugins]\nrequired = []\n{config}"));
    let none = builder.folder().join("no-plugins");
    fs::create_dir(&none).unwrap();
    builder.plugins_dir(none)
}

async fn start() -> Server {
    builder("").start().await
}

async fn post(server: &Server, path: &str, body: &Value) -> Response {
    let path = format!("{INDEX}{path}");
    server.post(&path).json(body).send().await.unwrap()
}

async fn get(server: &Server, path: &str) -> Response {
    let path = format!("{INDEX}{path}");
    server.get(&path).send().await.unwrap()
}

async fn delete(server: &Server, path: &str) -> Response {
    let path = format!("{INDEX}{path}");
    server.delete(&path).send().await.unwrap()
}

/// An index of three dimensions, named `x`.
async fn make(server: &Server, distance: &str) {
    let spec = json!({"name": "x", "dimension": 3, "distance": distance});
    expect_status(post(server, "", &spec).await, 201).await;
}

async fn add(server: &Server, items: Value) -> Value {
    let answer = post(server, "/x/add", &json!({"items": items})).await;
    expect_json(answer, 200).await
}

async fn count(server: &Server) -> u64 {
    let info = expect_json(get(server, "/x").await, 200).await;
    info["count"].as_u64().unwrap()
}

fn detail(problem: &Value) -> &str {
    problem["detail"].as_str().unwrap()
}
