//! `POST /v1/ingest?format={{name}}`: a row for each line of text, with its number.

use std::sync::Arc;

use lakehouse_sdk::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use lakehouse_sdk::arrow::datatypes::SchemaRef;
use lakehouse_sdk::format::{Fault, Format, Lines, Options};

/// One body on its way from bytes to rows.
struct Plugin {
    lines: Lines,
}

impl Format for Plugin {
    fn open(options: Options, _table: Option<SchemaRef>) -> Result<Self, Fault> {
        // Parameters of the request that are not ingest's own: this format has none.
        options.finish()?;
        let lines = Lines::default();
        Ok(Self { lines })
    }

    fn push(&mut self, bytes: &[u8]) -> Result<Vec<RecordBatch>, Fault> {
        let mut rows = Rows::default();
        self.lines.push(bytes, |number, line| rows.add(number, line))?;
        rows.batches()
    }

    fn finish(&mut self) -> Result<Vec<RecordBatch>, Fault> {
        let mut rows = Rows::default();
        self.lines.finish(|number, line| rows.add(number, line))?;
        rows.batches()
    }
}

/// The rows of a piece of the body.
#[derive(Default)]
struct Rows {
    lines: Vec<i64>,
    texts: Vec<String>,
}

impl Rows {
    fn add(&mut self, number: u64, line: &[u8]) -> Result<(), Fault> {
        let text = std::str::from_utf8(line);
        let text = text.map_err(|error| Fault::new(error.to_string()).line(number))?;
        self.lines.push(number as i64);
        self.texts.push(text.to_owned());
        Ok(())
    }

    fn batches(self) -> Result<Vec<RecordBatch>, Fault> {
        if self.lines.is_empty() {
            return Ok(Vec::new());
        }
        let lines: ArrayRef = Arc::new(Int64Array::from(self.lines));
        let texts: ArrayRef = Arc::new(StringArray::from(self.texts));
        // They may be null in the table, though they never are here.
        let columns = [("line", lines, true), ("text", texts, true)];
        Ok(vec![RecordBatch::try_from_iter_with_nullable(columns)?])
    }
}

lakehouse_sdk::export_format!(Plugin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_rows_wherever_the_body_is_cut() {
        let mut plugin = Plugin::open(Options::default(), None).unwrap();
        let mut batches = Vec::new();
        for piece in ["one\ntw", "o\nthr", "ee"] {
            batches.extend(plugin.push(piece.as_bytes()).unwrap());
        }
        batches.extend(plugin.finish().unwrap());
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows, 3);
    }

    #[test]
    fn a_line_that_is_no_text_is_named() {
        let mut plugin = Plugin::open(Options::default(), None).unwrap();
        let fault = plugin.push(b"one\n\xff\n").unwrap_err();
        assert!(format!("{fault:?}").contains("line: Some(2)"), "{fault:?}");
    }
}
