//! `GET /list`: which objects there are.

use chrono::{DateTime, SecondsFormat};
use lakehouse_sdk::http::{Problem, Request, Response};
use lakehouse_sdk::store;
use serde::Serialize;

use crate::{PREFIX, shown};

/// Objects and prefixes on a page, at most.
const MAX_LIMIT: u32 = 1000;

#[derive(Serialize)]
struct Page {
    objects: Vec<Object>,
    prefixes: Vec<String>,
    cursor: Option<String>,
}

#[derive(Serialize)]
struct Object {
    key: String,
    size: u64,
    etag: String,
    last_modified: String,
}

/// One page. Parameters without a value count as left out.
///
/// # Errors
/// 400 that names the parameter, or what the store says.
pub fn list(request: &Request) -> Result<Response, Problem> {
    let mut prefix = PREFIX.to_owned();
    let mut delimiter = None;
    let mut cursor = None;
    let mut limit = MAX_LIMIT;
    for (name, value) in request.query_pairs() {
        if value.is_empty() {
            continue;
        }
        match name.as_str() {
            "prefix" => prefix = format!("{PREFIX}{value}"),
            "delimiter" => delimiter = Some(value),
            "cursor" => cursor = Some(format!("{PREFIX}{value}")),
            "limit" => limit = parse_limit(&value)?,
            _ => {}
        }
    }
    let page = store::list(&prefix, delimiter.as_deref(), cursor.as_deref(), limit)?;
    let objects = page.objects.into_iter().map(|meta| Object {
        key: shown(&meta.key).to_owned(),
        size: meta.size,
        last_modified: timestamp(meta.last_modified),
        etag: meta.etag,
    });
    let page = Page {
        objects: objects.collect(),
        prefixes: page
            .prefixes
            .iter()
            .map(|prefix| shown(prefix).to_owned())
            .collect(),
        cursor: page
            .cursor
            .as_deref()
            .map(|cursor| shown(cursor).to_owned()),
    };
    Ok(Response::new(200).json(&page))
}

fn parse_limit(value: &str) -> Result<u32, Problem> {
    match value.parse() {
        Ok(limit @ 1..=MAX_LIMIT) => Ok(limit),
        _ => Err(Problem::bad_request(format!(
            "limit is `{value}`; a number from 1 to {MAX_LIMIT} is allowed"
        ))),
    }
}

/// RFC 3339, from milliseconds since the epoch.
fn timestamp(millis: u64) -> String {
    i64::try_from(millis)
        .ok()
        .and_then(DateTime::from_timestamp_millis)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}
