//! Reading requests.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::Query as Parameters;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Request, StatusCode, Uri};
use lakehouse_vectord::{Filter, Item, Query};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::answer::{Failure, Shown};
use super::arrow;

/// What a body is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Media {
    Json,
    /// See [`arrow`].
    Arrow,
}

/// Reads a body of JSON, whose size the gateway bounds.
pub async fn body(request: Request<Body>) -> Result<Bytes, Failure> {
    match any_body(request).await? {
        (Media::Json, body) => Ok(body),
        (Media::Arrow, _) => Err(unsupported(arrow::MEDIA_TYPE, "application/json")),
    }
}

/// Reads a body of JSON or Arrow, whose size the gateway bounds.
pub async fn any_body(request: Request<Body>) -> Result<(Media, Bytes), Failure> {
    let media = match request.headers().get(CONTENT_TYPE) {
        Some(value) => media(value)?,
        None => Media::Json,
    };
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await;
    let body = body.map_err(|error| {
        Failure::new(
            StatusCode::BAD_REQUEST,
            format!("the body broke off: {error}"),
        )
    })?;
    Ok((media, body))
}

fn media(value: &HeaderValue) -> Result<Media, Failure> {
    let text = value.to_str().unwrap_or_default();
    let media = text.split(';').next().unwrap_or_default().trim();
    let media = media.to_ascii_lowercase();
    match media.as_str() {
        arrow::MEDIA_TYPE => Ok(Media::Arrow),
        "application/json" => Ok(Media::Json),
        _ if media.ends_with("+json") => Ok(Media::Json),
        _ => Err(unsupported(text, "application/json")),
    }
}

fn unsupported(found: &str, wanted: &str) -> Failure {
    Failure::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        format!("the body must be {wanted}, not {found:?}"),
    )
}

/// Reads a JSON object.
pub fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice::<Object<T>>(body)
        .map(|object| object.0)
        .map_err(|error| Failure::json(&error))
}

/// A JSON object, and not the list of its values that serde would take too.
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// The body of `add`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Addition<'a> {
    #[serde(borrow)]
    items: Vec<Object<NewItem<'a>>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NewItem<'a> {
    id: String,
    vector: Vec<f32>,
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
}

/// Reads the body of `add`.
pub fn items(media: Media, body: Bytes) -> Result<Vec<Item>, Failure> {
    if media == Media::Arrow {
        return arrow::items(body);
    }
    let addition: Addition<'_> = parse(&body)?;
    let item = |Object(item): Object<NewItem<'_>>| Item {
        id: item.id,
        vector: item.vector,
        metadata: item.metadata.map(|raw| raw.get().to_owned()),
    };
    Ok(addition.items.into_iter().map(item).collect())
}

/// The body of `search`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Search<'a> {
    #[serde(default)]
    vector: Option<Vec<f32>>,
    #[serde(default)]
    vectors: Option<Vec<Vec<f32>>>,
    k: usize,
    #[serde(default)]
    ef: Option<usize>,
    #[serde(borrow, default)]
    filter: Option<&'a RawValue>,
    #[serde(default)]
    include: Option<Vec<String>>,
}

/// What to search for, and what is shown of each hit.
pub struct Searched {
    pub queries: Arc<[Query]>,
    pub shown: Shown,
    /// Whether the answer is a list for each query.
    pub many: bool,
}

impl Search<'_> {
    fn searched(self) -> Result<Searched, Failure> {
        let many = self.vectors.is_some();
        let vectors = match (self.vector, self.vectors) {
            (Some(vector), None) => vec![vector],
            (None, Some(vectors)) => vectors,
            _ => {
                return Err(Failure::new(
                    StatusCode::BAD_REQUEST,
                    "a search takes either \"vector\" or \"vectors\"",
                ));
            }
        };
        let options = Options {
            k: self.k,
            ef: self.ef,
            filter: self.filter.map(|raw| raw.get().parse()).transpose()?,
            shown: match &self.include {
                None => Shown::default(),
                Some(names) => Shown::named(names)?,
            },
        };
        Ok(options.searched(vectors, many))
    }
}

/// What all queries of a search share.
struct Options {
    k: usize,
    ef: Option<usize>,
    filter: Option<Filter>,
    shown: Shown,
}

impl Options {
    fn searched(self, vectors: Vec<Vec<f32>>, many: bool) -> Searched {
        let query = |vector| Query {
            vector,
            k: self.k,
            ef: self.ef,
            filter: self.filter.clone(),
            with_vectors: self.shown.vector,
        };
        Searched {
            queries: vectors.into_iter().map(query).collect(),
            shown: self.shown,
            many,
        }
    }
}

/// Reads the body of `search`.
pub fn search(body: &[u8]) -> Result<Searched, Failure> {
    parse::<Search<'_>>(body)?.searched()
}

/// The query string of a search whose body is Arrow.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchParameters {
    k: usize,
    ef: Option<usize>,
    /// JSON.
    filter: Option<String>,
    /// Names with commas between them.
    include: Option<String>,
}

/// Reads a search whose body is Arrow.
pub fn arrow_search(uri: &Uri, body: Bytes) -> Result<Searched, Failure> {
    let Parameters(parameters) = Parameters::<SearchParameters>::try_from_uri(uri)
        .map_err(|error| Failure::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let names = parameters.include.map(|names| {
        let names = names.split(',').filter(|name| !name.is_empty());
        names.map(str::to_owned).collect::<Vec<_>>()
    });
    let options = Options {
        k: parameters.k,
        ef: parameters.ef,
        filter: parameters.filter.map(|text| text.parse()).transpose()?,
        shown: match &names {
            None => Shown::default(),
            Some(names) => Shown::named(names)?,
        },
    };
    Ok(options.searched(arrow::queries(body)?, true))
}

/// The body of `delete`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deletion {
    pub ids: Vec<String>,
}
