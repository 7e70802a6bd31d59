//! Statements that change something. Each is one change of the catalog: done
//! when the answer is sent, and not done at all if it fails.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{SchemaReference, TableReference};
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::{
    CreateCatalogSchema, CreateMemoryTable, DropCatalogSchema, DropTable, LogicalPlan,
};
use futures::StreamExt;
use lakehouse_sdk::catalog::{self, CommitRequest, CommitResult, DataFile, TableName, WriteMode};
use lakehouse_sdk::http::Problem;
use lakehouse_sdk::{store, types};
use lakehouse_table::{
    Error, TableWriter, WriteOptions, normalise_schema, schema_from_ipc, schema_to_ipc,
};

use crate::engine::{CATALOG, DEFAULT_SCHEMA};
use crate::error::{invalid, sql_problem};
use crate::execute::{self, Rows};

/// The catalog's name for a table.
///
/// # Errors
/// 400 for a table of another catalog than the one there is.
pub fn table_name(reference: &TableReference) -> Result<TableName, Problem> {
    check_catalog(reference.catalog())?;
    Ok(TableName {
        namespace: reference.schema().unwrap_or(DEFAULT_SCHEMA).to_owned(),
        name: reference.table().to_owned(),
    })
}

/// `INSERT INTO`, `INSERT OVERWRITE`: the rows of `input` into a table that the
/// planner knows under `schema`. Values of other types are cast.
///
/// # Errors
/// What the query or the catalog refuses.
pub async fn insert(
    table: TableName,
    mode: WriteMode,
    schema: &Schema,
    input: &LogicalPlan,
    state: &SessionState,
) -> Result<Rows, Problem> {
    let rows = execute::stream(input, state).await.map_err(sql_problem)?;
    write(table, mode, schema, rows).await
}

async fn write(
    table: TableName,
    mode: WriteMode,
    schema: &Schema,
    mut rows: SendableRecordBatchStream,
) -> Result<Rows, Problem> {
    let schema = normalise_schema(schema).map_err(write_problem)?;
    let target = catalog::prepare_write(&table, mode, &to_ipc(&schema)?, false)?;
    let schema = schema_from_ipc(&target.schema).map_err(|error| sql_problem(error.into()))?;
    let mut writer = TableWriter::new(schema, &target.data_key, &WriteOptions::default())
        .map_err(write_problem)?;
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(sql_problem)?;
        writer.write(&batch).map_err(write_problem)?;
    }
    let written = writer.rows();
    let schema = to_ipc(writer.schema())?;
    let files = writer.finish().map_err(write_problem)?;
    let result = commit(table, mode, schema, files)?;
    counted(written, &result)
}

/// `CREATE TABLE` with columns or with a query.
///
/// # Errors
/// 409 if it exists, else what the query or the catalog refuses.
pub async fn create_table(
    create: CreateMemoryTable,
    state: &SessionState,
) -> Result<Rows, Problem> {
    if !create.constraints.is_empty() {
        return Err(invalid("tables have no constraints such as PRIMARY KEY"));
    }
    if !create.column_defaults.is_empty() {
        return Err(invalid("columns have no DEFAULT"));
    }
    let table = table_name(&create.name)?;
    if create.if_not_exists {
        match catalog::load_table(&table, catalog::Version::Current) {
            Ok(_) => return done(),
            Err(types::Error::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if is_without_rows(&create.input) {
        let schema = normalise_schema(create.input.schema().as_arrow()).map_err(write_problem)?;
        catalog::create_table(&table, &to_ipc(&schema)?, &[])?;
        return done();
    }
    let rows = execute::stream(&create.input, state)
        .await
        .map_err(sql_problem)?;
    let schema = rows.schema();
    write(table, WriteMode::Create, &schema, rows).await
}

/// `DROP TABLE`.
///
/// # Errors
/// 400 if there is no such table, unless `IF EXISTS` was said.
pub fn drop_table(drop: &DropTable) -> Result<Rows, Problem> {
    let table = table_name(&drop.name)?;
    match catalog::drop_table(&table) {
        Err(types::Error::NotFound(_)) if drop.if_exists => done(),
        Err(types::Error::NotFound(text)) => Err(invalid(text)),
        other => {
            other?;
            done()
        }
    }
}

/// `CREATE SCHEMA`.
///
/// # Errors
/// 409 if it exists, unless `IF NOT EXISTS` was said.
pub fn create_schema(create: &CreateCatalogSchema) -> Result<Rows, Problem> {
    let name = match create.schema_name.split_once('.') {
        Some((catalog, name)) => {
            check_catalog(Some(catalog))?;
            name
        }
        None => &create.schema_name,
    };
    match catalog::create_namespace(name) {
        Err(types::Error::AlreadyExists(_)) if create.if_not_exists => done(),
        other => {
            other?;
            done()
        }
    }
}

/// `DROP SCHEMA`. One that has tables is kept.
///
/// # Errors
/// 409 if it is not empty; 400 if there is none, unless `IF EXISTS` was said.
pub fn drop_schema(drop: &DropCatalogSchema) -> Result<Rows, Problem> {
    if drop.cascade {
        return Err(invalid("DROP SCHEMA … CASCADE is not supported"));
    }
    let name = match &drop.name {
        SchemaReference::Bare { schema } => schema,
        SchemaReference::Full { schema, catalog } => {
            check_catalog(Some(catalog))?;
            schema
        }
    };
    match catalog::drop_namespace(name) {
        Err(types::Error::NotFound(_)) if drop.if_exists => done(),
        Err(types::Error::NotFound(text)) => Err(invalid(text)),
        other => {
            other?;
            done()
        }
    }
}

fn check_catalog(name: Option<&str>) -> Result<(), Problem> {
    match name {
        Some(name) if name != CATALOG => Err(invalid(format!(
            "there is no catalog {name:?}, only {CATALOG:?}"
        ))),
        _ => Ok(()),
    }
}

/// Whether a plan is that of `CREATE TABLE t (columns)`.
fn is_without_rows(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::EmptyRelation(empty) => !empty.produce_one_row,
        LogicalPlan::Projection(projection) => is_without_rows(&projection.input),
        _ => false,
    }
}

/// Commits files; takes them away again if that fails.
fn commit(
    table: TableName,
    mode: WriteMode,
    schema: Vec<u8>,
    files: Vec<DataFile>,
) -> Result<CommitResult, Problem> {
    let change = CommitRequest {
        table,
        mode,
        schema,
        evolve: false,
        files,
        idempotency_key: None,
        summary: Vec::new(),
    };
    catalog::commit(&change).map_err(|error| {
        // An answer that got lost on the way may belong to a commit that stands.
        if !matches!(
            error,
            types::Error::Internal(_) | types::Error::Unavailable(_)
        ) {
            for file in &change.files {
                if let Err(error) = store::delete(&file.key) {
                    eprintln!("the unused file {} stays: {error:?}", file.key);
                }
            }
        }
        error.into()
    })
}

/// The result of a write: how many rows, in which snapshot.
fn counted(rows: u64, result: &CommitResult) -> Result<Rows, Problem> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("count", DataType::Int64, false),
        Field::new("snapshot_id", DataType::Int64, false),
    ]));
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    let columns: Vec<arrow::array::ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![rows])),
        Arc::new(Int64Array::from(vec![result.snapshot.id])),
    ];
    RecordBatch::try_new(schema, columns)
        .map(Rows::whole)
        .map_err(|error| sql_problem(error.into()))
}

/// The result of a statement that has none.
fn done() -> Result<Rows, Problem> {
    RecordBatch::try_new_with_options(
        Arc::new(Schema::empty()),
        Vec::new(),
        &RecordBatchOptions::new().with_row_count(Some(0)),
    )
    .map(Rows::whole)
    .map_err(|error| sql_problem(error.into()))
}

fn to_ipc(schema: &SchemaRef) -> Result<Vec<u8>, Problem> {
    schema_to_ipc(schema).map_err(|error| sql_problem(error.into()))
}

fn write_problem(error: Error) -> Problem {
    match error {
        Error::Store(error) => error.into(),
        Error::Arrow(error) => sql_problem(error.into()),
        Error::Parquet(error) => sql_problem(error.into()),
        other => invalid(other.to_string()),
    }
}
