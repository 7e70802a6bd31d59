//! Scans whose errors say which data file is damaged.
//!
//! What a reader finds wrong in a stored file is no fault of the statement, and an
//! error of Parquet or Arrow does not name the file. Here it is told from what the
//! statement's own expressions, which are computed in scans too, do wrong.

use std::cell::RefCell;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpener, FileScanConfig, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{
    EquivalenceProperties, LexOrdering, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_plan::filter_pushdown::FilterPushdownPropagation;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, SortOrderPushdownResult};
use datafusion_datasource::morsel::{Morsel, MorselPlan, MorselPlanner, Morselizer};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use lakehouse_sdk::http::{OnPanic, Problem};
use lakehouse_sdk::types;
use object_store::ObjectStore;
use parquet::errors::ParquetError;

use crate::error::HostError;

/// A source of data files that names those it cannot read.
pub struct Named(Arc<dyn FileSource>);

impl Named {
    /// Files as `source` reads them.
    pub fn around(source: impl FileSource + 'static) -> Arc<dyn FileSource> {
        Self::wrap(Arc::new(source))
    }

    fn wrap(source: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        Arc::new(Self(source))
    }
}

impl FileSource for Named {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        self.0.create_file_opener(store, config, partition)
    }

    fn create_morselizer(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Box<dyn Morselizer>> {
        let inner = self.0.create_morselizer(store, config, partition)?;
        Ok(Box::new(NamedMorselizer(inner)))
    }

    fn table_schema(&self) -> &TableSchema {
        self.0.table_schema()
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Self::wrap(self.0.with_batch_size(batch_size))
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.0.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.0.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.0.metrics()
    }

    fn file_type(&self) -> &str {
        self.0.file_type()
    }

    fn fmt_extra(&self, how: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_extra(how, f)
    }

    fn supports_repartitioning(&self) -> bool {
        self.0.supports_repartitioning()
    }

    fn repartitioned(
        &self,
        partitions: usize,
        min_size: usize,
        ordering: Option<LexOrdering>,
        config: &FileScanConfig,
    ) -> Result<Option<FileScanConfig>> {
        self.0.repartitioned(partitions, min_size, ordering, config)
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let FilterPushdownPropagation {
            filters,
            updated_node,
        } = self.0.try_pushdown_filters(filters, config)?;
        Ok(FilterPushdownPropagation {
            filters,
            updated_node: updated_node.map(Self::wrap),
        })
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
        properties: &EquivalenceProperties,
    ) -> Result<SortOrderPushdownResult<Arc<dyn FileSource>>> {
        let pushed = self.0.try_pushdown_sort(order, properties)?;
        Ok(pushed.map(Self::wrap))
    }

    fn reorder_files(&self, files: Vec<PartitionedFile>) -> Vec<PartitionedFile> {
        self.0.reorder_files(files)
    }

    fn try_pushdown_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn FileSource>>> {
        let pushed = self.0.try_pushdown_projection(projection)?;
        Ok(pushed.map(Self::wrap))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.0.apply_expressions(f)
    }
}

/// Reads files one after the other.
#[derive(Debug)]
struct NamedMorselizer(Box<dyn Morselizer>);

impl Morselizer for NamedMorselizer {
    fn plan_file(&self, file: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        let name = FileName(file.object_meta.location.to_string().into());
        let planned = name.reading(|| self.0.plan_file(file));
        let inner = planned.map_err(|error| name.blame(error))?;
        Ok(Box::new(NamedPart { name, inner }))
    }
}

/// The name of a data file: its key in the store.
#[derive(Debug, Clone)]
struct FileName(Arc<str>);

thread_local! {
    /// The file that is being read now.
    static READING: RefCell<Option<FileName>> = const { RefCell::new(None) };
}

impl FileName {
    /// Reads of the file. Readers trust some of what it says, and panic where it lies:
    /// that is told with its name too.
    fn reading<R>(&self, read: impl FnOnce() -> R) -> R {
        let _told = OnPanic::answer(|text| {
            let file = READING.with_borrow(Clone::clone);
            let file = file.as_ref().map_or("", |file| &*file.0);
            Problem::internal(format!("data file {file} cannot be read: {text}"))
        });
        let before = READING.replace(Some(self.clone()));
        let result = read();
        READING.set(before);
        result
    }

    /// The error, with the file's name if it is about what is in the file.
    fn blame(&self, error: DataFusionError) -> DataFusionError {
        if !is_of_file(&error) {
            return error;
        }
        let text = format!(
            "data file {} cannot be read: {}",
            self.0,
            error.strip_backtrace()
        );
        HostError(types::Error::Internal(text)).into()
    }

    /// The same for all that is left to do.
    fn blame_all(self, mut plan: MorselPlan) -> MorselPlan {
        let morsels = plan.take_morsels().into_iter().map(|inner| {
            let name = self.clone();
            Box::new(NamedPart { name, inner }) as Box<dyn Morsel>
        });
        let planners = plan.take_ready_planners().into_iter().map(|inner| {
            let name = self.clone();
            Box::new(NamedPart { name, inner }) as Box<dyn MorselPlanner>
        });
        let named = MorselPlan::new()
            .with_morsels(morsels.collect())
            .with_planners(planners.collect());
        match plan.take_pending_planner() {
            None => named,
            Some(pending) => named.with_pending_planner(async move {
                match pending.await {
                    Ok(inner) => {
                        Ok(Box::new(NamedPart { name: self, inner }) as Box<dyn MorselPlanner>)
                    }
                    Err(error) => Err(self.blame(error)),
                }
            }),
        }
    }
}

/// A part of the work of reading a file.
#[derive(Debug)]
struct NamedPart<T: ?Sized> {
    name: FileName,
    inner: Box<T>,
}

impl MorselPlanner for NamedPart<dyn MorselPlanner> {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        let Self { name, inner } = *self;
        let planned = name.reading(|| inner.plan());
        let plan = planned.map_err(|error| name.blame(error))?;
        Ok(plan.map(|plan| name.blame_all(plan)))
    }
}

impl Morsel for NamedPart<dyn Morsel> {
    fn into_stream(self: Box<Self>) -> BoxStream<'static, Result<RecordBatch>> {
        let Self { name, inner } = *self;
        let mut batches = inner.into_stream();
        stream::poll_fn(move |cx| {
            let polled = name.reading(|| batches.poll_next_unpin(cx));
            polled.map_err(|error| name.blame(error))
        })
        .boxed()
    }
}

/// Whether an error says that a file is not what it must be.
fn is_of_file(error: &(dyn StdError + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<DataFusionError>() {
        return match error {
            DataFusionError::ParquetError(error) => is_of_file(error.as_ref()),
            DataFusionError::ArrowError(error, _) => is_of_file(error.as_ref()),
            DataFusionError::Context(_, error) | DataFusionError::Diagnostic(_, error) => {
                is_of_file(error.as_ref())
            }
            DataFusionError::Shared(error) => is_of_file(error.as_ref()),
            DataFusionError::External(error) => is_of_file(error.as_ref()),
            _ => false,
        };
    }
    if let Some(error) = error.downcast_ref::<ArrowError>() {
        return match error {
            ArrowError::ParquetError(_) => true,
            ArrowError::ExternalError(error) => is_of_file(error.as_ref()),
            _ => false,
        };
    }
    match error.downcast_ref::<ParquetError>() {
        Some(ParquetError::External(error)) => {
            let error = error.as_ref();
            let carried = error.is::<DataFusionError>() || error.is::<ArrowError>();
            let of_host = error.is::<HostError>() || error.is::<object_store::Error>();
            // Any other is a decompressor's.
            if carried { is_of_file(error) } else { !of_host }
        }
        Some(_) => true,
        None => false,
    }
}
