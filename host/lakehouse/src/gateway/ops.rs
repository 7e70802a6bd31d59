//! `/healthz`, `/readyz`, `/metrics`, `/openapi.json`, and what `/v1/plugins` shows.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use super::body::ResponseBody;
use super::problem::Problem;
use super::{Inner, json, metrics};

/// The description of the whole API.
const OPENAPI: &str = include_str!("../../openapi.json");

/// The plugins there are.
pub const PLUGINS: &str = "/v1/plugins";

/// Answers a GET.
pub type Answer = fn(&Inner) -> Response<ResponseBody>;

/// What answers a path, if it is one of these.
pub fn find(path: &str) -> Option<Answer> {
    Some(match path {
        "/healthz" => |_| health(),
        "/readyz" => ready,
        "/metrics" => |gateway| {
            let text = metrics::render(
                &gateway.host.registry,
                &gateway.metrics,
                &gateway.host.runtime,
            );
            typed("text/plain; version=0.0.4; charset=utf-8", text)
        },
        "/openapi.json" => |_| typed("application/json", OPENAPI),
        PLUGINS => list,
        _ => return None,
    })
}

fn typed(media: &'static str, body: impl Into<Bytes>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(body));
    let media = HeaderValue::from_static(media);
    response.headers_mut().insert(CONTENT_TYPE, media);
    response
}

fn health() -> Response<ResponseBody> {
    typed("application/json", r#"{"status":"ok"}"#)
}

fn ready(gateway: &Inner) -> Response<ResponseBody> {
    let host = &gateway.host;
    let retry = Duration::from_secs(1);
    if host.is_draining() {
        return Problem::unavailable("the server is shutting down", retry).into();
    }
    let mut missing = Vec::new();
    let mut said = Vec::new();
    for entry in host.roster.all().iter().filter(|entry| entry.required) {
        let state = entry.state();
        let name = &entry.name;
        match (state.word(), state.reason()) {
            ("serving", _) => continue,
            (word, Some(reason)) => said.push(format!("plugin `{name}` is {word}: {reason}")),
            (word, None) => said.push(format!("plugin `{name}` is {word}")),
        }
        missing.push(json!({
            "name": name,
            "state": state.word(),
            "reason": state.reason(),
        }));
    }
    let trouble = host
        .deployer
        .as_ref()
        .and_then(|deployer| deployer.trouble());
    if missing.is_empty() {
        // What is there serves, whatever has become of the folder.
        return match trouble {
            None => json(&json!({"status": "ready"})),
            Some(trouble) => json(&json!({"status": "ready", "trouble": trouble})),
        };
    }
    said.extend(trouble);
    Problem::unavailable(said.join("; "), retry)
        .with("plugins", missing)
        .into()
}

fn list(gateway: &Inner) -> Response<ResponseBody> {
    let plugins: Vec<_> = gateway
        .host
        .roster
        .all()
        .iter()
        .map(|entry| entry.view(&gateway.host.runtime))
        .collect();
    json(&json!({"plugins": plugins}))
}

/// One plugin as it stands.
pub fn one(gateway: &Inner, name: &str) -> Response<ResponseBody> {
    match gateway.host.roster.get(name) {
        Some(entry) => json(&entry.view(&gateway.host.runtime)),
        None => Problem::new(
            StatusCode::NOT_FOUND,
            format!("there is no plugin `{name}`"),
        )
        .into(),
    }
}
