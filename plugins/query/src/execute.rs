//! Runs a statement as far as its first rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::ParamValues;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{DdlStatement, LogicalPlan, WriteOp};
use datafusion::physical_plan::execute_stream;
use datafusion::sql::parser::Statement;
use futures::StreamExt;
use lakehouse_sdk::catalog::WriteMode;
use lakehouse_sdk::http::Problem;
use lakehouse_sdk::runtime::block_on;

use crate::engine;
use crate::error::{invalid, message, sql_problem};
use crate::request::Query;
use crate::statement::{self, Parsed};
use crate::table::LakehouseTable;
use crate::write;

/// A result: what is there of it, and the rest.
pub struct Rows {
    /// The columns.
    pub schema: SchemaRef,
    /// The first batch that has rows; none if there is no row.
    pub first: Option<RecordBatch>,
    /// What follows.
    pub rest: Option<SendableRecordBatchStream>,
    /// The snapshots that are read, `namespace.name=id`, by name.
    pub snapshots: BTreeSet<String>,
}

impl Rows {
    /// A result that is whole.
    #[must_use]
    pub fn whole(batch: RecordBatch) -> Self {
        Self {
            schema: batch.schema(),
            first: (batch.num_rows() > 0).then_some(batch),
            rest: None,
            snapshots: BTreeSet::new(),
        }
    }
}

/// Runs a statement. Queries have produced their first rows when this returns,
/// writes are committed.
///
/// # Errors
/// Everything that is wrong with the statement, or goes wrong until then.
pub fn run(query: Query) -> Result<Rows, Problem> {
    // Not the client's fault: the plugin's configuration.
    let context = engine::session().map_err(|error| Problem::internal(message(&error)))?;
    let mut state = context.state();
    let Parsed {
        statement,
        placeholders,
    } = statement::parse(&query.sql, &state)?;
    let params = query.params;
    if placeholders != params.0.len() {
        return Err(invalid(format!(
            "the statement uses {placeholders} parameters, and {} were given",
            params.0.len()
        )));
    }
    // Table functions are called while the statement is planned, and need them then.
    state.config_mut().set_extension(Arc::new(params.clone()));
    block_on(async {
        let names = statement::names(&statement);
        let mut plan = state
            .statement_to_plan(Statement::Statement(Box::new(statement)))
            .await
            .map_err(|error| names.locate(sql_problem(error)))?;
        if placeholders > 0 {
            plan = plan
                .with_param_values(ParamValues::from(params.0))
                .map_err(sql_problem)?;
        }
        dispatch(plan, &state).await
    })
}

async fn dispatch(plan: LogicalPlan, state: &SessionState) -> Result<Rows, Problem> {
    match plan {
        LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(create)) => {
            write::create_table(create, state).await
        }
        LogicalPlan::Ddl(DdlStatement::DropTable(drop)) => write::drop_table(&drop),
        LogicalPlan::Ddl(DdlStatement::CreateCatalogSchema(create)) => {
            write::create_schema(&create)
        }
        LogicalPlan::Ddl(DdlStatement::DropCatalogSchema(drop)) => write::drop_schema(&drop),
        LogicalPlan::Dml(dml) => {
            let mode = match dml.op {
                WriteOp::Insert(InsertOp::Append) => WriteMode::Append,
                WriteOp::Insert(InsertOp::Overwrite) => WriteMode::Overwrite,
                other => return Err(invalid(format!("{other} is not supported"))),
            };
            let table = write::table_name(&dml.table_name)?;
            let schema = dml.target.schema();
            write::insert(table, mode, &schema, &dml.input, state).await
        }
        LogicalPlan::Ddl(_) | LogicalPlan::Statement(_) | LogicalPlan::Copy(_) => {
            Err(invalid("the statement is not supported"))
        }
        query => {
            let snapshots = snapshots(&query).map_err(sql_problem)?;
            let mut rows = stream(&query, state).await.map_err(sql_problem)?;
            let schema = rows.schema();
            let mut first = None;
            while let Some(batch) = rows.next().await {
                let batch = batch.map_err(sql_problem)?;
                if batch.num_rows() > 0 {
                    first = Some(batch);
                    break;
                }
            }
            Ok(Rows {
                schema,
                rest: first.is_some().then_some(rows),
                first,
                snapshots,
            })
        }
    }
}

/// The snapshots of all tables that a query reads.
fn snapshots(query: &LogicalPlan) -> Result<BTreeSet<String>, DataFusionError> {
    let mut snapshots = BTreeSet::new();
    query.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(table) = provider.downcast_ref::<LakehouseTable>()
        {
            snapshots.extend(table.read_as());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(snapshots)
}

/// The rows of a query. Nothing has been computed yet.
///
/// # Errors
/// What the optimizer or the physical planner refuses.
pub async fn stream(
    plan: &LogicalPlan,
    state: &SessionState,
) -> Result<SendableRecordBatchStream, DataFusionError> {
    let plan = state.create_physical_plan(plan).await?;
    execute_stream(plan, state.task_ctx())
}
