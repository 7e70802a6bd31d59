//! `/v1/plugins/{name}` and below: what changes plugins, and their generations.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use lakehouse_runtime::Artifact;
use serde::Deserialize;
use serde_json::json;

use super::body::{RequestBody, ResponseBody};
use super::problem::Problem;
use super::{Inner, digest, json, ops};
use crate::config::{NAME_RULE, is_plugin_name};
use crate::deploy::{Deployer, Fault, Target};

/// Components that are received at once; more wait. Each takes its size of memory.
pub const UPLOADS: usize = 2;
/// The largest body that says what to go back to.
const SMALL: u64 = 64 << 10;

type Answer = Result<Response<ResponseBody>, Problem>;

/// What a path below `/v1/plugins/` is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Plugin,
    Rollback,
    Reload,
    Generations,
}

/// The name and subject of a path, if it is one of these.
fn find(path: &str) -> Option<(&str, Subject)> {
    let rest = path.strip_prefix(ops::PLUGINS)?.strip_prefix('/')?;
    let (name, subject) = match rest.split_once('/') {
        None => (rest, Subject::Plugin),
        Some((name, "rollback")) => (name, Subject::Rollback),
        Some((name, "reload")) => (name, Subject::Reload),
        Some((name, "generations")) => (name, Subject::Generations),
        Some(_) => return None,
    };
    (!name.is_empty()).then_some((name, subject))
}

/// Whether a path is one of these.
pub fn covers(path: &str) -> bool {
    find(path).is_some()
}

/// Answers a request to one of these paths.
pub async fn answer(gateway: &Inner, request: Request<Incoming>) -> Response<ResponseBody> {
    let (head, body) = request.into_parts();
    let Some((name, subject)) = find(head.uri.path()) else {
        return Problem::no_route(head.uri.path()).into();
    };
    let name = name.to_owned();
    let limit = match (subject, &head.method) {
        (Subject::Plugin, &Method::PUT) => gateway.host.config.plugins.max_size.0,
        _ => SMALL,
    };
    let announced = body.size_hint().lower();
    let body = RequestBody::new(&head.headers, body, limit);
    let answer = match (subject, &head.method) {
        (Subject::Plugin, &Method::GET | &Method::HEAD) => Ok(ops::one(gateway, &name)),
        (Subject::Generations, &Method::GET | &Method::HEAD) => match gateway.access.check(&head) {
            Ok(()) => generations(gateway, &name),
            Err(problem) => Err(problem),
        },
        (Subject::Plugin, &Method::PUT | &Method::DELETE)
        | (Subject::Rollback | Subject::Reload, &Method::POST) => {
            change(gateway, &head, &name, subject, body, announced).await
        }
        (subject, method) => {
            let allow = match subject {
                Subject::Plugin => "GET, HEAD, PUT, DELETE",
                Subject::Rollback | Subject::Reload => "POST",
                Subject::Generations => "GET, HEAD",
            };
            Err(Problem::method(method, head.uri.path(), allow))
        }
    };
    answer.unwrap_or_else(Response::from)
}

async fn change(
    gateway: &Inner,
    head: &Parts,
    name: &str,
    subject: Subject,
    body: RequestBody,
    announced: u64,
) -> Answer {
    gateway.access.check(head)?;
    if !is_plugin_name(name) {
        return Err(bad(format!("`{name}` cannot be a plugin: {NAME_RULE}")));
    }
    let deployer = gateway
        .host
        .deployer
        .as_ref()
        .map(Arc::clone)
        .ok_or_else(|| Problem::new(StatusCode::NOT_IMPLEMENTED, "this host only looks"))?;
    let name = name.to_owned();
    // Each in a task of its own: a client that goes away does not leave it half done.
    let status = match subject {
        Subject::Plugin if head.method == Method::PUT => {
            let artifact = receive(gateway, head, body, announced).await?;
            let name = name.clone();
            finish(
                gateway,
                async move { deployer.deploy(&name, artifact).await },
            )
            .await
            .map(|first| {
                if first {
                    StatusCode::CREATED
                } else {
                    StatusCode::OK
                }
            })?
        }
        Subject::Plugin => {
            finish(gateway, async move { deployer.remove(&name).await }).await?;
            let mut response = Response::new(ResponseBody::default());
            *response.status_mut() = StatusCode::NO_CONTENT;
            return Ok(response);
        }
        Subject::Rollback => {
            let target = target(head, collect(body, SMALL).await?)?;
            let name = name.clone();
            finish(
                gateway,
                async move { deployer.rollback(&name, &target).await },
            )
            .await?;
            StatusCode::OK
        }
        Subject::Reload | Subject::Generations => {
            let name = name.clone();
            finish(gateway, async move { deployer.reload(&name).await }).await?;
            StatusCode::OK
        }
    };
    let mut response = ops::one(gateway, &name);
    if response.status().is_success() {
        *response.status_mut() = status;
    }
    Ok(response)
}

/// Runs a change to its end, and away from the connection that asks for it: a plugin that
/// computes in its self-test would hold up the others of its thread.
async fn finish<T: Send + 'static>(
    gateway: &Inner,
    change: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Result<T, Problem> {
    match gateway.tasks.spawn(change).await {
        Ok(result) => result.map_err(explain),
        Err(panic) => Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            panic.to_string(),
        )),
    }
}

/// The component in a body, checked against the digests that came with it.
async fn receive(
    gateway: &Inner,
    head: &Parts,
    body: RequestBody,
    announced: u64,
) -> Result<Artifact, Problem> {
    let media = head.headers.get(CONTENT_TYPE).map(|media| media.as_bytes());
    let media = media.map(|media| String::from_utf8_lossy(media).to_ascii_lowercase());
    let media = media
        .as_deref()
        .map(|media| media.split(';').next().unwrap_or_default().trim());
    // The last is what curl calls any bytes.
    let known = [
        "application/wasm",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
    ];
    if let Some(media) = media
        && !known.contains(&media)
    {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("a component is application/wasm, not {media}"),
        ));
    }
    if head.headers.contains_key(CONTENT_ENCODING) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "a component is sent as it is, without Content-Encoding",
        ));
    }
    let limit = gateway.host.config.plugins.max_size.0;
    if announced > limit {
        return Err(Problem::too_large(limit));
    }
    let place = gateway.uploads.acquire().await;
    let bytes = collect(body, limit).await?;
    let artifact = tokio::task::spawn_blocking(move || Artifact::new(bytes)).await;
    drop(place);
    let artifact = artifact
        .map_err(|panic| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, panic.to_string()))?;
    digest::check(&head.headers, artifact.digest())?;
    Ok(artifact)
}

/// A whole body.
async fn collect(body: RequestBody, limit: u64) -> Result<Bytes, Problem> {
    let exceeded = body.exceeded();
    match body.collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(_) if exceeded.get() => Err(Problem::too_large(limit)),
        Err(error) => Err(bad(format!("the body broke off: {error}"))),
    }
}

/// What to go back to.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    generation: Option<u64>,
    digest: Option<String>,
}

fn target(head: &Parts, body: Bytes) -> Result<Target, Problem> {
    if body.is_empty() {
        return Ok(Target::Previous);
    }
    let media = head.headers.get(CONTENT_TYPE);
    let is_json = media.is_some_and(|media| media.as_bytes().starts_with(b"application/json"));
    if !is_json {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "what to go back to is application/json, or nothing",
        ));
    }
    let wanted: Wanted =
        serde_json::from_slice(&body).map_err(|error| bad(format!("the body: {error}")))?;
    match wanted {
        Wanted {
            generation: None,
            digest: None,
        } => Ok(Target::Previous),
        Wanted {
            generation: Some(number),
            digest: None,
        } => Ok(Target::Number(number)),
        Wanted {
            generation: None,
            digest: Some(digest),
        } => Ok(Target::Digest(digest.to_ascii_lowercase())),
        _ => Err(bad(
            "the body: give `generation` or `digest`, not both".into()
        )),
    }
}

fn generations(gateway: &Inner, name: &str) -> Answer {
    let deployer = gateway.host.deployer.as_ref();
    let known = deployer.and_then(|deployer: &Arc<Deployer>| deployer.generations(name));
    let (current, generations) = known.ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            format!("there is no plugin `{name}` that ever served"),
        )
    })?;
    Ok(json(&json!({
        "plugin": name,
        "current": current,
        "generations": generations,
    })))
}

fn bad(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

/// What to say about a change that was not made.
fn explain(fault: Fault) -> Problem {
    let status = match &fault {
        Fault::Name(_) | Fault::Malformed(_) => StatusCode::BAD_REQUEST,
        Fault::NotFound(_) => StatusCode::NOT_FOUND,
        Fault::Busy(_) => StatusCode::CONFLICT,
        Fault::Unfit(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Fault::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
        Fault::Read(_) | Fault::Vault(_) | Fault::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Problem::new(status, fault.to_string())
}
