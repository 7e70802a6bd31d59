//! `/healthz`, `/readyz`, `/metrics`, `/openapi.json`, `/v1/plugins`.

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

const PLUGINS: &str = "/v1/plugins";

/// Answers a GET of a path.
pub type Answer = fn(&Inner, &str) -> Response<ResponseBody>;

/// What answers a path, if it is one of these.
pub fn find(path: &str) -> Option<Answer> {
    Some(match path {
        "/healthz" => |_, _| health(),
        "/readyz" => |gateway, _| ready(gateway),
        "/metrics" => |gateway, _| {
            let text = metrics::render(&gateway.host.registry, &gateway.host.runtime);
            typed("text/plain; version=0.0.4; charset=utf-8", text)
        },
        "/openapi.json" => |_, _| typed("application/json", OPENAPI),
        PLUGINS => |gateway, _| list(gateway),
        _ if name(path).is_some() => one,
        _ => return None,
    })
}

/// The plugin's name in `/v1/plugins/{name}`.
fn name(path: &str) -> Option<&str> {
    let name = path.strip_prefix(PLUGINS)?.strip_prefix('/')?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
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
    for entry in host.roster.iter().filter(|entry| entry.required) {
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
    if missing.is_empty() {
        return json(&json!({"status": "ready"}));
    }
    Problem::unavailable(said.join("; "), retry)
        .with("plugins", missing)
        .into()
}

fn list(gateway: &Inner) -> Response<ResponseBody> {
    let plugins: Vec<_> = gateway
        .host
        .roster
        .iter()
        .map(|entry| entry.view())
        .collect();
    json(&json!({"plugins": plugins}))
}

fn one(gateway: &Inner, path: &str) -> Response<ResponseBody> {
    let name = name(path).unwrap_or_default();
    match gateway.host.roster.get(name) {
        Some(entry) => json(&entry.view()),
        None => Problem::new(
            StatusCode::NOT_FOUND,
            format!("there is no plugin `{name}`"),
        )
        .into(),
    }
}
