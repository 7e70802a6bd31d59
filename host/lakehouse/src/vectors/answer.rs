//! Writing answers.

use std::fmt;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use lakehouse_vectord::{DamagedIndex, Error, ErrorKind, Hit, IndexInfo, StoredItem};
use serde::Serialize;
use serde_json::value::RawValue;

use super::arrow;
use super::input::{Media, Searched};

/// Seconds after which a busy service is worth another try.
const RETRY_SECONDS: u64 = 1;
/// Most bytes of all metadata in one answer.
const MAX_METADATA: usize = 64 << 20;

/// An answer that says what is wrong.
#[derive(Debug, Serialize)]
pub struct Failure {
    r#type: &'static str,
    title: &'static str,
    #[serde(serialize_with = "code")]
    status: StatusCode,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
}

fn code<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Failure {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status,
            detail: detail.into(),
            line: None,
            column: None,
        }
    }

    pub fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    /// A call that panicked.
    pub fn failed() -> Self {
        Self::internal("the call failed; see the log")
    }

    /// The same, with more to say.
    pub fn and(mut self, more: impl fmt::Display) -> Self {
        self.detail = format!("{}; {more}", self.detail);
        self
    }

    /// Too many calls before this one.
    pub fn busy() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the vector service is busy; try again",
        )
    }

    /// A body that is not the JSON it should be.
    pub fn json(error: &serde_json::Error) -> Self {
        let mut failure = Self::new(StatusCode::BAD_REQUEST, format!("the body: {error}"));
        failure.line = Some(error.line());
        failure.column = Some(error.column());
        failure
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::AlreadyExists => StatusCode::CONFLICT,
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::Exhausted => StatusCode::INSUFFICIENT_STORAGE,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::warn!(status = self.status.as_u16(), "vectors: {}", self.detail);
        }
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, RETRY_SECONDS.into());
        }
        response
    }
}

/// An answer of JSON.
pub fn json(status: StatusCode, value: &impl Serialize) -> Result<Response, Failure> {
    let body = serde_json::to_vec(value).map_err(|error| Failure::internal(error.to_string()))?;
    Ok(of_type(status, "application/json", body))
}

fn of_type(status: StatusCode, media: &'static str, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// An answer without a body.
pub fn nothing() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// All indexes.
#[derive(Serialize)]
pub struct Listing {
    pub indexes: Vec<IndexInfo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<DamagedIndex>,
}

/// What is shown of a hit beside its id and distance.
#[derive(Clone, Copy)]
pub struct Shown {
    pub metadata: bool,
    pub vector: bool,
}

impl Default for Shown {
    fn default() -> Self {
        Self {
            metadata: true,
            vector: false,
        }
    }
}

impl Shown {
    /// What a request names.
    pub fn named(names: &[String]) -> Result<Self, Failure> {
        let mut shown = Self {
            metadata: false,
            vector: false,
        };
        for name in names {
            match name.as_str() {
                "metadata" => shown.metadata = true,
                "vector" => shown.vector = true,
                _ => {
                    return Err(Failure::new(
                        StatusCode::BAD_REQUEST,
                        format!("include: {name:?} is neither \"metadata\" nor \"vector\""),
                    ));
                }
            }
        }
        Ok(shown)
    }

    /// Hits as they are shown.
    fn hits(self, hits: &[Hit]) -> Result<Vec<FoundHit<'_>>, Failure> {
        let shown = hits.iter().map(|hit| {
            let metadata = self.metadata.then(|| raw(hit.metadata.as_deref()));
            Ok(FoundHit {
                id: &hit.id,
                distance: hit.distance,
                metadata: metadata.transpose()?,
                vector: hit.vector.as_deref(),
            })
        });
        shown.collect()
    }
}

/// What a search of one query found.
#[derive(Serialize)]
struct Found<'a> {
    results: Vec<FoundHit<'a>>,
}

/// What a search of many found, in their order.
#[derive(Serialize)]
struct FoundMany<'a> {
    results: Vec<Vec<FoundHit<'a>>>,
}

#[derive(Serialize)]
struct FoundHit<'a> {
    id: &'a str,
    distance: f32,
    /// Shown as `null` where an item has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Option<&'a RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<&'a [f32]>,
}

/// Answers a search, in the form in which it was asked.
pub fn found(media: Media, searched: &Searched, found: &[Vec<Hit>]) -> Result<Response, Failure> {
    let shown = searched.shown;
    let hits = || found.iter().flatten();
    let texts = hits().filter_map(|hit| hit.metadata.as_ref());
    let bytes: usize = texts.map(|text| text.len()).sum();
    if shown.metadata && bytes > MAX_METADATA {
        return Err(Failure::new(
            StatusCode::BAD_REQUEST,
            format!(
                "the metadata of {} items have {bytes} bytes, more than one answer carries ({MAX_METADATA}): ask for fewer, or without metadata",
                hits().count()
            ),
        ));
    }
    if media == Media::Arrow {
        let queries = &searched.queries;
        let dimension = queries.first().map_or(0, |query| query.vector.len());
        let body = arrow::hits(found, shown, dimension)?;
        return Ok(of_type(StatusCode::OK, arrow::MEDIA_TYPE, body));
    }
    match found {
        [only] if !searched.many => json(
            StatusCode::OK,
            &Found {
                results: shown.hits(only)?,
            },
        ),
        _ => {
            let results = found.iter().map(|hits| shown.hits(hits));
            let results = results.collect::<Result<_, _>>()?;
            json(StatusCode::OK, &FoundMany { results })
        }
    }
}

/// One item.
#[derive(Serialize)]
pub struct FoundItem<'a> {
    id: &'a str,
    vector: &'a [f32],
    metadata: Option<&'a RawValue>,
}

impl<'a> FoundItem<'a> {
    pub fn new(item: &'a StoredItem) -> Result<Self, Failure> {
        Ok(Self {
            id: &item.id,
            vector: &item.vector,
            metadata: raw(item.metadata.as_deref())?,
        })
    }
}

/// Metadata as they came.
fn raw(text: Option<&str>) -> Result<Option<&RawValue>, Failure> {
    text.map(serde_json::from_str)
        .transpose()
        .map_err(|error| Failure::internal(format!("stored metadata are damaged: {error}")))
}
