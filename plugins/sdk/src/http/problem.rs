//! Errors for clients: `application/problem+json`, RFC 9457.

use std::borrow::Cow;
use std::fmt;
use std::io;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::Response;
use crate::types;

/// Why a request failed, for the client.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// HTTP status, 400 to 599.
    pub status: u16,
    /// What kind of problem, the same for all of the kind.
    pub title: Cow<'static, str>,
    /// What is wrong this time, and where.
    pub detail: String,
    /// More members, such as `line` and `column`.
    pub extensions: Map<String, Value>,
    /// Headers of the answer, such as `Allow`.
    pub headers: Vec<(String, String)>,
}

impl Problem {
    /// A problem whose title is the status's name.
    pub fn new(status: u16, detail: impl Into<String>) -> Self {
        Self {
            status,
            title: Cow::Borrowed(reason(status)),
            detail: detail.into(),
            extensions: Map::new(),
            headers: Vec::new(),
        }
    }

    /// 400: the request is malformed.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(400, detail)
    }

    /// 404: the thing is not there.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, detail)
    }

    /// 405 with the methods that the path knows, such as `GET, HEAD`.
    pub fn method_not_allowed(method: &str, allow: &str) -> Self {
        Self::new(405, format!("{method} is not allowed here; {allow} is")).header("allow", allow)
    }

    /// 500: the plugin or what it stands on is at fault.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(500, detail)
    }

    /// Another title than the status's name.
    #[must_use]
    pub fn title(mut self, title: impl Into<Cow<'static, str>>) -> Self {
        self.title = title.into();
        self
    }

    /// Adds a member. `type`, `title`, `status` and `detail` cannot be replaced.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extensions.insert(name.into(), value.into());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// What a failure to read a request's body means: 413 where the host allows
    /// no more, else 400.
    pub fn from_body_error(error: &io::Error) -> Self {
        let status = if error.kind() == io::ErrorKind::FileTooLarge {
            413
        } else {
            400
        };
        Self::new(status, error.to_string())
    }

    /// The answer that says so.
    pub fn into_response(self) -> Response {
        let mut response =
            Response::new(self.status).header("content-type", "application/problem+json");
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        response.json(&self)
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        members.serialize_entry("type", "about:blank")?;
        members.serialize_entry("title", &self.title)?;
        members.serialize_entry("status", &self.status)?;
        members.serialize_entry("detail", &self.detail)?;
        for (name, value) in &self.extensions {
            if !["type", "title", "status", "detail"].contains(&name.as_str()) {
                members.serialize_entry(name, value)?;
            }
        }
        members.end()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status, self.title, self.detail)
    }
}

impl std::error::Error for Problem {}

impl From<types::Error> for Problem {
    fn from(error: types::Error) -> Self {
        use types::Error as E;
        match error {
            E::NotFound(detail) => Self::new(404, detail),
            E::AlreadyExists(detail) | E::Conflict(detail) => Self::new(409, detail),
            E::PreconditionFailed(detail) => Self::new(412, detail),
            E::Denied(detail) => Self::new(403, detail),
            E::Invalid(detail) => Self::new(400, detail),
            E::RangeNotSatisfiable(detail) => Self::new(416, detail),
            E::Exhausted(detail) => Self::new(507, detail),
            E::Unavailable(detail) => Self::new(503, detail).header("retry-after", "1"),
            E::Unsupported(detail) => Self::new(501, detail),
            E::Internal(detail) => Self::new(500, detail),
        }
    }
}

/// The registered name of a status.
fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        507 => "Insufficient Storage",
        _ => "Error",
    }
}
