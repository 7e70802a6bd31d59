//! Schemas as they travel between plugins: an Arrow IPC stream without batches.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

/// The bytes of an Arrow IPC stream that holds `schema` and no batch.
pub fn schema_to_ipc(schema: &Schema) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
    writer.finish()?;
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
