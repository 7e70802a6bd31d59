//! What a segment's metadata say, by path: for each value the rows that have
//! it, so that a filter is answered without reading metadata.
//!
//! The values of a path stand in the order null, false, true, numbers, texts,
//! others. Others are what is not kept one by one: lists, objects, integers
//! that a double does not hold exactly, and texts beyond [`MAX_TEXT`] bytes.
//! Whether such a row matches is found out from its metadata.

mod build;
mod file;
mod judge;

use std::collections::HashMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::column::Column;

pub(crate) use file::AttributesFooter;
pub(crate) use judge::Judged;

/// Longest text that is a value of its own, in bytes.
const MAX_TEXT: usize = 128;
/// Integers below it in magnitude are exact as doubles, and no other integer
/// has the same double.
const EXACT: u64 = 1 << 53;

/// The values of all paths, one path after another.
#[derive(Debug, Default)]
pub(crate) struct Attributes {
    /// Rows of the segment.
    rows: usize,
    paths: HashMap<String, Place>,
    /// Whether every path is here, so that one that is not is nowhere.
    complete: bool,
    /// The rows of each value.
    members: Column<u32>,
    /// Where the rows of each value end in `members`.
    ends: Column<u64>,
    /// The numbers among the values, rising within a path.
    numbers: Column<f64>,
    /// Where each text among the values ends in `texts`.
    text_ends: Column<u64>,
    /// The texts, rising within a path.
    texts: Column<u8>,
}

/// How many values of each kind a path has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Path {
    name: String,
    null: bool,
    r#false: bool,
    r#true: bool,
    numbers: usize,
    texts: usize,
    others: bool,
}

/// Where the values of a path are.
#[derive(Clone, Debug)]
struct Place {
    path: Path,
    /// The first of its values in `ends`.
    first: usize,
    first_number: usize,
    first_text: usize,
}

/// A value as it is kept.
#[derive(Debug, PartialEq)]
enum Kept<'a> {
    Null,
    Bool(bool),
    Number(f64),
    Text(&'a str),
    Other,
}

impl<'a> Kept<'a> {
    fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::String(text) if text.len() <= MAX_TEXT => Self::Text(text),
            Value::Number(number) => {
                let large = match (number.as_i64(), number.as_u64()) {
                    (Some(integer), _) => integer.unsigned_abs() >= EXACT,
                    (None, Some(_)) => true,
                    (None, None) => false,
                };
                match number.as_f64() {
                    // Minus zero becomes zero.
                    Some(number) if !large => Self::Number(number + 0.0),
                    _ => Self::Other,
                }
            }
            Value::String(_) | Value::Array(_) | Value::Object(_) => Self::Other,
        }
    }
}

impl Path {
    fn values(&self) -> usize {
        let single = [self.null, self.r#false, self.r#true, self.others];
        let single = single.into_iter().filter(|there| *there).count();
        single + self.numbers + self.texts
    }
}

impl Place {
    fn values(&self) -> Range<usize> {
        self.first..self.first + self.path.values()
    }

    fn null(&self) -> Range<usize> {
        self.first..self.first + usize::from(self.path.null)
    }

    fn bool(&self, value: bool) -> Range<usize> {
        let no = self.null().end;
        let yes = no + usize::from(self.path.r#false);
        match value {
            false => no..yes,
            true => yes..yes + usize::from(self.path.r#true),
        }
    }

    fn numbers(&self) -> Range<usize> {
        let first = self.bool(true).end;
        first..first + self.path.numbers
    }

    fn texts(&self) -> Range<usize> {
        let first = self.numbers().end;
        first..first + self.path.texts
    }

    fn others(&self) -> Range<usize> {
        let first = self.texts().end;
        first..first + usize::from(self.path.others)
    }
}

impl Attributes {
    /// Where each path's values are, if that is where these end.
    fn places(paths: Vec<Path>) -> HashMap<String, Place> {
        let (mut first, mut first_number, mut first_text) = (0, 0, 0);
        let place = |path: Path| {
            let place = Place {
                first,
                first_number,
                first_text,
                path,
            };
            first += place.path.values();
            first_number += place.path.numbers;
            first_text += place.path.texts;
            (place.path.name.clone(), place)
        };
        paths.into_iter().map(place).collect()
    }

    /// The rows of a run of values.
    fn members(&self, values: Range<usize>) -> &[u32] {
        let end = |value: usize| match value.checked_sub(1) {
            Some(before) => self.ends[before] as usize,
            None => 0,
        };
        let members = end(values.start)..end(values.end);
        // Reversed only if a file's values are not in order.
        self.members.get(members).unwrap_or_default()
    }

    fn text(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).map_or(0, |before| self.text_ends[before]);
        &self.texts[start as usize..self.text_ends[at] as usize]
    }

    /// Bytes of memory that it holds, less what is mapped.
    pub fn memory(&self) -> usize {
        let paths: usize = self.paths.keys().map(|name| 2 * name.len() + 160).sum();
        paths
            + self.members.memory()
            + self.ends.memory()
            + self.numbers.memory()
            + self.text_ends.memory()
            + self.texts.memory()
    }
}
