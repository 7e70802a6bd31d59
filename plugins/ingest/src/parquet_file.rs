//! Parquet: the body goes to disk first, its end must be read before its start.

use std::io::{self, Read};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use lakehouse_sdk::http::{OnPanic, Problem};
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::reader::{ChunkReader, Length};

use crate::fault::Fault;
use crate::parquet_pages;
use crate::source::{Reader, Source};
use crate::spool::Spool;

/// Rows of a batch.
const ROWS: usize = 8 * 1024;

/// Bytes read ahead where the length is not known.
const READ_AHEAD: usize = 16 * 1024;

/// A Parquet body as batches.
pub(crate) struct ParquetSource {
    schema: SchemaRef,
    batches: ParquetRecordBatchReader,
}

impl ParquetSource {
    pub(crate) fn open(reader: Reader) -> Result<Self, Fault> {
        let file = SpooledFile(Arc::new(Spool::fill(reader)?));
        let _guard = OnPanic::answer(panicked);
        if file.len() == 0 {
            return Err(Fault::data("the body is empty"));
        }
        // The Arrow schema that some writers embed may say anything; the Parquet
        // types are what the file is read by.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options)
            .map_err(broken)?;
        check(builder.metadata(), &file)?;
        let schema = Arc::clone(builder.schema());
        let batches = builder.with_batch_size(ROWS).build().map_err(broken)?;
        Ok(Self { schema, batches })
    }
}

impl Source for ParquetSource {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn typed(&self) -> bool {
        true
    }

    fn next(&mut self) -> Result<Option<RecordBatch>, Fault> {
        let _guard = OnPanic::answer(panicked);
        self.batches
            .next()
            .transpose()
            .map_err(|error| broken(error.into()))
    }
}

/// What is not checked here or by the Parquet reader ends in one of its assertions:
/// pages hold bytes that only decoding them shows to be wrong.
fn panicked(text: &str) -> Problem {
    Problem::bad_request(format!("the Parquet file is broken: {text}"))
}

fn broken(error: ParquetError) -> Fault {
    let text = match &error {
        ParquetError::General(text) | ParquetError::EOF(text) => text.clone(),
        other => other.to_string(),
    };
    Fault::data(format!("the Parquet file is broken: {text}"))
}

/// Refuses lengths that the file cannot have, before anything is allocated by them.
fn check(metadata: &ParquetMetaData, file: &SpooledFile) -> Result<(), Fault> {
    for (number, group) in metadata.row_groups().iter().enumerate() {
        for chunk in group.columns() {
            let (start, end) = span(chunk)
                .filter(|(_, end)| *end <= file.len() && group.num_rows() >= 0)
                .ok_or_else(|| {
                    Fault::data(format!(
                        "the Parquet file is broken: column '{}' of row group {number} lies \
                         outside of the file",
                        chunk.column_path()
                    ))
                })?;
            parquet_pages::check(start, end, |offset| file.read_from(offset))?;
        }
    }
    Ok(())
}

/// First byte of a column's pages and the one after the last.
fn span(chunk: &ColumnChunkMetaData) -> Option<(u64, u64)> {
    let start = chunk
        .dictionary_page_offset()
        .unwrap_or_else(|| chunk.data_page_offset());
    let start = u64::try_from(start).ok()?;
    let end = start.checked_add(u64::try_from(chunk.compressed_size()).ok()?)?;
    (chunk.num_values() >= 0).then_some((start, end))
}

/// The file that the Parquet reader reads.
#[derive(Debug, Clone)]
struct SpooledFile(Arc<Spool>);

impl SpooledFile {
    fn read_from(&self, offset: u64) -> io::BufReader<SpooledRead> {
        let read = SpooledRead {
            file: Arc::clone(&self.0),
            offset,
        };
        io::BufReader::with_capacity(READ_AHEAD, read)
    }
}

impl Length for SpooledFile {
    fn len(&self) -> u64 {
        self.0.length()
    }
}

impl ChunkReader for SpooledFile {
    type T = io::BufReader<SpooledRead>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(self.read_from(start))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.0.length()) {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at {start} lie outside of its {} bytes",
                self.0.length()
            )));
        }
        let mut bytes = vec![0; length];
        SpooledRead {
            file: Arc::clone(&self.0),
            offset: start,
        }
        .read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Reads on from an offset.
#[derive(Debug)]
struct SpooledRead {
    file: Arc<Spool>,
    offset: u64,
}

impl Read for SpooledRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(self.offset, buffer)?;
        self.offset += length as u64;
        Ok(length)
    }
}
