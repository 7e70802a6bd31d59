//! Tables on a store in memory.

mod damage;
mod life;
mod orphans;
mod races;

use arrow_schema::{DataType, Field};
use lakehouse_sdk::catalog_export::{
    ColumnStats, CommitRequest, CommitResult, Comparison, DataFile, Predicate, TableName, Version,
    WriteMode,
};
use lakehouse_sdk::types::{Error, Literal};

use crate::files::Caches;
use crate::schema::testing::{ipc, optional};
use crate::store::Store;
use crate::store::fake::MemoryStore;
use crate::{commit, names, namespaces, plan, table, table_ops};

fn name() -> TableName {
    TableName {
        namespace: "default".to_owned(),
        name: "t".to_owned(),
    }
}

fn columns() -> Vec<Field> {
    vec![
        optional("id", DataType::Int64),
        optional("text", DataType::Utf8),
    ]
}

/// A file of ten rows whose ids are `from` to `from + 9`.
fn file(folder: &str, from: i64) -> DataFile {
    DataFile {
        key: format!("{folder}/{from}.parquet"),
        rows: 10,
        bytes: 100,
        split_offsets: vec![4],
        columns: vec![ColumnStats {
            field_id: 1,
            size: Some(50),
            values: Some(10),
            nulls: Some(0),
            nans: None,
            lower: Some(Literal::Integer(from)),
            upper: Some(Literal::Integer(from + 9)),
        }],
    }
}

/// A change that adds one file, as a writer makes it: prepare, write, commit.
fn change(store: &MemoryStore, mode: WriteMode, from: i64) -> CommitRequest {
    let target = prepare(store, mode, columns(), false).unwrap();
    CommitRequest {
        table: name(),
        mode,
        schema: target.schema,
        evolve: false,
        files: vec![file(&target.data_key, from)],
        idempotency_key: None,
        summary: vec![("writer".to_owned(), "test".to_owned())],
    }
}

fn prepare(
    store: &MemoryStore,
    mode: WriteMode,
    columns: Vec<Field>,
    evolve: bool,
) -> Result<lakehouse_sdk::catalog_export::WriteTarget, Error> {
    commit::prepare(
        store,
        &Caches::default(),
        &name(),
        mode,
        &ipc(columns),
        evolve,
    )
}

fn apply(store: &MemoryStore, change: &CommitRequest) -> Result<CommitResult, Error> {
    commit::commit(store, &Caches::default(), change)
}

fn append(store: &MemoryStore, from: i64) -> CommitResult {
    apply(store, &change(store, WriteMode::Append, from)).unwrap()
}

/// First ids of the files that a scan reads, and how many were pruned.
fn scan(store: &MemoryStore, at: Version, predicates: &[Predicate]) -> (Vec<i64>, u64) {
    let caches = Caches::default();
    let table = table::read(store, &caches, &name()).unwrap();
    let plan = plan::plan(store, &caches, &table, at, predicates).unwrap();
    let mut ids: Vec<i64> = plan
        .files
        .iter()
        .map(|file| match file.columns[0].lower {
            Some(Literal::Integer(from)) => from,
            _ => panic!("{file:?}"),
        })
        .collect();
    ids.sort_unstable();
    (ids, plan.pruned)
}

fn everything(store: &MemoryStore) -> Vec<i64> {
    scan(store, Version::Current, &[]).0
}

fn ids(predicate: Comparison, value: i64) -> Predicate {
    Predicate {
        field_id: 1,
        op: predicate,
        values: vec![Literal::Integer(value)],
    }
}

fn metadata_files(store: &MemoryStore) -> Vec<String> {
    store.list("warehouse/default/t/metadata/").unwrap()
}
