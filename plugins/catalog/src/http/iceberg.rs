//! The Iceberg REST catalog, with Iceberg's own error model: what PyIceberg,
//! Spark and Trino speak.

use std::collections::HashMap;

use iceberg::spec::{Schema, SortOrder, UnboundPartitionSpec};
use iceberg::{TableRequirement, TableUpdate};
use lakehouse_sdk::catalog_export::TableName;
use lakehouse_sdk::http::{Problem, Request, Response};
use lakehouse_sdk::types::Error;
use serde::Deserialize;
use serde_json::{Value, json};

use super::iceberg_route::{ENDPOINTS, IcebergRoute};
use crate::files::{self, Caches};
use crate::store::Store;
use crate::table::{self, Table};
use crate::{external, names, namespaces, table_ops};

/// Largest body: a commit with many schemas and snapshots.
const MAX_BODY: usize = 8 << 20;

#[derive(Deserialize)]
struct NewNamespace {
    namespace: Vec<String>,
    #[serde(default)]
    properties: HashMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct NewTable {
    name: String,
    location: Option<String>,
    schema: Schema,
    partition_spec: Option<UnboundPartitionSpec>,
    write_order: Option<SortOrder>,
    #[serde(default)]
    stage_create: bool,
    #[serde(default)]
    properties: HashMap<String, String>,
}

#[derive(Deserialize)]
struct Change {
    requirements: Vec<TableRequirement>,
    updates: Vec<TableUpdate>,
}

/// Answers one request, `path` being what follows the catalog's `uri`.
pub fn handle(store: &impl Store, caches: &Caches, path: &str, request: Request) -> Response {
    let Some(route) = IcebergRoute::parse(path) else {
        return failure(404, "NoSuchEndpointException", "there is no such endpoint");
    };
    let method = request.method().to_owned();
    let allow = route.allow();
    if !allow.split(", ").any(|known| known == method) {
        let text = format!("{method} is not allowed here; {allow} is");
        return failure(405, "MethodNotAllowedException", &text).header("allow", allow);
    }
    let missing = route.missing();
    let is_commit = matches!(route, IcebergRoute::Table(_)) && method == "POST";
    answer(store, caches, route, &method, request).unwrap_or_else(|fault| {
        let (status, kind, text) = match fault {
            Fault::Body(problem) => (problem.status, "BadRequestException", problem.detail),
            Fault::Catalog(error) => {
                let kind = match &error {
                    Error::NotFound(_) => missing,
                    Error::AlreadyExists(_) => "AlreadyExistsException",
                    Error::Conflict(_) if is_commit => "CommitFailedException",
                    Error::Conflict(_) => "NamespaceNotEmptyException",
                    Error::Invalid(_) => "BadRequestException",
                    Error::Denied(_) => "ForbiddenException",
                    Error::Unsupported(_) => "UnsupportedOperationException",
                    Error::Unavailable(_) if !is_commit => "ServiceUnavailableException",
                    // The client must not clean up what may have been committed.
                    _ if is_commit => "CommitStateUnknownException",
                    _ => "InternalServerError",
                };
                let unsupported = matches!(error, Error::Unsupported(_));
                let problem = Problem::from(error);
                let status = if unsupported { 406 } else { problem.status };
                (status, kind, problem.detail)
            }
        };
        failure(status, kind, &text)
    })
}

enum Fault {
    Body(Problem),
    Catalog(Error),
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self::Body(problem)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Catalog(error)
    }
}

fn failure(status: u16, kind: &str, text: &str) -> Response {
    let error = json!({ "message": text, "type": kind, "code": status });
    Response::new(status).json(&json!({ "error": error }))
}

fn answer(
    store: &impl Store,
    caches: &Caches,
    route: IcebergRoute,
    method: &str,
    mut request: Request,
) -> Result<Response, Fault> {
    let ok = |value: Value| Ok(Response::new(200).json(&value));
    match (route, method) {
        (IcebergRoute::Config, _) => ok(json!({
            "defaults": {},
            "overrides": {},
            "endpoints": ENDPOINTS,
        })),
        (IcebergRoute::Namespaces, "GET") => {
            let parent = request
                .query_pairs()
                .into_iter()
                .find(|(name, _)| name == "parent");
            if let Some((_, parent)) = parent.filter(|(_, parent)| !parent.is_empty()) {
                // One level only: a namespace has no children.
                namespaces::require(store, &parent)?;
                return ok(json!({ "namespaces": [] }));
            }
            let names = namespaces::list(store)?;
            let names: Vec<[String; 1]> = names.into_iter().map(|name| [name]).collect();
            ok(json!({ "namespaces": names }))
        }
        (IcebergRoute::Namespaces, _) => {
            let new: NewNamespace = request.read_json(MAX_BODY)?;
            let [name] = new.namespace.as_slice() else {
                return Err(Error::Invalid("namespaces have one level".to_owned()).into());
            };
            if !new.properties.is_empty() {
                let text = "namespaces have no properties here";
                return Err(Error::Unsupported(text.to_owned()).into());
            }
            namespaces::create(store, name)?;
            ok(json!({ "namespace": [name], "properties": {} }))
        }
        (IcebergRoute::Namespace(name), "DELETE") => {
            namespaces::drop(store, &name)?;
            Ok(Response::new(204))
        }
        (IcebergRoute::Namespace(name), method) => {
            namespaces::require(store, &name)?;
            if method == "HEAD" {
                return Ok(Response::new(204));
            }
            ok(json!({ "namespace": [name], "properties": {} }))
        }
        (IcebergRoute::Tables(namespace), "GET") => {
            let tables = table_ops::list(store, Some(&namespace))?;
            let identifiers: Vec<Value> = tables
                .into_iter()
                .map(|table| json!({ "namespace": [table.namespace], "name": table.name }))
                .collect();
            ok(json!({ "identifiers": identifiers }))
        }
        (IcebergRoute::Tables(namespace), _) => {
            let new: NewTable = request.read_json(MAX_BODY)?;
            create(store, caches, namespace, new)
        }
        (IcebergRoute::Table(name), "DELETE") => {
            table_ops::drop(store, &name)?;
            Ok(Response::new(204))
        }
        (IcebergRoute::Table(name), "POST") => {
            let change: Change = request.read_json(MAX_BODY)?;
            let Change {
                requirements,
                updates,
            } = change;
            let table = external::apply(store, caches, &name, &requirements, &updates)?;
            ok(json!({
                "metadata-location": location(store, &table),
                "metadata": files::metadata_json(&table.metadata)?,
            }))
        }
        (IcebergRoute::Table(name), method) => {
            names::check_table(&name)?;
            let table = table::read(store, caches, &name)?;
            if method == "HEAD" {
                return Ok(Response::new(204));
            }
            ok(loaded(store, &table)?)
        }
    }
}

fn create(
    store: &impl Store,
    caches: &Caches,
    namespace: String,
    new: NewTable,
) -> Result<Response, Fault> {
    if new.stage_create {
        let text = "staged creation; create the table first, then commit to it";
        return Err(Error::Unsupported(text.to_owned()).into());
    }
    let name = TableName {
        namespace,
        name: new.name,
    };
    let made = external::NewTable {
        location: new.location,
        schema: new.schema,
        spec: new.partition_spec.unwrap_or_default(),
        order: new.write_order.unwrap_or_else(SortOrder::unsorted_order),
        properties: new.properties,
    };
    let table = external::create(store, caches, &name, made)?;
    Ok(Response::new(200).json(&loaded(store, &table)?))
}

fn location(store: &impl Store, table: &Table) -> String {
    format!("{}/{}", store.base_url(), table.live.metadata_key)
}

fn loaded(store: &impl Store, table: &Table) -> Result<Value, Error> {
    Ok(json!({
        "metadata-location": location(store, table),
        "metadata": files::metadata_json(&table.metadata)?,
        "config": {},
    }))
}
