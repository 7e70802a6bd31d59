//! What a request is told, the first time and again.

use std::time::Duration;

use arrow::datatypes::Schema;
use lakehouse_sdk::catalog::{CommitResult, DataFile, TableName};
use lakehouse_sdk::http::{Problem, Response};
use serde_json::{Value, json};

use crate::iceberg_json;

/// Entry of the snapshot's summary that holds the answer of a request with an
/// idempotency key, all but the snapshot's id.
const SUMMARY: &str = "lakehouse.ingest-answer";

/// The answer to a load.
pub(crate) struct Answer(Value);

impl Answer {
    /// Of a load that wrote these files; `elapsed` is up to the commit.
    pub(crate) fn new(
        table: &TableName,
        files: &[DataFile],
        schema: &Schema,
        elapsed: Duration,
    ) -> Self {
        Self(json!({
            "table": full_name(table),
            "rows": files.iter().map(|file| file.rows).sum::<u64>(),
            "bytes": files.iter().map(|file| file.bytes).sum::<u64>(),
            "files": files.len(),
            "schema": iceberg_json::columns(schema),
            "elapsed_ms": u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        }))
    }

    /// What the snapshot keeps of it.
    pub(crate) fn summary(&self) -> Vec<(String, String)> {
        vec![(SUMMARY.to_owned(), self.0.to_string())]
    }

    /// 201 with the snapshot that the commit made.
    pub(crate) fn created(self, commit: &CommitResult) -> Response {
        respond(self.0, commit)
    }
}

/// The answer that the request got which made this commit.
pub(crate) fn repeated(commit: &CommitResult) -> Result<Response, Problem> {
    let kept = commit
        .snapshot
        .summary
        .iter()
        .find(|(name, _)| name == SUMMARY);
    let Some(answer) = kept.and_then(|(_, text)| serde_json::from_str(text).ok()) else {
        return Err(Problem::new(
            409,
            "the Idempotency-Key was used on this table by something other than an ingest",
        ));
    };
    Ok(respond(answer, commit))
}

fn respond(mut answer: Value, commit: &CommitResult) -> Response {
    answer["snapshot_id"] = commit.snapshot.id.into();
    Response::new(201).json(&answer)
}

/// `namespace.name`.
pub(crate) fn full_name(table: &TableName) -> String {
    format!("{}.{}", table.namespace, table.name)
}
