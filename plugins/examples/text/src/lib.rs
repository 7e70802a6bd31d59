//! SQL functions of text: `slug(text)`, `words(text)` and the aggregate `longest(text)`.

use std::sync::Arc;

use lakehouse_sdk::arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use lakehouse_sdk::arrow::datatypes::DataType;
use lakehouse_sdk::sql::{Aggregate, Error, Function, Functions};
use serde::{Deserialize, Serialize};

struct Text;

impl Functions for Text {
    fn functions() -> Vec<Function> {
        vec![
            Function::scalar("slug", [DataType::Utf8], DataType::Utf8, slugs),
            Function::scalar("words", [DataType::Utf8], DataType::Int64, words),
            Function::aggregate::<Longest>("longest", [DataType::Utf8], DataType::Utf8),
        ]
    }
}

lakehouse_sdk::export_functions!(Text);

fn slugs(rows: &RecordBatch) -> Result<ArrayRef, Error> {
    let texts = rows.column(0).as_string::<i32>().iter();
    Ok(Arc::new(
        texts.map(|text| text.map(slug)).collect::<StringArray>(),
    ))
}

/// A text as a part of a URL: `Hello, World!` is `hello-world`.
fn slug(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}

fn words(rows: &RecordBatch) -> Result<ArrayRef, Error> {
    let texts = rows.column(0).as_string::<i32>().iter();
    let counts = texts.map(|text| Some(text?.split_whitespace().count() as i64));
    Ok(Arc::new(counts.collect::<Int64Array>()))
}

/// The longest text of a group; the first in order of those of one length.
#[derive(Default, Serialize, Deserialize)]
struct Longest(Option<String>);

impl Longest {
    fn see(&mut self, text: &str) {
        let best = self.0.as_deref().unwrap_or_default();
        let (length, best_length) = (text.chars().count(), best.chars().count());
        if self.0.is_none() || length > best_length || (length == best_length && text < best) {
            self.0 = Some(text.to_owned());
        }
    }
}

impl Aggregate for Longest {
    fn accumulate(states: &mut [Self], groups: &[u32], rows: &RecordBatch) -> Result<(), Error> {
        for (group, text) in groups.iter().zip(rows.column(0).as_string::<i32>()) {
            if let Some(text) = text {
                states[*group as usize].see(text);
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) -> Result<(), Error> {
        if let Some(text) = other.0 {
            self.see(&text);
        }
        Ok(())
    }

    fn evaluate(states: Vec<Self>) -> Result<ArrayRef, Error> {
        let texts = states.into_iter().map(|state| state.0);
        Ok(Arc::new(texts.collect::<StringArray>()))
    }
}
