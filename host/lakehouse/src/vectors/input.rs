//! Reading requests.

use std::fmt;
use std::marker::PhantomData;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, StatusCode};
use lakehouse_vectord::{Filter, Item, Query};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::Value;
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
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
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
pub struct Addition {
    items: Vec<Object<NewItem>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NewItem {
    id: String,
    vector: Vec<f32>,
    #[serde(default)]
    metadata: Option<Box<RawValue>>,
}

impl Addition {
    pub fn items(self) -> Vec<Item> {
        let item = |Object(item): Object<NewItem>| Item {
            id: item.id,
            vector: item.vector,
            metadata: item.metadata.map(|raw| raw.get().to_owned()),
        };
        self.items.into_iter().map(item).collect()
    }
}

/// The body of `search`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    vector: Vec<f32>,
    k: usize,
    #[serde(default)]
    ef: Option<usize>,
    #[serde(default)]
    filter: Option<Value>,
    #[serde(default)]
    include: Option<Vec<String>>,
}

impl Search {
    /// The query, and what is shown of each hit.
    pub fn query(self) -> Result<(Query, Shown), Failure> {
        let shown = match &self.include {
            None => Shown::default(),
            Some(names) => Shown::named(names)?,
        };
        let query = Query {
            vector: self.vector,
            k: self.k,
            ef: self.ef,
            filter: self.filter.as_ref().map(Filter::parse).transpose()?,
            with_vectors: shown.vector,
        };
        Ok((query, shown))
    }
}

/// The body of `delete`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deletion {
    pub ids: Vec<String>,
}
