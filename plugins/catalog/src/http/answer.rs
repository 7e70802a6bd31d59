//! What clients see of tables.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat, Utc};
use lakehouse_sdk::catalog_export::{TableInfo, Version};
use lakehouse_sdk::http::Problem;
use lakehouse_sdk::types::Error;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::files::{self, Caches};
use crate::store::{Listing, Store};
use crate::table::Table;
use crate::table_ops::Listed;

/// A line of the list of tables. A damaged one says so in `error`.
pub fn line(table: &Listed) -> Value {
    let (namespace, name) = (&table.name.namespace, &table.name.name);
    match &table.pointer {
        Ok(pointer) => json!({
            "namespace": namespace,
            "name": name,
            "rows": pointer.rows,
            "bytes": pointer.bytes,
            "snapshot_id": pointer.snapshot_id,
        }),
        Err(error) => json!({
            "namespace": namespace,
            "name": name,
            "rows": null,
            "bytes": null,
            "snapshot_id": null,
            "error": Problem::from(error.clone()).detail,
        }),
    }
}

/// Orphans that are named one by one in an answer.
const MOST_NAMED: usize = 1000;

/// Youngest bound on the age of orphans: the longest that a write may take.
const YOUNGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Their age where the client says none.
const DEFAULT_AGE: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// Everything about a table's current state.
///
/// # Errors
/// As [`Table::info`].
pub fn table(store: &impl Store, caches: &Caches, table: &Table) -> Result<Value, Error> {
    let TableInfo {
        name,
        uuid,
        location,
        metadata_location,
        snapshot_id,
        rows,
        bytes,
        files,
        properties,
        ..
    } = table.info(store, caches, Version::Current)?;
    let columns = table
        .metadata
        .current_schema()
        .as_struct()
        .fields()
        .iter()
        .map(|field| {
            // Primitive types are texts, nested ones objects, as in Iceberg's JSON.
            let kind = serde_json::to_value(&field.field_type)
                .map_err(|e| files::damaged(&table.live.metadata_key, e))?;
            Ok(json!({
                "id": field.id,
                "name": field.name,
                "type": kind,
                "required": field.required,
                "doc": field.doc,
            }))
        })
        .collect::<Result<Vec<Value>, Error>>()?;
    let properties: Map<String, Value> =
        properties.into_iter().map(|(k, v)| (k, v.into())).collect();
    let snapshot = table.metadata.current_snapshot();
    Ok(json!({
        "namespace": name.namespace,
        "name": name.name,
        "uuid": uuid,
        "format_version": table.metadata.format_version() as u8,
        "location": location,
        "metadata_location": metadata_location,
        "last_updated": time(table.metadata.last_updated_ms()),
        "schema": columns,
        "snapshot_id": snapshot_id,
        "snapshot": snapshot.map(|s| self::snapshot(table, s)),
        "rows": rows,
        "bytes": bytes,
        "files": files,
        "properties": properties,
    }))
}

/// One snapshot.
pub fn snapshot(table: &Table, snapshot: &iceberg::spec::Snapshot) -> Value {
    let seen = table.describe(snapshot);
    let summary: Map<String, Value> = seen
        .summary
        .into_iter()
        .map(|(k, v)| (k, v.into()))
        .collect();
    json!({
        "snapshot_id": seen.id,
        "parent_snapshot_id": seen.parent,
        "timestamp_ms": seen.timestamp,
        "timestamp": time(seen.timestamp),
        "operation": seen.operation,
        "summary": summary,
        "current": seen.current,
    })
}

/// What was found, and removed unless this was a dry run.
pub fn orphans(found: &[Listing], older_than: u64, dry_run: bool) -> Value {
    let named: Vec<Value> = found
        .iter()
        .take(MOST_NAMED)
        .map(|file| {
            json!({
                "key": file.key,
                "size": file.size,
                "last_modified": time(file.modified.cast_signed()),
            })
        })
        .collect();
    json!({
        "older_than": time(older_than.cast_signed()),
        "dry_run": dry_run,
        "files": found.len(),
        "bytes": found.iter().map(|file| file.size).sum::<u64>(),
        "orphans": named,
    })
}

fn time(milliseconds: i64) -> Option<String> {
    let time = DateTime::<Utc>::from_timestamp_millis(milliseconds)?;
    Some(time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// What a client sends to make a namespace.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewNamespace {
    /// Its name.
    pub name: String,
}

/// What a client sends to roll back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// The snapshot to go back to.
    pub snapshot_id: SnapshotId,
}

/// What a client sends to have orphans removed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RemoveOrphans {
    /// Files from after this time stay: RFC 3339. Three days ago if left out.
    older_than: Option<String>,
    /// Whether they are only named.
    pub dry_run: bool,
}

impl RemoveOrphans {
    /// The bound in milliseconds since 1970.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is no time, and for one less than 24 hours ago.
    pub fn older_than(&self, now: SystemTime) -> Result<u64, Error> {
        let millis = |time: SystemTime| {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        };
        let Some(text) = &self.older_than else {
            return Ok(millis(now - DEFAULT_AGE));
        };
        let time = DateTime::parse_from_rfc3339(text).map_err(|error| {
            Error::Invalid(format!(
                "older_than: {text:?} is not a time like 2026-01-31T12:00:00Z: {error}"
            ))
        })?;
        let time = u64::try_from(time.timestamp_millis()).unwrap_or_default();
        if time > millis(now - YOUNGEST) {
            return Err(Error::Invalid(format!(
                "older_than: {text} is less than 24 hours ago; younger files may belong to writes \
                 under way"
            )));
        }
        Ok(time)
    }
}

/// A snapshot id. JavaScript cannot hold its 64 bits in a number, so a text
/// does as well.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "a snapshot id: a 64-bit integer, as a number or a text"
)]
pub enum SnapshotId {
    /// As a number.
    Number(i64),
    /// As a text.
    Text(String),
}

impl SnapshotId {
    /// The id.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the text is no such number.
    pub fn id(&self) -> Result<i64, Error> {
        match self {
            Self::Number(id) => Ok(*id),
            Self::Text(text) => text
                .parse()
                .map_err(|_| Error::Invalid(format!("{text:?} is not a snapshot id"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_orphans_is_bounded() {
        let now = UNIX_EPOCH + Duration::from_secs(10 * 24 * 60 * 60);
        let bound = |body: &str| {
            let asked: RemoveOrphans = serde_json::from_str(body).unwrap();
            asked.older_than(now)
        };
        let day = 24 * 60 * 60 * 1000;
        assert_eq!(bound("{}").unwrap(), 7 * day);
        assert_eq!(
            bound(r#"{"older_than":"1970-01-10T00:00:00Z"}"#).unwrap(),
            9 * day
        );
        assert_eq!(
            bound(r#"{"older_than":"1970-01-10T01:00:00+01:00"}"#).unwrap(),
            9 * day
        );
        assert_eq!(
            bound(r#"{"older_than":"1900-01-01T00:00:00Z"}"#).unwrap(),
            0
        );
        for bad in [
            "1970-01-10T00:00:01Z",
            "2026-01-01T00:00:00Z",
            "yesterday",
            "",
        ] {
            let error = bound(&json!({ "older_than": bad }).to_string()).unwrap_err();
            assert!(matches!(error, Error::Invalid(_)), "{bad}");
        }
        assert!(serde_json::from_str::<RemoveOrphans>(r#"{"older":"x"}"#).is_err());
    }

    #[test]
    fn a_snapshot_id_keeps_its_64_bits() {
        for body in [
            r#"{"snapshot_id":9223372036854775807}"#,
            r#"{"snapshot_id":"9223372036854775807"}"#,
        ] {
            let rollback: Rollback = serde_json::from_str(body).unwrap();
            assert_eq!(rollback.snapshot_id.id().unwrap(), i64::MAX);
        }
        for body in [
            r#"{"snapshot_id":1.5}"#,
            r#"{"snapshot_id":9223372036854775808}"#,
            r#"{"snapshot_id":null}"#,
            r#"{"snapshot_id":1,"other":2}"#,
            r#"{}"#,
        ] {
            assert!(serde_json::from_str::<Rollback>(body).is_err(), "{body}");
        }
        assert!(SnapshotId::Text("x".to_owned()).id().is_err());
    }
}
