//! Arrow's IPC stream and Parquet.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::StreamWriter;
use datafusion::error::Result;
use lakehouse_sdk::http::BodyWriter;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::Encoder;
use super::values::{plain_batch, plain_schema};

/// Bytes of a row group before it goes out: what is held in memory.
const ROW_GROUP_BYTES: usize = 16 << 20;

/// `application/vnd.apache.arrow.stream`
pub struct ArrowStream<'a> {
    writer: StreamWriter<&'a mut BodyWriter>,
    schema: SchemaRef,
}

impl<'a> ArrowStream<'a> {
    pub fn start(schema: &SchemaRef, body: &'a mut BodyWriter) -> Result<Self> {
        let schema = plain_schema(schema);
        Ok(Self {
            writer: StreamWriter::try_new(body, &schema)?,
            schema,
        })
    }
}

impl Encoder for ArrowStream<'_> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        Ok(self.writer.write(&plain_batch(batch, &self.schema)?)?)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        Ok(self.writer.finish()?)
    }
}

/// `application/vnd.apache.parquet`
pub struct ParquetFile<'a> {
    writer: ArrowWriter<&'a mut BodyWriter>,
    schema: SchemaRef,
}

impl<'a> ParquetFile<'a> {
    pub fn start(schema: &SchemaRef, body: &'a mut BodyWriter) -> Result<Self> {
        let schema = plain_schema(schema);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
            .build();
        Ok(Self {
            writer: ArrowWriter::try_new(body, Arc::clone(&schema), Some(properties))?,
            schema,
        })
    }
}

impl Encoder for ParquetFile<'_> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        Ok(self.writer.write(&plain_batch(batch, &self.schema)?)?)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.writer.close()?;
        Ok(())
    }
}
