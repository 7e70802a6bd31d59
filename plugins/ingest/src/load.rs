//! One request, from the query to the commit.

use std::sync::Arc;
use std::time::Instant;

use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use lakehouse_sdk::catalog::{self, CommitRequest, DataFile, Version, WriteMode};
use lakehouse_sdk::http::{Problem, Request, Response};
use lakehouse_sdk::log::{self, Level};
use lakehouse_sdk::{formats, store, types};
use lakehouse_table::{
    TableWriter, WriteOptions, normalise_schema, schema_from_ipc, schema_to_ipc,
};

use crate::answer::{self, Answer};
use crate::body;
use crate::fault::Fault;
use crate::params::Params;
use crate::source::{self, Source};

/// Bytes of the longest idempotency key.
const MAX_KEY: usize = 255;

/// `POST /ingest`.
pub(crate) fn load(request: Request) -> Result<Response, Problem> {
    let started = Instant::now();
    let params = Params::read(&request.query_pairs(), formats::list)?;
    let key = idempotency_key(&request)?;
    if let Some(key) = &key
        && let Some(first) = found(catalog::find_commit(&params.table, key))?.flatten()
    {
        return answer::repeated(&first);
    }
    let table = table_schema(&params)?;
    let outcome = run(request, &params, table.as_deref(), key, started);
    outcome.map_err(Problem::from)
}

/// The schema of the table, if it exists.
fn table_schema(params: &Params) -> Result<Option<SchemaRef>, Problem> {
    let Some(info) = found(catalog::load_table(&params.table, Version::Current))? else {
        return Ok(None);
    };
    if params.mode == WriteMode::Create {
        let name = answer::full_name(&params.table);
        return Err(Problem::new(409, format!("table '{name}' exists already")));
    }
    let schema = schema_from_ipc(&info.schema)
        .map_err(|error| Problem::internal(format!("the table's schema is damaged: {error}")))?;
    // Engines may have made it with types that are kin to those written here.
    Ok(Some(normalise_schema(&schema).unwrap_or(schema)))
}

/// None where the catalog says that the thing is not there.
fn found<T>(result: Result<T, types::Error>) -> Result<Option<T>, Problem> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(types::Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn idempotency_key(request: &Request) -> Result<Option<String>, Problem> {
    let Some(key) = request.header("idempotency-key") else {
        return Ok(None);
    };
    if key.is_empty() || key.len() > MAX_KEY || !key.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return Err(Problem::bad_request(format!(
            "an Idempotency-Key is 1 to {MAX_KEY} printable ASCII characters"
        )));
    }
    Ok(Some(key.to_owned()))
}

fn run(
    request: Request,
    params: &Params,
    table: Option<&Schema>,
    key: Option<String>,
    started: Instant,
) -> Result<Response, Fault> {
    let body = body::open(request, params.format.clone())?;
    let mut source = source::open(body, params, table)?;
    if table.is_none() && !source.typed() {
        return Err(Fault::data(format!(
            "the body has no rows to infer column types from, and table '{}' does not exist",
            answer::full_name(&params.table)
        )));
    }
    let schema = normalise_schema(source.schema())?;
    let target = prepare(params, source.schema(), &schema, table)?;
    let written = schema_from_ipc(&target.schema)
        .map_err(|error| types::Error::Internal(format!("the catalog's schema: {error}")))?;
    let files = write(
        source.as_mut(),
        SchemaRef::clone(&written),
        &target.data_key,
    )?;
    let answer = Answer::new(&params.table, &files, &written, started.elapsed());
    let committed = catalog::commit(&CommitRequest {
        table: params.table.clone(),
        mode: params.mode,
        schema: target.schema,
        evolve: params.evolve,
        summary: if key.is_some() {
            answer.summary()
        } else {
            Vec::new()
        },
        files: files.clone(),
        idempotency_key: key,
    });
    match committed {
        Ok(commit) if commit.changed => Ok(answer.created(&commit)),
        Ok(commit) => {
            // Another request with the same key was faster.
            discard(&files);
            Ok(answer::repeated(&commit)?)
        }
        Err(error) => {
            discard(&files);
            Err(error.into())
        }
    }
}

/// Asks the catalog how to write. `schema` is what `body` becomes in a table.
fn prepare(
    params: &Params,
    body: &Schema,
    schema: &Schema,
    table: Option<&Schema>,
) -> Result<catalog::WriteTarget, Fault> {
    if let Some(table) = table
        && !params.evolve
    {
        let new: Vec<String> = schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .filter(|name| table.field_with_name(name).is_err())
            .collect();
        if !new.is_empty() {
            return Err(Fault::Misfit(
                format!(
                    "table '{}' has no column {}; evolve=true would add what is new",
                    answer::full_name(&params.table),
                    new.iter()
                        .map(|name| format!("'{name}'"))
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
                new,
            ));
        }
    }
    // A column of nothing but nulls fits any type, which the catalog must know.
    let fields: Vec<FieldRef> = schema
        .fields()
        .iter()
        .zip(body.fields())
        .map(|(field, body)| match body.data_type() {
            DataType::Null => Arc::clone(body),
            _ => Arc::clone(field),
        })
        .collect();
    let bytes = schema_to_ipc(&Schema::new(fields))?;
    Ok(catalog::prepare_write(
        &params.table,
        params.mode,
        &bytes,
        params.evolve,
    )?)
}

fn write(source: &mut dyn Source, schema: SchemaRef, folder: &str) -> Result<Vec<DataFile>, Fault> {
    let mut writer = TableWriter::new(schema, folder, &WriteOptions::default())?;
    while let Some(batch) = source.next()? {
        writer.write(&batch)?;
    }
    Ok(writer.finish()?)
}

/// Removes files that no table has come to know.
fn discard(files: &[DataFile]) {
    for file in files {
        if let Err(error) = store::delete(&file.key) {
            log::write(
                Level::Warn,
                "a data file of a failed write stays behind",
                &[
                    ("key".to_owned(), file.key.clone()),
                    ("error".to_owned(), error.to_string()),
                ],
            );
        }
    }
}
