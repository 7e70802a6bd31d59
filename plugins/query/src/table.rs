//! One version of a table as something the engine can scan.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use lakehouse_sdk::catalog::{self, DataFile, TableInfo, TableName, Version};
use lakehouse_table::{ColumnsById, field_id, schema_from_ipc};

use crate::engine::store_url;
use crate::error::{HostError, table_error};
use crate::files::Files;
use crate::nested;
use crate::objects::data_file_meta;
use crate::predicate::{self, Columns};
use crate::scan::Named;
use crate::statistics;

/// A table, pinned to the snapshot that it had when its name was resolved.
#[derive(Debug)]
pub struct LakehouseTable {
    name: TableName,
    snapshot: Option<i64>,
    rows: u64,
    /// As the engine sees it: texts and bytes as views, no field metadata.
    schema: SchemaRef,
    /// Iceberg ids of the columns, in the schema's order.
    field_ids: Vec<Option<i32>>,
    /// How its columns are found in files.
    columns: Arc<ColumnsById>,
}

impl LakehouseTable {
    /// # Errors
    /// A schema or a name mapping that cannot be read.
    pub fn try_new(info: TableInfo) -> Result<Self> {
        let stored = schema_from_ipc(&info.schema)?;
        let columns = ColumnsById::try_new(&stored, &info.properties).map_err(table_error)?;
        let field_ids = stored
            .fields()
            .iter()
            .map(|field| field_id(field))
            .collect();
        let fields: Vec<Field> = stored
            .fields()
            .iter()
            .map(|field| {
                Field::new(
                    field.name(),
                    engine_type(field.data_type()),
                    field.is_nullable(),
                )
            })
            .collect();
        Ok(Self {
            name: info.name,
            snapshot: info.snapshot_id,
            rows: info.rows,
            schema: Arc::new(Schema::new(fields)),
            field_ids,
            columns: Arc::new(columns),
        })
    }

    /// The snapshot that it reads, `namespace.name=id`; none while nothing was ever
    /// committed.
    #[must_use]
    pub fn read_as(&self) -> Option<String> {
        let TableName { namespace, name } = &self.name;
        self.snapshot.map(|id| format!("{namespace}.{name}={id}"))
    }

    /// Data files as the engine reads them, with what their manifests tell.
    fn partitioned(&self, files: Vec<DataFile>) -> Result<FileGroup> {
        files
            .into_iter()
            .map(|file| {
                let meta = data_file_meta(&file.key, file.bytes)?;
                let stats = statistics::of_file(&file, &self.schema, &self.field_ids);
                Ok(PartitionedFile::new_from_meta(meta).with_statistics(Arc::new(stats)))
            })
            .collect::<Result<Vec<_>>>()
            .map(FileGroup::new)
    }
}

#[async_trait]
impl TableProvider for LakehouseTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        let rows = usize::try_from(self.rows).ok()?;
        Some(Statistics::new_unknown(&self.schema).with_num_rows(Precision::Exact(rows)))
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        // Files and row groups are skipped by statistics; what is left is
        // filtered by the engine.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files = match self.snapshot {
            Some(snapshot) => {
                let columns = Columns {
                    schema: &self.schema,
                    ids: &self.field_ids,
                };
                let predicates = predicate::from_filters(filters, columns);
                let plan = catalog::plan_scan(&self.name, Version::Snapshot(snapshot), &predicates)
                    .map_err(HostError)?;
                first_files(plan.files, limit)
            }
            None => Vec::new(),
        };
        if files.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.schema.project(columns)?),
                None => self.schema(),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }

        let group = self.partitioned(files)?;
        let statistics = statistics::of_scan(&group, &self.schema)?;
        let options = state.table_options().parquet.clone();
        let runtime = state.runtime_env();
        let reader = CachedParquetFileReaderFactory::new(
            runtime.object_store(store_url())?,
            runtime.cache_manager.get_file_metadata_cache(),
        );
        let reader = Files::new(reader, Arc::clone(&self.columns));
        let hint = options.global.metadata_size_hint;
        let mut source = ParquetSource::new(TableSchema::from(self.schema()))
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(reader));
        if let Some(hint) = hint {
            source = source.with_metadata_size_hint(hint);
        }
        let config = FileScanConfigBuilder::new(store_url(), Named::around(source))
            .with_file_group(group)
            .with_statistics(statistics)
            .with_limit(limit)
            .with_projection_indices(projection.cloned())?
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// As many files as hold `limit` rows.
fn first_files(mut files: Vec<DataFile>, limit: Option<usize>) -> Vec<DataFile> {
    if let Some(limit) = limit {
        let mut rows = 0_u64;
        let enough = files.iter().position(|file| {
            rows = rows.saturating_add(file.rows);
            rows >= limit as u64
        });
        if let Some(last) = enough {
            files.truncate(last + 1);
        }
    }
    files
}

/// The type under which the engine reads a column: views are decoded without
/// copying every value.
fn engine_type(stored: &DataType) -> DataType {
    match stored {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        other => plain(other),
    }
}

/// A type whose nested fields have no metadata: a value that a statement makes has none,
/// and would be of another type than the column that it is for.
fn plain(stored: &DataType) -> DataType {
    nested::with_fields(stored, |field| {
        let data_type = plain(field.data_type());
        Arc::new(Field::new(field.name(), data_type, field.is_nullable()))
    })
}
