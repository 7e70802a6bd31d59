//! Every rule that input must keep, checked before anything is written.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::{Error, Result};
use crate::kernel;
use crate::types::{Distance, IndexSpec, Item, Quantization};

/// Most components of a vector.
pub const MAX_DIMENSION: usize = 65_536;
/// Most links of a graph node.
pub const MAX_M: usize = 256;
/// Most candidates in building.
pub const MAX_EF_CONSTRUCTION: usize = 10_000;
/// Most candidates in searching.
pub const MAX_EF: usize = 100_000;
/// Most results of one search.
pub const MAX_K: usize = 10_000;
/// Most queries of one search.
pub const MAX_QUERIES: usize = 10_000;
/// Most results of all queries of one search.
pub const MAX_HITS: usize = 1_000_000;
/// Most bytes of an item's id.
pub const MAX_ID: usize = 512;
/// Most bytes of an item's metadata.
pub const MAX_METADATA: usize = 1 << 20;
/// Most bytes of an index's name.
pub const MAX_NAME: usize = 128;
/// Longest vector (Euclidean norm): above it, squared distances leave the
/// range of single precision.
pub const MAX_NORM: f64 = 1e18;
/// Shortest vector under cosine: below it, single precision holds no
/// direction.
pub const MIN_NORM: f64 = 1e-30;

const DEFAULT_M: usize = 16;
const DEFAULT_EF_CONSTRUCTION: usize = 200;

/// The shape that every vector of an index has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    pub dimension: usize,
    pub distance: Distance,
}

/// An index's parameters after checking, defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    pub name: String,
    pub space: Space,
    pub m: usize,
    pub ef_construction: usize,
    pub quantization: Quantization,
}

/// Checks an index's name, which is also its folder's.
///
/// # Errors
/// [`Invalid`](crate::ErrorKind::Invalid), saying what a name may be.
pub fn name(name: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(Error::invalid(format!(
            "an index name has 1 to {MAX_NAME} bytes, this one has {}",
            name.len()
        )));
    }
    if name.starts_with('.') || !name.bytes().all(plain) {
        return Err(Error::invalid(format!(
            "index name {name:?}: only letters, digits, '_', '.' and '-' may stand in it, and no dot first"
        )));
    }
    Ok(())
}

/// Checks the parameters of an index to be made.
pub(crate) fn spec(spec: &IndexSpec) -> Result<Spec> {
    name(&spec.name)?;
    let range = |what: &str, value: usize, low: usize, high: usize| {
        if (low..=high).contains(&value) {
            return Ok(value);
        }
        Err(Error::invalid(format!(
            "{what} must be {low} to {high}, not {value}"
        )))
    };
    Ok(Spec {
        name: spec.name.clone(),
        space: Space {
            dimension: range("dimension", spec.dimension, 1, MAX_DIMENSION)?,
            distance: spec.distance,
        },
        m: range("m", spec.m.unwrap_or(DEFAULT_M), 2, MAX_M)?,
        ef_construction: range(
            "ef_construction",
            spec.ef_construction.unwrap_or(DEFAULT_EF_CONSTRUCTION),
            1,
            MAX_EF_CONSTRUCTION,
        )?,
        quantization: spec.quantization,
    })
}

/// Checks an item's id; the error's text has no subject yet.
pub(crate) fn id(id: &str) -> Result<(), String> {
    if id.is_empty() {
        return Err("the id is empty".into());
    }
    if id.len() > MAX_ID {
        return Err(format!(
            "the id has {} bytes, at most {MAX_ID} are allowed",
            id.len()
        ));
    }
    Ok(())
}

/// Checks a vector; the error's text has no subject yet.
pub(crate) fn vector(space: Space, vector: &[f32]) -> Result<(), String> {
    if vector.len() != space.dimension {
        return Err(format!(
            "the vector has {} components, the index has {} dimensions",
            vector.len(),
            space.dimension
        ));
    }
    if let Some(at) = vector.iter().position(|x| !x.is_finite()) {
        let what = if vector[at].is_nan() {
            "not a number"
        } else {
            "infinite or outside the range of single precision"
        };
        return Err(format!("component {at} of the vector is {what}"));
    }
    let norm = kernel::norm(vector);
    if norm > MAX_NORM {
        return Err(format!(
            "the vector's length {norm:e} is above {MAX_NORM:e}, the most whose squared distances single precision holds"
        ));
    }
    if space.distance == Distance::Cosine && norm < MIN_NORM {
        return Err(if norm == 0.0 {
            "a zero vector has no direction, so no cosine distance".into()
        } else {
            format!("the vector's length {norm:e} is below {MIN_NORM:e}, too short for a direction")
        });
    }
    Ok(())
}

/// Checks metadata; the error's text has no subject yet.
fn metadata(text: &str) -> Result<(), String> {
    if text.len() > MAX_METADATA {
        return Err(format!(
            "the metadata has {} bytes, at most {MAX_METADATA} are allowed",
            text.len()
        ));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    Object::deserialize(&mut reader)
        .and_then(|Object| reader.end())
        .map_err(|why| match why.is_data() {
            true => "the metadata is not a JSON object".to_owned(),
            false => format!("the metadata is not JSON that filters can read: {why}"),
        })
}

/// A JSON object all of whose values filters will be able to read: no deeper than the
/// parser goes, with numbers that it has and text that is Unicode. Nothing of
/// it is kept.
struct Object;

/// The same of any value.
struct Anything;

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object, A::Error> {
                Anything.visit_map(map).map(|Anything| Object)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Anything {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while let Some(Self) = list.next_element()? {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while let Some((Self, Self)) = map.next_entry()? {}
        Ok(self)
    }
}

/// Checks a whole batch; the error names the first item that breaks a rule.
pub(crate) fn items(space: Space, items: &[Item], first: usize) -> Result<()> {
    for (at, item) in (first..).zip(items) {
        id(&item.id)
            .and_then(|()| vector(space, &item.vector))
            .and_then(|()| item.metadata.as_deref().map_or(Ok(()), metadata))
            .map_err(|why| {
                Error::invalid(format!("item {at} (id {:?}): {why}", short(&item.id)))
            })?;
    }
    Ok(())
}

/// An id as it may stand in a message.
pub(crate) fn short(id: &str) -> String {
    const SHOWN: usize = 64;
    match id.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &id[..end]),
        None => id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_folder() {
        for bad in [
            "", ".", "..", "../x", "a/b", "a\\b", ".x", "a\0", "é", "a b", "a%2fb",
        ] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
        assert!(name(&"a".repeat(129)).is_err());
        for good in ["a", "A-1_b.c", &"a".repeat(128)] {
            assert!(name(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn vectors_are_finite_and_have_a_direction() {
        let cosine = Space {
            dimension: 2,
            distance: Distance::Cosine,
        };
        let l2 = Space {
            distance: Distance::L2,
            ..cosine
        };
        assert!(vector(cosine, &[0.0, -0.0]).is_err());
        assert!(vector(l2, &[0.0, 0.0]).is_ok());
        for bad in [
            &[f32::NAN, 1.0][..],
            &[f32::INFINITY, 1.0],
            &[1.0, f32::NEG_INFINITY],
            &[1.0],
            &[1.0; 3],
            &[f32::MAX, 0.0],
        ] {
            assert!(vector(cosine, bad).is_err(), "{bad:?}");
            assert!(vector(l2, bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn metadata_is_an_object() {
        assert!(metadata("{}").is_ok());
        assert!(metadata(" {\"a\": [1, null, -2.5e-3, \"\\u00e9\", {}, true]} ").is_ok());
        for bad in ["", "1", "[]", "null", "\"a\"", "{", "{} {}"] {
            assert!(metadata(bad).is_err(), "{bad:?}");
        }
    }

    /// Filters read metadata as values: what makes none would match nothing.
    #[test]
    fn metadata_can_be_read_by_filters() {
        let nested = |levels: usize| {
            let (open, close) = ("[".repeat(levels), "]".repeat(levels));
            format!("{{\"a\": {open}1{close}}}")
        };
        let texts = [
            nested(1),
            nested(126),
            nested(127),
            nested(128),
            nested(400_000),
            "{\"a\": 1e308}".to_owned(),
            "{\"a\": 1e309}".to_owned(),
            "{\"a\": 123456789012345678901234567890}".to_owned(),
            r#"{"a": "\ud83d\ude00"}"#.to_owned(),
            r#"{"a": "\ud83d"}"#.to_owned(),
            r#"{"\udc00": 1}"#.to_owned(),
            "{\"a\": \"\n\"}".to_owned(),
            "{\"a\": 1, \"a\": 2}".to_owned(),
        ];
        let mut good = 0;
        for text in &texts {
            let read = serde_json::from_str::<serde_json::Map<_, _>>(text);
            good += usize::from(read.is_ok());
            let checked = metadata(text);
            let shown = &text[..text.len().min(40)];
            assert_eq!(checked.is_ok(), read.is_ok(), "{shown}: {checked:?}");
        }
        assert_eq!(good, 6);
    }
}
