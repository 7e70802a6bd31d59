//! Bodies into tables: every format and option, and what must be refused.

mod bad_csv;
mod bad_files;
mod bad_json;
mod broken_off;
mod encodings;
mod formats;
mod modes;
mod repeats;
mod schemas;

use std::path::{Path, PathBuf};

use lakehouse_tests::{Server, expect_json, expect_problem, repository};
use reqwest::Response;
use serde_json::Value;

/// A server with what ingest stands on.
async fn server() -> Server {
    Server::builder()
        .plugins(&["catalog", "ingest"])
        .start()
        .await
}

/// A server that can be asked for rows, too.
async fn lake() -> Server {
    Server::builder()
        .plugins(&["catalog", "ingest", "query"])
        .start()
        .await
}

/// Posts a body; `query` follows the `?`.
async fn post(server: &Server, query: &str, body: impl Into<reqwest::Body>) -> Response {
    let request = server.post(&format!("/v1/ingest?{query}")).body(body);
    request.send().await.expect("an answer")
}

/// Posts a body that must be taken; the answer.
#[track_caller]
fn load(
    server: &Server,
    query: &str,
    body: impl Into<reqwest::Body>,
) -> impl Future<Output = Value> {
    let caller = std::panic::Location::caller();
    let answer = post(server, query, body);
    async move {
        let answer = answer.await;
        let status = answer.status();
        let text = answer.text().await.expect("a whole answer");
        assert_eq!(status, 201, "{caller}: {text}");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        for key in [
            "table",
            "snapshot_id",
            "rows",
            "bytes",
            "files",
            "schema",
            "elapsed_ms",
        ] {
            assert!(!answer[key].is_null(), "{caller}: no {key} in {text}");
        }
        answer
    }
}

/// Posts a body that must be refused with `status`, and checks that nothing has
/// changed by it; the problem.
#[track_caller]
fn refused(
    server: &Server,
    query: &str,
    body: impl Into<reqwest::Body>,
    status: u16,
) -> impl Future<Output = Value> {
    let before = files(&server.store_dir());
    let answer = post(server, query, body);
    async move {
        let problem = expect_problem(answer.await, status).await;
        assert_eq!(files(&server.store_dir()), before, "{problem}");
        problem
    }
}

/// What the catalog says of a table; none if it is not there.
async fn table(server: &Server, name: &str) -> Option<Value> {
    let path = format!("/v1/catalog/tables/default/{name}");
    let answer = server.get(&path).send().await.expect("an answer");
    if answer.status() == 404 {
        return None;
    }
    Some(expect_json(answer, 200).await)
}

/// Rows that the catalog counts in a table; none if it is not there.
async fn rows(server: &Server, name: &str) -> Option<u64> {
    table(server, name)
        .await
        .map(|table| table["rows"].as_u64().expect("a count"))
}

/// The rows that a query gives.
#[track_caller]
fn sql(server: &Server, text: &str) -> impl Future<Output = Value> {
    let request = server
        .post("/v1/sql")
        .json(&serde_json::json!({ "sql": text }));
    let caller = std::panic::Location::caller();
    async move {
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        let text = answer.text().await.expect("a whole answer");
        assert_eq!(status, 200, "{caller}: {text}");
        let mut answer: Value = serde_json::from_str(&text).expect("JSON");
        answer["rows"].take()
    }
}

/// Every file below a folder with its size, in order.
fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for entry in entries {
        let entry = entry.expect("an entry");
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push((entry.path(), entry.metadata().map_or(0, |meta| meta.len())));
        }
    }
    found.sort();
    found
}

/// One of the bodies that `data/make.py` makes.
fn fixture(name: &str) -> Vec<u8> {
    let path = repository().join("tests/tests/ingest/data").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
