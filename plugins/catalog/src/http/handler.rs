//! Answers requests.

use std::time::SystemTime;

use lakehouse_sdk::catalog_export::TableName;
use lakehouse_sdk::http::{Problem, Request, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answer::{self, NewNamespace, RemoveOrphans, Rollback};
use super::iceberg;
use super::route::Route;
use crate::files::Caches;
use crate::store::Store;
use crate::{names, namespaces, orphans, table, table_ops};

/// Largest body that any call here needs.
const MAX_BODY: usize = 64 * 1024;

/// Answers one request.
///
/// # Errors
/// The problem to tell the client.
pub fn handle(
    store: &impl Store,
    caches: &Caches,
    mut request: Request,
) -> Result<Response, Problem> {
    let path = request.path();
    if let Some(path) = path.strip_prefix("/catalog/iceberg/") {
        let path = path.to_owned();
        return Ok(iceberg::handle(store, caches, &path, request));
    }
    let route = Route::parse(path)
        .ok_or_else(|| Problem::not_found(format!("there is nothing at {path}")))?;
    let allow = route.allow();
    if !allow.split(", ").any(|method| method == request.method()) {
        return Err(Problem::method_not_allowed(request.method(), allow));
    }
    match (route, request.method()) {
        (Route::Namespaces, "POST") => {
            let NewNamespace { name } = body(&mut request)?;
            namespaces::create(store, &name)?;
            let location = format!("/v1/catalog/namespaces/{name}");
            let answer = Response::new(201).header("location", location);
            Ok(answer.json(&json!({ "name": name })))
        }
        (Route::Namespaces, _) => ok(&json!({ "namespaces": namespaces::list(store)? })),
        (Route::Namespace(name), _) => {
            namespaces::drop(store, &name)?;
            Ok(Response::new(204))
        }
        (Route::Tables, _) => {
            let namespace = namespace(&request)?;
            let tables = table_ops::listed(store, namespace.as_deref())?;
            let lines: Vec<Value> = tables.iter().map(answer::line).collect();
            ok(&json!({ "tables": lines }))
        }
        (Route::Table(name), "DELETE") => {
            table_ops::drop(store, &name)?;
            Ok(Response::new(204))
        }
        (Route::Table(name), _) => detail(store, caches, &name),
        (Route::Snapshots(name), _) => {
            names::check_table(&name)?;
            let table = table::read(store, caches, &name)?;
            let snapshots: Vec<Value> = table
                .snapshots()
                .into_iter()
                .map(|snapshot| answer::snapshot(&table, snapshot))
                .collect();
            ok(&json!({ "snapshots": snapshots }))
        }
        (Route::Rollback(name), _) => {
            names::check_table(&name)?;
            let Rollback { snapshot_id } = body(&mut request)?;
            table_ops::rollback(store, caches, &name, snapshot_id.id()?)?;
            detail(store, caches, &name)
        }
        (Route::RemoveOrphans(name), _) => {
            let asked: RemoveOrphans = body(&mut request)?;
            let older_than = asked.older_than(SystemTime::now())?;
            let found = orphans::find(store, caches, &name, older_than)?;
            if !asked.dry_run {
                for file in &found {
                    store.delete(&file.key)?;
                }
            }
            ok(&answer::orphans(&found, older_than, asked.dry_run))
        }
    }
}

fn detail(store: &impl Store, caches: &Caches, name: &TableName) -> Result<Response, Problem> {
    names::check_table(name)?;
    let table = table::read(store, caches, name)?;
    ok(&answer::table(store, caches, &table)?)
}

fn ok(value: &Value) -> Result<Response, Problem> {
    Ok(Response::new(200).json(value))
}

/// The body as JSON. A client that names its type must name JSON.
fn body<T: DeserializeOwned>(request: &mut Request) -> Result<T, Problem> {
    if let Some(given) = request.header("content-type") {
        let media = given.split(';').next().unwrap_or_default().trim();
        let json = media.eq_ignore_ascii_case("application/json")
            || media.to_ascii_lowercase().ends_with("+json");
        if !json {
            let detail = format!("the body must be application/json, not {media}");
            return Err(Problem::new(415, detail));
        }
    }
    request.read_json(MAX_BODY)
}

fn namespace(request: &Request) -> Result<Option<String>, Problem> {
    let mut given = request
        .query_pairs()
        .into_iter()
        .filter(|(name, _)| name == "namespace");
    let namespace = given.next().map(|(_, value)| value);
    if given.next().is_some() {
        return Err(Problem::bad_request("namespace is given twice"));
    }
    Ok(namespace)
}
