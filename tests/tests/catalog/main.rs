//! The catalog over HTTP, with tables that ingest makes.

mod crashes;
mod damage;
mod iceberg;
mod namespaces;
mod orphans;
mod races;
mod tables;

use lakehouse_tests::{Server, expect_json};
use reqwest::Response;
use serde_json::Value;

/// A server with the catalog and what fills it.
async fn server() -> Server {
    Server::builder()
        .plugins(&["catalog", "ingest"])
        .start()
        .await
}

/// Posts a CSV of whole numbers, `from` to `to - 1`, in the column `id`.
async fn post_ids(server: &Server, table: &str, from: u64, to: u64) -> Response {
    let mut csv = String::from("id\n");
    for id in from..to {
        csv.push_str(&format!("{id}\n"));
    }
    let path = format!("/v1/ingest?table={table}&format=csv");
    let request = server.post(&path).header("content-type", "text/csv");
    request.body(csv).send().await.expect("an answer")
}

/// Appends rows that must be taken; the answer.
async fn append(server: &Server, table: &str, from: u64, to: u64) -> Value {
    expect_json(post_ids(server, table, from, to).await, 201).await
}

async fn get(server: &Server, path: &str) -> Response {
    let request = server.get(&format!("/v1/catalog/{path}"));
    request.send().await.expect("an answer")
}

async fn post(server: &Server, path: &str, body: &Value) -> Response {
    let request = server.post(&format!("/v1/catalog/{path}"));
    request.json(body).send().await.expect("an answer")
}

async fn delete(server: &Server, path: &str) -> Response {
    let request = server.delete(&format!("/v1/catalog/{path}"));
    request.send().await.expect("an answer")
}

/// The rows of a table, as the catalog counts them.
async fn rows(server: &Server, table: &str) -> u64 {
    let detail = expect_json(get(server, &format!("tables/{table}")).await, 200).await;
    detail["rows"].as_u64().expect("a number of rows")
}
