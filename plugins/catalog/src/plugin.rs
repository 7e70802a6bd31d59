//! The component's exports.

use lakehouse_sdk::catalog_export::{
    CommitRequest, CommitResult, Guest, Predicate, ScanPlan, Snapshot, TableInfo, TableName,
    Version, WriteMode, WriteTarget,
};
use lakehouse_sdk::http::{Handler, Problem, Request, Response};
use lakehouse_sdk::types::Error;

use crate::files::Caches;
use crate::store::HostStore;
use crate::{commit, http, names, namespaces, plan, table, table_ops};

const STORE: HostStore = HostStore;

thread_local! {
    static CACHES: Caches = Caches::default();
}

struct Plugin;

lakehouse_sdk::export_catalog!(Plugin);
lakehouse_sdk::export_http!(Plugin);

impl Handler for Plugin {
    fn handle(request: Request) -> Result<Response, Problem> {
        CACHES.with(|caches| http::handler::handle(&STORE, caches, request))
    }
}

impl Guest for Plugin {
    fn list_namespaces() -> Result<Vec<String>, Error> {
        namespaces::list(&STORE)
    }

    fn create_namespace(name: String) -> Result<(), Error> {
        namespaces::create(&STORE, &name)
    }

    fn drop_namespace(name: String) -> Result<(), Error> {
        namespaces::drop(&STORE, &name)
    }

    fn list_tables(namespace: Option<String>) -> Result<Vec<TableName>, Error> {
        table_ops::list(&STORE, namespace.as_deref())
    }

    fn load_table(table: TableName, at: Version) -> Result<TableInfo, Error> {
        with_table(&table, |caches, table| table.info(&STORE, caches, at))
    }

    fn snapshots(table: TableName) -> Result<Vec<Snapshot>, Error> {
        with_table(&table, |_, table| {
            let snapshots = table.snapshots();
            Ok(snapshots.into_iter().map(|s| table.describe(s)).collect())
        })
    }

    fn plan_scan(
        table: TableName,
        at: Version,
        predicates: Vec<Predicate>,
    ) -> Result<ScanPlan, Error> {
        with_table(&table, |caches, table| {
            plan::plan(&STORE, caches, table, at, &predicates)
        })
    }

    fn prepare_write(
        table: TableName,
        mode: WriteMode,
        schema: Vec<u8>,
        evolve: bool,
    ) -> Result<WriteTarget, Error> {
        CACHES.with(|caches| commit::prepare(&STORE, caches, &table, mode, &schema, evolve))
    }

    fn find_commit(
        table: TableName,
        idempotency_key: String,
    ) -> Result<Option<CommitResult>, Error> {
        CACHES.with(|caches| commit::find(&STORE, caches, &table, &idempotency_key))
    }

    fn commit(change: CommitRequest) -> Result<CommitResult, Error> {
        CACHES.with(|caches| commit::commit(&STORE, caches, &change))
    }

    fn create_table(
        table: TableName,
        schema: Vec<u8>,
        properties: Vec<(String, String)>,
    ) -> Result<TableInfo, Error> {
        CACHES.with(|caches| commit::create(&STORE, caches, &table, &schema, properties))
    }

    fn rollback(table: TableName, snapshot_id: i64) -> Result<TableInfo, Error> {
        CACHES.with(|caches| table_ops::rollback(&STORE, caches, &table, snapshot_id))
    }

    fn drop_table(table: TableName) -> Result<(), Error> {
        table_ops::drop(&STORE, &table)
    }
}

fn with_table<R>(
    name: &TableName,
    use_it: impl FnOnce(&Caches, &table::Table) -> Result<R, Error>,
) -> Result<R, Error> {
    names::check_table(name)?;
    CACHES.with(|caches| use_it(caches, &table::read(&STORE, caches, name)?))
}
