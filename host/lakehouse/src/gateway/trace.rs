//! The span of a request, from its head to the end of its answer.

use std::borrow::Cow;

use http::{Request, Response, Version};
use lakehouse_trace::{Kind, Span, TRACERESPONSE, Trace};

use super::body::ResponseBody;
use super::routes::Route;
use super::{Peer, REQUEST_ID, ops};

/// Begins the span of a request, below the one that it came with.
pub fn begin<B>(
    request: &Request<B>,
    peer: Option<Peer>,
    route: Option<&Route>,
    came: Option<&Trace>,
) -> Span {
    let path = request.uri().path();
    if route.is_none() && ops::find(path).is_some() {
        // Whoever looks after the host asks this all the time.
        return Span::default();
    }
    let method = request.method();
    let mut span = Span::start(Kind::Server, came, || match route {
        Some(route) => format!("{method} {}", route.path),
        None => method.to_string(),
    });
    span.set("http.request.method", || method.to_string());
    span.set("url.scheme", || "http");
    span.set("url.path", || path.to_owned());
    span.set("network.protocol.version", || version(request.version()));
    if let Some(route) = route {
        span.set("http.route", || route.path.clone());
    }
    if let Some(Peer(address)) = peer {
        span.set("client.address", || address.to_canonical().to_string());
    }
    if let Some(Ok(id)) = request.headers().get(&REQUEST_ID).map(|id| id.to_str()) {
        span.set("lakehouse.request_id", || id.to_owned());
    }
    span
}

/// Notes in the span how the request was answered, and in the answer which span that
/// was.
pub fn end(span: &mut Span, response: &mut Response<ResponseBody>, trace: Option<&Trace>) {
    let status = response.status();
    span.set("http.response.status_code", || i64::from(status.as_u16()));
    if status.is_server_error() {
        span.set("error.type", || status.as_str().to_owned());
        span.fail(|| Cow::Borrowed(status.canonical_reason().unwrap_or_default()));
    }
    if let Some(trace) = trace {
        response.headers_mut().insert(TRACERESPONSE, trace.parent());
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}
