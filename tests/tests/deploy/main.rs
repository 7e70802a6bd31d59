//! Plugins that come, change and go while the host runs.

mod admin;
mod checks;
mod cli;
mod drafts;
mod files;
mod generations;
mod guest;
mod input;
mod swaps;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lakehouse_tests::{Builder, Server, expect_json};
use reqwest::Response;
use serde_json::Value;

/// The longest that a change may take to be seen. A second is the aim; the rest is for
/// machines that do much at once.
const SOON: Duration = Duration::from_secs(10);

/// A host with an empty folder of plugins, and that folder. The plugin `toy` stands
/// at the root.
fn bench(config: &str) -> (Builder, PathBuf) {
    let builder = Server::builder()
        .config(format!("{config}\n[plugins.toy]\nstrip_prefix = true\n"))
        .env("LAKEHOUSE_PLUGINS_REQUIRED", "");
    let folder = builder.folder().join("live");
    fs::create_dir(&folder).unwrap();
    (builder.plugins_dir(&folder), folder)
}

async fn get(server: &Server, path: &str) -> (u16, String) {
    let answer = server.get(path).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// What is answered to whoever asks for a plugin that is to come. It waits for that, and only
/// on a machine that does much at once longer than a request does: it asks again then.
async fn first(server: &Server, path: &str) -> (u16, String) {
    let begun = Instant::now();
    loop {
        let asked = Instant::now();
        let (status, text) = get(server, path).await;
        let is_early = asked.elapsed() < Duration::from_secs(2) || begun.elapsed() > SOON;
        let says = |what: &str| text.contains(what);
        let is_absent = status == 404 || says("being loaded") || says("there is no file");
        if is_early || !is_absent {
            return (status, text);
        }
    }
}

/// What the toy answers now: its letter, or a status.
async fn toy(server: &Server) -> String {
    match get(server, "/v1/toy/ok").await {
        (200, letter) => letter,
        (status, _) => status.to_string(),
    }
}

/// Waits until the toy answers this, and for its entry, which follows by a moment.
async fn until_toy(server: &Server, answer: &str) {
    let begun = Instant::now();
    loop {
        let now = toy(server).await;
        if now == answer {
            return tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let view = view(server, "toy").await;
        assert!(begun.elapsed() < SOON, "{now}, not {answer}: {view}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// `/v1/plugins/{name}`.
async fn view(server: &Server, name: &str) -> Value {
    let path = format!("/v1/plugins/{name}");
    server
        .get(&path)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap()
}

/// Waits until the last attempt of the toy failed; for the reason.
async fn until_refused(server: &Server, expected: &str) -> String {
    let begun = Instant::now();
    loop {
        let view = view(server, "toy").await;
        let attempt = &view["last_attempt"];
        let reason = attempt["reason"].as_str().unwrap_or_default();
        if attempt["outcome"] == "failed" && reason.contains(expected) {
            return reason.to_owned();
        }
        assert!(begun.elapsed() < SOON, "no failure with {expected}: {view}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Sends a version of the toy.
async fn put(server: &Server, bytes: Vec<u8>) -> Response {
    let request = server.put("/v1/plugins/toy").body(bytes);
    request.send().await.unwrap()
}

/// Sends a version that must be taken.
async fn deploy(server: &Server, bytes: Vec<u8>) -> Value {
    let answer = put(server, bytes).await;
    let status = answer.status().as_u16();
    assert!(matches!(status, 200 | 201), "{status}");
    expect_json(answer, status).await
}

async fn generations(server: &Server) -> Vec<Value> {
    let path = "/v1/plugins/toy/generations";
    let list = expect_json(server.get(path).send().await.unwrap(), 200).await;
    list["generations"].as_array().unwrap().clone()
}
