//! Runs a statement as far as its first rows.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::ParamValues;
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
use crate::write;

/// A result: what is there of it, and the rest.
pub struct Rows {
    /// The columns.
    pub schema: SchemaRef,
    /// The first batch that has rows; none if there is no row.
    pub first: Option<RecordBatch>,
    /// What follows.
    pub rest: Option<SendableRecordBatchStream>,
}

impl Rows {
    /// A result that is whole.
    #[must_use]
    pub fn whole(batch: RecordBatch) -> Self {
        Self {
            schema: batch.schema(),
            first: (batch.num_rows() > 0).then_some(batch),
            rest: None,
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
    let state = context.state();
    let Parsed {
        statement,
        placeholders,
    } = statement::parse(&query.sql, &state)?;
    if placeholders != query.params.len() {
        return Err(invalid(format!(
            "the statement uses {placeholders} parameters, and {} were given",
            query.params.len()
        )));
    }
    block_on(async {
        let names = statement::names(&statement);
        let mut plan = state
            .statement_to_plan(Statement::Statement(Box::new(statement)))
            .await
            .map_err(|error| names.locate(sql_problem(error)))?;
        if placeholders > 0 {
            plan = plan
                .with_param_values(ParamValues::from(query.params))
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
            })
        }
    }
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
