//! Arrow batches and schemas as bytes that pass between plugins.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use crate::types;

/// A batch as an IPC stream.
///
/// # Errors
/// Those of Arrow.
pub fn encode(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(batch)?;
    writer.into_inner()
}

/// The batch of an IPC stream of one.
///
/// Trusts the lengths that the stream declares, as the host's peers do not lie.
///
/// # Errors
/// If there is none, and those of Arrow.
pub fn decode(bytes: &[u8]) -> Result<RecordBatch, ArrowError> {
    StreamReader::try_new(bytes, None)?
        .next()
        .unwrap_or_else(|| Err(ArrowError::IpcError("a stream without a batch".to_owned())))
}

/// A schema as an IPC stream without a batch.
///
/// # Errors
/// Those of Arrow.
pub fn encode_schema(schema: &Schema) -> Result<Vec<u8>, ArrowError> {
    StreamWriter::try_new(Vec::new(), schema)?.into_inner()
}

/// The schema of an IPC stream.
///
/// # Errors
/// Those of Arrow.
pub fn decode_schema(bytes: &[u8]) -> Result<SchemaRef, ArrowError> {
    Ok(Arc::clone(&StreamReader::try_new(bytes, None)?.schema()))
}

impl From<ArrowError> for types::Error {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::MemoryError(text) => Self::Exhausted(text),
            other => Self::Invalid(other.to_string()),
        }
    }
}
