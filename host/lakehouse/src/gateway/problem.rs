//! Errors as `application/problem+json` (RFC 9457).

use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use lakehouse_runtime::CallError;
use serde::Serialize;
use serde_json::{Map, Value};

use super::body::ResponseBody;

/// The media type of problems.
pub const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// How callers authenticate.
const BEARER: HeaderValue = HeaderValue::from_static("Bearer realm=\"lakehouse\"");

/// An answer that says what is wrong.
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    r#type: &'static str,
    title: &'static str,
    #[serde(serialize_with = "code")]
    status: StatusCode,
    detail: String,
    #[serde(flatten)]
    more: Map<String, Value>,
    #[serde(skip)]
    retry_after: Option<Duration>,
    #[serde(skip)]
    allow: Option<&'static str>,
    /// It takes a bearer token.
    #[serde(skip)]
    challenge: bool,
}

fn code<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    /// A problem of this status; the detail is for people.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status,
            detail: detail.into(),
            more: Map::new(),
            retry_after: None,
            allow: None,
            challenge: false,
        }
    }

    /// Its status.
    #[cfg(test)]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// 401, for want of a bearer token.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, detail);
        problem.challenge = true;
        problem
    }

    /// What is wrong, for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// 404 for a path that nobody serves.
    pub fn no_route(path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("nothing serves {path}"))
    }

    /// 405 with the methods that would do.
    pub fn method(method: &http::Method, path: &str, allow: &'static str) -> Self {
        let mut problem = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{method} is not a method of {path}: {allow}"),
        );
        problem.allow = Some(allow);
        problem
    }

    /// 413 with the limit.
    pub fn too_large(limit: u64) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is over the limit of {limit} bytes"),
        )
    }

    /// 503 with the time to wait.
    pub fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, detail);
        problem.retry_after = Some(retry_after);
        problem
    }

    /// The answer to a call of a plugin that has none.
    pub fn call(plugin: &str, error: &CallError) -> Self {
        let detail = format!("plugin `{plugin}`: {error}");
        match error {
            CallError::NotFound => Self::new(
                StatusCode::NOT_FOUND,
                format!("plugin `{plugin}` handles no HTTP requests"),
            ),
            CallError::Unavailable { retry_after, .. }
            | CallError::Saturated { retry_after, .. } => Self::unavailable(detail, *retry_after),
            CallError::Timeout(_) => Self::new(StatusCode::GATEWAY_TIMEOUT, detail),
            CallError::Trapped(_) | CallError::TooLong { .. } => {
                Self::new(StatusCode::BAD_GATEWAY, detail)
            }
            CallError::Refused(_) | CallError::Internal(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
            }
        }
    }

    /// Adds a member of its own.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.more.insert(key.to_owned(), value.into());
        self
    }
}

impl From<Problem> for Response<ResponseBody> {
    fn from(problem: Problem) -> Self {
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = Response::new(ResponseBody::full(body));
        *response.status_mut() = problem.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, MEDIA_TYPE);
        if let Some(after) = problem.retry_after {
            let seconds = after.as_secs_f64().ceil().max(1.0) as u64;
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(allow) = problem.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if problem.challenge {
            headers.insert(WWW_AUTHENTICATE, BEARER);
        }
        response
    }
}
