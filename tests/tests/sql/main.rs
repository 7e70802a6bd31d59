//! SQL through the front door: statements, formats, errors and limits.

mod damage;
mod errors;
mod files;
mod formats;
mod limits;
mod load;
mod requests;
mod tables;
mod travel;
mod vectors;

use lakehouse_tests::{Server, expect_json, expect_text};
use reqwest::Response;
use serde_json::{Value, json};

/// A server with nothing but tables and SQL.
async fn server() -> Server {
    Server::builder()
        .plugins(&["catalog", "query"])
        .start()
        .await
}

/// The answer to a statement, sent as text.
async fn send(server: &Server, sql: &str) -> Response {
    server.sql(sql).send().await.expect("an answer")
}

/// The result of a statement that must succeed.
#[track_caller]
fn run(server: &Server, sql: &str) -> impl Future<Output = Value> {
    let sent = send(server, sql);
    async move { expect_json(sent.await, 200).await }
}

/// Its rows.
async fn rows(server: &Server, sql: &str) -> Value {
    run(server, sql).await["rows"].take()
}

/// A statement with parameters.
async fn with_params(server: &Server, sql: &str, params: Value) -> Response {
    server
        .post("/v1/sql")
        .json(&json!({ "sql": sql, "params": params }))
        .send()
        .await
        .expect("an answer")
}

/// The text of a result in another format.
async fn text(server: &Server, accept: &str, sql: &str) -> String {
    let answer = server.sql(sql).header("accept", accept).send().await;
    expect_text(answer.expect("an answer"), 200).await
}
