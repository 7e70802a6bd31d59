//! Objects over HTTP: every row of the storage table, and what must be refused.

mod bodies;
mod conditions;
mod keys;
mod listing;
mod objects;
mod raw;
mod routes;

use lakehouse_tests::{Server, expect_json};
use serde_json::Value;

/// A server with the storage plugin alone.
async fn storage() -> Server {
    Server::builder().plugins(&["storage"]).start().await
}

/// A key as it stands in a path: everything but letters, digits, `-`, `.`, `_`
/// and `/` is escaped.
fn encode(key: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte);
    let mut path = String::new();
    for byte in key.bytes() {
        if plain(byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

/// The path of a call.
fn path(call: &str, key: &str) -> String {
    format!("/v1/storage/{call}/{}", encode(key))
}

/// Stores an object.
#[track_caller]
fn put(
    server: &Server,
    key: &str,
    content: impl Into<reqwest::Body>,
) -> impl Future<Output = Value> {
    let request = server.put(&path("put", key)).body(content);
    let caller = std::panic::Location::caller();
    async move {
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 201, "{caller}");
        expect_json(answer, 201).await
    }
}

/// An object's content; none if it is not there.
async fn get(server: &Server, key: &str) -> Option<Vec<u8>> {
    let answer = server
        .get(&path("get", key))
        .send()
        .await
        .expect("an answer");
    match answer.status().as_u16() {
        200 => Some(answer.bytes().await.expect("a whole body").to_vec()),
        404 => None,
        other => panic!("{other} for {key}"),
    }
}

/// One page of a listing.
async fn page(server: &Server, query: &[(&str, &str)]) -> Value {
    let answer = server
        .get("/v1/storage/list")
        .query(query)
        .send()
        .await
        .expect("an answer");
    expect_json(answer, 200).await
}

/// The keys of all objects, in the order of the listing.
async fn all_keys(server: &Server) -> Vec<String> {
    let page = page(server, &[]).await;
    assert_eq!(page["cursor"], Value::Null, "more than a page: {page}");
    names(&page["objects"], "key")
}

fn names(list: &Value, field: &str) -> Vec<String> {
    let list = list.as_array().expect("a list");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    list.iter()
        .map(|entry| {
            text(if field.is_empty() {
                entry
            } else {
                &entry[field]
            })
        })
        .collect()
}
