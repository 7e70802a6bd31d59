//! JSON: objects found here, parsed by `arrow-json`.
//!
//! Objects are cut out of the body first, so that every one has a line number
//! and that what is held is bounded in bytes and not only in rows.

mod infer;
mod records;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::json::ReaderBuilder;
use arrow::json::reader::Decoder;
use serde::de::IgnoredAny;

use crate::fault::{Fault, Place};
use crate::source::{Reader, Source};
pub(crate) use records::Layout;
use records::{Limit, Records, Splitter};

/// Bytes read from the body at a time.
const CHUNK: usize = 256 * 1024;

/// What types are inferred from.
const SAMPLE: Limit = Limit {
    rows: 100_000,
    bytes: 4 << 20,
};

/// What is parsed at once.
const BATCH: Limit = Limit {
    rows: 8 * 1024,
    bytes: 8 << 20,
};

/// A JSON body as batches.
pub(crate) struct JsonSource {
    reader: Reader,
    chunk: Vec<u8>,
    start: usize,
    end: usize,
    done: bool,
    splitter: Splitter,
    schema: SchemaRef,
    /// The objects that types were inferred from.
    sample: Option<Records>,
    typed: bool,
}

impl JsonSource {
    pub(crate) fn open(
        reader: Reader,
        layout: Layout,
        table: Option<&Schema>,
    ) -> Result<Self, Fault> {
        let mut source = Self {
            reader,
            chunk: vec![0; CHUNK],
            start: 0,
            end: 0,
            done: false,
            splitter: Splitter::new(layout),
            schema: Arc::new(Schema::empty()),
            sample: None,
            typed: false,
        };
        let mut sample = Records::default();
        source.fill(&mut sample, SAMPLE)?;
        source.typed = sample.rows() > 0;
        source.schema = match table {
            // No object says nothing of columns: the table's own fit.
            Some(table) if !source.typed => Arc::new(table.clone()),
            _ => schema(&sample, table)?,
        };
        source.sample = Some(sample);
        Ok(source)
    }

    fn fill(&mut self, records: &mut Records, limit: Limit) -> Result<(), Fault> {
        while self.splitter.is_open() || !limit.reached(records) {
            if self.start == self.end {
                if self.done {
                    return self.splitter.finish(records);
                }
                self.start = 0;
                self.end = self.reader.read(&mut self.chunk)?;
                self.done = self.end == 0;
                continue;
            }
            self.start += self
                .splitter
                .feed(&self.chunk[self.start..self.end], records, limit)?;
        }
        Ok(())
    }
}

impl Source for JsonSource {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn typed(&self) -> bool {
        self.typed
    }

    fn next(&mut self) -> Result<Option<RecordBatch>, Fault> {
        let records = match self.sample.take() {
            Some(sample) if sample.rows() > 0 => sample,
            _ => {
                let mut records = Records::default();
                self.fill(&mut records, BATCH)?;
                records
            }
        };
        if records.rows() == 0 {
            return Ok(None);
        }
        parse(&records, &self.schema).map(Some)
    }
}

/// Types: the table's where it knows the column, else what the sample looks like.
fn schema(sample: &Records, table: Option<&Schema>) -> Result<SchemaRef, Fault> {
    let inferred = lakehouse_table::normalise_schema(&infer::schema(sample)?)?;
    let fields: Vec<Field> = inferred
        .fields()
        .iter()
        .map(|field| {
            let known = table.and_then(|table| table.field_with_name(field.name()).ok());
            let data_type = known.unwrap_or(field).data_type().clone();
            Field::new(field.name(), data_type, true)
        })
        .collect();
    Ok(Arc::new(Schema::new(fields)))
}

fn decoder(schema: &SchemaRef, rows: usize) -> Result<Decoder, Fault> {
    let builder = ReaderBuilder::new(Arc::clone(schema))
        .with_batch_size(rows)
        .with_coerce_primitive(true)
        .with_strict_mode(true);
    Ok(builder.build_decoder()?)
}

fn parse(records: &Records, schema: &SchemaRef) -> Result<RecordBatch, Fault> {
    match decode(records.bytes(), records.rows(), schema) {
        Ok(Some(batch)) if batch.num_rows() == records.rows() => Ok(batch),
        Ok(_) => Err(diagnose(
            records,
            schema,
            "the objects are not apart from each other",
        )),
        Err(error) => Err(diagnose(records, schema, &error.to_string())),
    }
}

fn decode(
    bytes: &[u8],
    rows: usize,
    schema: &SchemaRef,
) -> Result<Option<RecordBatch>, arrow::error::ArrowError> {
    // One row of room more than there should be, so that a surplus shows.
    let mut decoder = decoder(schema, rows + 1)
        .map_err(|_| arrow::error::ArrowError::JsonError("the schema cannot be read".to_owned()))?;
    let read = decoder.decode(bytes)?;
    if read < bytes.len() {
        return Ok(None);
    }
    decoder.flush()
}

/// Finds the object that made a batch fail.
fn diagnose(records: &Records, schema: &SchemaRef, otherwise: &str) -> Fault {
    for row in 0..records.rows() {
        let (bytes, line) = (records.row(row), records.line(row));
        if let Err(error) = serde_json::from_slice::<IgnoredAny>(bytes) {
            return syntax(line, records.column(row), &error);
        }
        if let Err(error) = decode(bytes, 1, schema) {
            let text = error.to_string();
            let text = text.strip_prefix("Json error: ").unwrap_or(&text);
            return Fault::at(Place::line(line), format!("line {line}: {text}"));
        }
    }
    Fault::data(otherwise)
}

/// A syntax error in the object that begins at `line` and `column`.
fn syntax(line: u64, column: u64, error: &serde_json::Error) -> Fault {
    let at_line = line + (error.line() as u64).saturating_sub(1);
    let at_column = error.column() as u64 + if error.line() <= 1 { column - 1 } else { 0 };
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    Fault::at(
        Place::line(at_line).column(at_column),
        format!("line {at_line}, column {at_column}: {text}"),
    )
}

#[cfg(test)]
mod tests;
