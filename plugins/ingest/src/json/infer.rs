//! Which columns and types a sample of objects has.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema};
use arrow::error::ArrowError;
use arrow::json::reader::infer_json_schema_from_iterator;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::records::Records;
use super::syntax;
use crate::fault::{Fault, Place};

/// The schema of all objects together, columns in the order in which they
/// appear first.
pub(crate) fn schema(sample: &Records) -> Result<Schema, Fault> {
    let mut values = Vec::with_capacity(sample.rows());
    let mut names = Vec::new();
    let mut seen = HashSet::new();
    for row in 0..sample.rows() {
        let bytes = sample.row(row);
        let at = |error: serde_json::Error| syntax(sample.line(row), sample.column(row), &error);
        let Keys(keys) = serde_json::from_slice(bytes).map_err(at)?;
        for key in keys {
            if !seen.contains(&key) {
                seen.insert(key.clone());
                names.push(key);
            }
        }
        values.push(serde_json::from_slice::<Value>(bytes).map_err(at)?);
    }
    let infer = |rows: usize| {
        infer_json_schema_from_iterator(values[..rows].iter().map(Ok::<_, ArrowError>))
    };
    let inferred = infer(values.len()).map_err(|error| {
        // Objects disagree; the first that disagrees with those before it is told.
        let (mut fits, mut fails) = (0, values.len());
        while fits + 1 < fails {
            let middle = fits.midpoint(fails);
            if infer(middle).is_ok() {
                fits = middle
            } else {
                fails = middle
            }
        }
        let line = sample.line(fails - 1);
        Fault::at(Place::line(line), format!("line {line}: {error}"))
    })?;
    // A JSON map comes out of serde sorted by name; the body's order is kept.
    let fields: Vec<FieldRef> = names
        .iter()
        .filter_map(|name| {
            inferred
                .fields()
                .find(name)
                .map(|(_, field)| Arc::clone(field))
        })
        .collect();
    Ok(Schema::new(fields))
}

/// The names of an object's members.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, IgnoredAny)) = map.next_entry()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }

        deserializer.deserialize_map(Members)
    }
}
