//! Batches in, Parquet data files of an Iceberg table out.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use lakehouse_sdk::catalog::DataFile;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use uuid::Uuid;

use crate::sink::{ChunkedWriter, Files, StoreFiles};
use crate::stats::{column_stats, split_offsets};
use crate::{Error, align};

/// Rows handed to the Parquet writer at once: larger batches are sliced, so
/// that aligning them never copies more than this.
const SLICE_ROWS: usize = 64 * 1024;

/// How data files are laid out.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// Most rows of a row group.
    pub row_group_rows: usize,
    /// Bytes of an encoded row group, which is also what is held in memory, about.
    pub row_group_bytes: usize,
    /// Bytes after which a file is closed and the next begun, about.
    pub file_bytes: usize,
    /// Level of zstd, 1 to 22.
    pub zstd_level: i32,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            row_group_rows: 512 * 1024,
            row_group_bytes: 64 << 20,
            file_bytes: 512 << 20,
            zstd_level: 1,
        }
    }
}

/// Writes batches as data files of one table.
///
/// Dropping it without [`finish`](Self::finish) abandons the write: the file
/// under way is never seen, and the finished ones are deleted.
pub struct TableWriter<F: Files = StoreFiles> {
    schema: SchemaRef,
    folder: String,
    properties: WriterProperties,
    file_bytes: usize,
    files: F,
    open: Option<Open>,
    done: Vec<DataFile>,
    rows: u64,
}

struct Open {
    key: String,
    writer: ArrowWriter<ChunkedWriter>,
    rows: u64,
}

impl TableWriter<StoreFiles> {
    /// A writer into the host's store. `schema` and `folder` are those of
    /// `catalog.prepare-write`; nothing is created before the first row.
    ///
    /// # Errors
    /// A zstd level out of range.
    pub fn new(schema: SchemaRef, folder: &str, options: &WriteOptions) -> Result<Self, Error> {
        Self::with_files(schema, folder, options, StoreFiles)
    }
}

impl<F: Files> TableWriter<F> {
    /// The same, into other files than the store's.
    pub fn with_files(
        schema: SchemaRef,
        folder: &str,
        options: &WriteOptions,
        files: F,
    ) -> Result<Self, Error> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(options.zstd_level)?))
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_max_row_group_row_count(Some(options.row_group_rows.max(1)))
            .set_max_row_group_bytes(Some(options.row_group_bytes.max(1)))
            .set_write_batch_size(8 * 1024)
            .set_created_by(concat!("lakehouse version ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        Ok(Self {
            schema,
            folder: folder.trim_end_matches('/').to_owned(),
            properties,
            file_bytes: options.file_bytes,
            files,
            open: None,
            done: Vec::new(),
            rows: 0,
        })
    }

    /// The schema that is written.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds a batch, aligned to the schema by column name (see [`align`]).
    ///
    /// # Errors
    /// As of [`align`], with rows counted over all batches; and what the store
    /// says. After an error the writer is of no more use.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let mut start = 0;
        while start < batch.num_rows() {
            let slice = batch.slice(start, SLICE_ROWS.min(batch.num_rows() - start));
            start += slice.num_rows();
            self.write_slice(&align(&slice, &self.schema, self.rows)?)?;
        }
        Ok(())
    }

    fn write_slice(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.start()?,
        };
        open.writer
            .write(batch)
            .map_err(|error| cause(&mut open.writer, error))?;
        open.rows += batch.num_rows() as u64;
        self.rows += batch.num_rows() as u64;
        if open.writer.bytes_written() + open.writer.in_progress_size() >= self.file_bytes {
            return self.close(open);
        }
        self.open = Some(open);
        Ok(())
    }

    fn start(&mut self) -> Result<Open, Error> {
        let key = format!("{}/{}.parquet", self.folder, Uuid::new_v4());
        let sink = ChunkedWriter::new(self.files.create(&key)?);
        // Other engines go by the Iceberg schema and the Parquet types; Arrow's
        // copy of the schema would only say the same again.
        let options = ArrowWriterOptions::new()
            .with_properties(self.properties.clone())
            .with_skip_arrow_metadata(true)
            .with_schema_root("table".to_owned());
        let schema = SchemaRef::clone(&self.schema);
        let writer = ArrowWriter::try_new_with_options(sink, schema, options)?;
        Ok(Open {
            key,
            writer,
            rows: 0,
        })
    }

    fn close(&mut self, mut open: Open) -> Result<(), Error> {
        let metadata = open
            .writer
            .finish()
            .map_err(|error| cause(&mut open.writer, error))?;
        let bytes = open.writer.inner_mut().finish()?;
        self.done.push(DataFile {
            key: open.key,
            rows: open.rows,
            bytes,
            split_offsets: split_offsets(&metadata),
            columns: column_stats(&metadata),
        });
        Ok(())
    }

    /// Closes the last file and returns all of them, for `catalog.commit`.
    /// From now on they are the caller's: if the commit fails, delete them.
    ///
    /// # Errors
    /// What the store says.
    pub fn finish(mut self) -> Result<Vec<DataFile>, Error> {
        if let Some(open) = self.open.take() {
            self.close(open)?;
        }
        Ok(std::mem::take(&mut self.done))
    }
}

impl<F: Files> Drop for TableWriter<F> {
    fn drop(&mut self) {
        self.open = None;
        for file in self.done.drain(..) {
            // A file that stays is not part of any table; nobody is left to tell.
            let _ = self.files.delete(&file.key);
        }
    }
}

/// The store's own error, where that is what made Parquet fail.
fn cause(writer: &mut ArrowWriter<ChunkedWriter>, error: ParquetError) -> Error {
    match writer.inner_mut().take_error() {
        Some(store) => Error::Store(store),
        None => Error::Parquet(error),
    }
}
