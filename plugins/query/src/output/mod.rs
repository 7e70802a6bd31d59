//! Rows as the body of an answer.

mod binary;
mod csv;
mod json;
mod values;

use std::io;
use std::time::Instant;

use arrow::array::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use futures::StreamExt;
use lakehouse_sdk::http::{BodyWriter, Response};
use lakehouse_sdk::runtime::block_on;

use crate::accept::Format;
use crate::error::message;
use crate::execute::Rows;

/// The header that tells of which snapshots the rows are: `namespace.name=id, …`.
const SNAPSHOTS: &str = "lakehouse-snapshots";

/// Writes batches in one format.
trait Encoder {
    /// Adds a batch.
    fn batch(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Writes what stands after the last row.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// The answer that streams `rows`. If computing them fails on the way, the
/// body is cut off, so that it cannot pass for whole.
#[must_use]
pub fn respond(rows: Rows, format: Format, started: Instant) -> Response {
    let mut response = Response::new(200).header("content-type", format.content_type());
    if !rows.snapshots.is_empty() {
        let snapshots: Vec<&str> = rows.snapshots.iter().map(String::as_str).collect();
        response = response.header(SNAPSHOTS, snapshots.join(", "));
    }
    response.writer(move |body| {
        write(rows, format, started, body).map_err(|error| match error {
            DataFusionError::IoError(error) => error,
            other => io::Error::other(message(&other)),
        })
    })
}

fn write(rows: Rows, format: Format, started: Instant, body: &mut BodyWriter) -> Result<()> {
    let mut encoder: Box<dyn Encoder + '_> = match format {
        Format::Json => Box::new(json::Document::start(&rows.schema, body, started)?),
        Format::Ndjson => Box::new(json::Lines::start(&rows.schema, body)),
        Format::Csv => Box::new(csv::Table::start(&rows.schema, body)?),
        Format::Arrow => Box::new(binary::ArrowStream::start(&rows.schema, body)?),
        Format::Parquet => Box::new(binary::ParquetFile::start(&rows.schema, body)?),
    };
    if let Some(batch) = rows.first {
        encoder.batch(&batch)?;
    }
    if let Some(mut rest) = rows.rest {
        while let Some(batch) = block_on(rest.next()) {
            encoder.batch(&batch?)?;
        }
    }
    encoder.finish()
}
