//! Reading requests.

use std::fmt;
use std::marker::PhantomData;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, StatusCode};
use lakehouse_vectord::{Filter, Item, Query};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::answer::{Failure, Shown};

/// Reads a body of JSON, whose size the gateway bounds.
pub async fn body(request: Request<Body>) -> Result<Bytes, Failure> {
    if let Some(value) = request.headers().get(CONTENT_TYPE) {
        let text = value.to_str().unwrap_or_default();
        let media = text.split(';').next().unwrap_or_default().trim();
        let media = media.to_ascii_lowercase();
        if media != "application/json" && !media.ends_with("+json") {
            return Err(Failure::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                format!("the body must be application/json, not {text:?}"),
            ));
        }
    }
    axum::body::to_bytes(request.into_body(), usize::MAX)
        .await
        .map_err(|error| {
            Failure::new(
                StatusCode::BAD_REQUEST,
                format!("the body broke off: {error}"),
            )
        })
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
pub fn items(body: &[u8]) -> Result<Vec<Item>, Failure> {
    let addition: Addition<'_> = parse(body)?;
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
    pub queries: Vec<Query>,
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
        let filter: Option<Filter> = self.filter.map(|raw| raw.get().parse()).transpose()?;
        let shown = match &self.include {
            None => Shown::default(),
            Some(names) => Shown::named(names)?,
        };
        let query = |vector| Query {
            vector,
            k: self.k,
            ef: self.ef,
            filter: filter.clone(),
            with_vectors: shown.vector,
        };
        Ok(Searched {
            queries: vectors.into_iter().map(query).collect(),
            shown,
            many,
        })
    }
}

/// Reads the body of `search`.
pub fn search(body: &[u8]) -> Result<Searched, Failure> {
    parse::<Search<'_>>(body)?.searched()
}

/// The body of `delete`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deletion {
    pub ids: Vec<String>,
}
