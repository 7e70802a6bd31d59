//! `application/json`, one document, and `application/x-ndjson`, a line a row.

use std::io::Write;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::json::writer::{NullableEncoder, make_encoder};
use datafusion::error::{DataFusionError, Result};
use lakehouse_sdk::http::BodyWriter;
use serde_json::json;

use super::Encoder;
use super::values::{options, plain_type};

/// Bytes collected before they go out.
const CHUNK: usize = 64 * 1024;

/// `{"columns":[…],"rows":[[…],…],"row_count":…,"elapsed_ms":…}`
pub struct Document<'a> {
    body: &'a mut BodyWriter,
    buffer: Vec<u8>,
    rows: u64,
    started: Instant,
}

impl<'a> Document<'a> {
    pub fn start(schema: &SchemaRef, body: &'a mut BodyWriter, started: Instant) -> Result<Self> {
        let columns: Vec<_> = schema
            .fields()
            .iter()
            .map(|field| {
                json!({
                    "name": field.name(),
                    "type": plain_type(field.data_type()).to_string(),
                })
            })
            .collect();
        write!(
            body,
            "{{\"columns\":{},\"rows\":[",
            serde_json::Value::from(columns)
        )?;
        Ok(Self {
            body,
            buffer: Vec::with_capacity(CHUNK * 2),
            rows: 0,
            started,
        })
    }
}

impl Encoder for Document<'_> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut columns = encoders(batch)?;
        for row in 0..batch.num_rows() {
            self.buffer.extend_from_slice(match self.rows {
                0 => b"[",
                _ => b",\n[",
            });
            for (index, column) in columns.iter_mut().enumerate() {
                if index > 0 {
                    self.buffer.push(b',');
                }
                encode(column, row, &mut self.buffer);
            }
            self.buffer.push(b']');
            self.rows += 1;
            if self.buffer.len() >= CHUNK {
                self.body.write_all(&self.buffer)?;
                self.buffer.clear();
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let elapsed = self.started.elapsed().as_secs_f64() * 1000.0;
        writeln!(
            self.buffer,
            "],\"row_count\":{},\"elapsed_ms\":{elapsed:.3}}}",
            self.rows
        )?;
        Ok(self.body.write_all(&self.buffer)?)
    }
}

/// `{"column":value,…}`, a line a row.
pub struct Lines<'a> {
    body: &'a mut BodyWriter,
    buffer: Vec<u8>,
    /// `{"first":`, `,"second":`, …
    names: Vec<Vec<u8>>,
}

impl<'a> Lines<'a> {
    pub fn start(schema: &SchemaRef, body: &'a mut BodyWriter) -> Self {
        let names = schema
            .fields()
            .iter()
            .enumerate()
            .map(|(index, field)| {
                let opening = if index == 0 { '{' } else { ',' };
                format!("{opening}{}:", json!(field.name())).into_bytes()
            })
            .collect();
        Self {
            body,
            buffer: Vec::with_capacity(CHUNK * 2),
            names,
        }
    }
}

impl Encoder for Lines<'_> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut columns = encoders(batch)?;
        for row in 0..batch.num_rows() {
            for (name, column) in self.names.iter().zip(&mut columns) {
                self.buffer.extend_from_slice(name);
                encode(column, row, &mut self.buffer);
            }
            self.buffer.extend_from_slice(match columns.len() {
                0 => b"{}\n",
                _ => b"}\n",
            });
            if self.buffer.len() >= CHUNK {
                self.body.write_all(&self.buffer)?;
                self.buffer.clear();
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        Ok(self.body.write_all(&self.buffer)?)
    }
}

/// One encoder a column of a batch.
pub fn encoders(batch: &RecordBatch) -> Result<Vec<NullableEncoder<'_>>> {
    // The encoders borrow the field, which lives in the batch's schema.
    batch
        .schema_ref()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| make_encoder(field, column.as_ref(), options()))
        .collect::<std::result::Result<_, ArrowError>>()
        .map_err(DataFusionError::from)
}

/// One value.
pub fn encode(column: &mut NullableEncoder<'_>, row: usize, out: &mut Vec<u8>) {
    if column.is_null(row) {
        out.extend_from_slice(b"null");
    } else {
        column.encode(row, out);
    }
}
