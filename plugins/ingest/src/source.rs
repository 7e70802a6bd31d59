//! What every format gives: batches.

use std::io::Read;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use crate::body::Body;
use crate::csv::CsvSource;
use crate::fault::Fault;
use crate::format::FormatSource;
use crate::params::{Format, Params};
use crate::{arrow_ipc, json, parquet_file};

/// A body as batches of one schema.
pub(crate) trait Source {
    /// The schema of the batches.
    fn schema(&self) -> &SchemaRef;

    /// Whether the types in the schema stand on at least one row or on what the
    /// body itself declares. Without, no table can be made from it.
    fn typed(&self) -> bool;

    /// The next batch; none at the end of a whole and well-formed body.
    fn next(&mut self) -> Result<Option<RecordBatch>, Fault>;
}

/// Starts reading a body. `table` is the schema of the table, if it exists.
pub(crate) fn open(
    body: Body,
    params: &Params,
    table: Option<&Schema>,
) -> Result<Box<dyn Source>, Fault> {
    let Body { reader, format } = body;
    Ok(match format {
        Format::Csv => Box::new(CsvSource::open(reader, params.csv.clone(), table)?),
        Format::Ndjson => Box::new(json::JsonSource::open(reader, json::Layout::Lines, table)?),
        Format::Json => Box::new(json::JsonSource::open(
            reader,
            json::Layout::Document,
            table,
        )?),
        Format::Parquet => Box::new(parquet_file::ParquetSource::open(reader)?),
        Format::Arrow => Box::new(arrow_ipc::ArrowSource::open(reader)?),
        Format::Plugin(name) => Box::new(FormatSource::open(reader, name, &params.options, table)?),
    })
}

/// A body's bytes.
pub(crate) type Reader = Box<dyn Read + Send>;
