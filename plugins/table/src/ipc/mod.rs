//! Arrow IPC: schemas and batches as they travel between plugins, and bodies.
//!
//! Arrow's own reader trusts the lengths that a stream declares, and panics where they
//! lie. [`Reader`] checks them first: it is for streams from elsewhere.

mod batch;
mod fault;
mod reader;
mod schema;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

pub use fault::IpcFault;
pub use reader::Reader;

/// The bytes of an Arrow IPC stream that holds `schema` and no batch.
pub fn schema_to_ipc(schema: &Schema) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
    writer.finish()?;
    writer.into_inner()
}

/// The bytes of an Arrow IPC stream that holds this batch.
pub fn encode(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(batch)?;
    writer.into_inner()
}

/// The schema in such bytes.
pub fn schema_from_ipc(bytes: &[u8]) -> Result<SchemaRef, ArrowError> {
    Ok(Arc::clone(&StreamReader::try_new(bytes, None)?.schema()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field};

    #[test]
    fn a_schema_survives_the_way_there_and_back() {
        let id = Field::new("id", DataType::Int64, true)
            .with_metadata([("PARQUET:field_id".to_owned(), "7".to_owned())].into());
        let schema = Schema::new(vec![id, Field::new("name", DataType::Utf8, true)]);
        let bytes = schema_to_ipc(&schema).unwrap();
        assert_eq!(*schema_from_ipc(&bytes).unwrap(), schema);
    }

    #[test]
    fn bytes_that_are_no_stream_are_refused() {
        assert!(schema_from_ipc(b"no schema").is_err());
        assert!(schema_from_ipc(b"").is_err());
    }
}
