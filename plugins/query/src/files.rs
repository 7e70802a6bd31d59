//! A table's data files as the engine reads them: under the table's own column names.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::error::Result;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use lakehouse_sdk::types;
use lakehouse_table::ColumnsById;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ParquetMetaData;

use crate::error::HostError;

/// Opens the data files of one version of a table.
#[derive(Debug)]
pub struct Files {
    files: CachedParquetFileReaderFactory,
    columns: Arc<ColumnsById>,
}

impl Files {
    /// Files as `files` opens them, under the names in `columns`.
    #[must_use]
    pub fn new(files: CachedParquetFileReaderFactory, columns: Arc<ColumnsById>) -> Self {
        Self { files, columns }
    }
}

impl ParquetFileReaderFactory for Files {
    fn create_reader(
        &self,
        partition_index: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let location = file.object_meta.location.clone();
        let file = self
            .files
            .create_reader(partition_index, file, metadata_size_hint, metrics)?;
        Ok(Box::new(File {
            file,
            location,
            columns: Arc::clone(&self.columns),
        }))
    }
}

/// One of them.
struct File {
    file: Box<dyn AsyncFileReader + Send>,
    location: Path,
    columns: Arc<ColumnsById>,
}

impl AsyncFileReader for File {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.file.get_bytes(range)
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.file.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            let metadata = self.file.get_metadata(options).await?;
            match self.columns.rename(&metadata) {
                Ok(None) => Ok(metadata),
                Ok(Some(renamed)) => Ok(Arc::new(renamed)),
                Err(error) => Err(unreadable(&self.location, &error)),
            }
        }
        .boxed()
    }
}

fn unreadable(file: &Path, error: &dyn fmt::Display) -> ParquetError {
    let text = format!("data file {file}: {error}");
    ParquetError::External(Box::new(HostError(types::Error::Unsupported(text))))
}
