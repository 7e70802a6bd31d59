//! Commits: new metadata files, then one conditional put of the pointer.
//!
//! A crash at any point leaves the old table or the new one; files of an
//! attempt that lost are removed by whoever lost, and are never referred to.

use std::collections::{HashMap, HashSet};

use iceberg::spec::TableMetadata;
use lakehouse_sdk::catalog_export::{
    CommitRequest, CommitResult, TableInfo, TableName, Version, WriteMode, WriteTarget,
};
use lakehouse_sdk::types::Error;
use uuid::Uuid;

use crate::files::{self, Caches};
use crate::fit::{self, Stage};
use crate::location::Folder;
use crate::names;
use crate::namespaces;
use crate::pointer::{self, Live, Pointer, Slot};
use crate::retry::Backoff;
use crate::schema::{self, Ids, Incoming};
use crate::snapshot::{self, Draft};
use crate::store::Store;
use crate::table::{self, Table};

/// Key of a snapshot's summary that holds the idempotency key of its commit.
pub const IDEMPOTENCY_KEY: &str = "lakehouse.idempotency-key";

/// Properties of the tables made here. Old metadata files go when they leave
/// the metadata log, so that a busy table does not pile them up.
const PROPERTIES: [(&str, &str); 2] = [
    (DELETE_AFTER_COMMIT, "true"),
    ("write.parquet.compression-codec", "zstd"),
];
const DELETE_AFTER_COMMIT: &str = "write.metadata.delete-after-commit.enabled";

/// Says how to write columns into a table before the first byte is written.
///
/// # Errors
/// [`Error::Conflict`] naming the columns that do not fit, and what
/// [`commit`] would say of the name, the namespace and the mode.
pub fn prepare(
    store: &impl Store,
    caches: &Caches,
    name: &TableName,
    mode: WriteMode,
    columns: &[u8],
    evolve: bool,
) -> Result<WriteTarget, Error> {
    names::check_table(name)?;
    let incoming = schema::decode(columns, Ids::Ignored)?;
    match pointer::read(store, name)? {
        Slot::Live(_) if mode == WriteMode::Create => Err(exists(name)),
        Slot::Live(live) => {
            let table = table::open(store, caches, name, live)?;
            check_writable(&table)?;
            let current = table.metadata.current_schema();
            let wider = widen(&table, &incoming, evolve, Stage::Prepare)?;
            Ok(WriteTarget {
                exists: true,
                schema: schema::encode(wider.as_ref().unwrap_or(current))?,
                data_key: format!("{}/data", table.folder.key),
            })
        }
        Slot::Free { generation, .. } => {
            namespaces::require(store, &name.namespace)?;
            let folder = names::folder_key(name, generation);
            Ok(WriteTarget {
                exists: false,
                schema: schema::encode(schema::fresh(&incoming)?.as_ref())?,
                data_key: format!("{folder}/data"),
            })
        }
    }
}

/// The result of the commit with this idempotency key, if there was one.
///
/// # Errors
/// As reading the table; a table that is not there has seen no key.
pub fn find(
    store: &impl Store,
    caches: &Caches,
    name: &TableName,
    key: &str,
) -> Result<Option<CommitResult>, Error> {
    names::check_table(name)?;
    match pointer::read(store, name)? {
        Slot::Live(live) => {
            let table = table::open(store, caches, name, live)?;
            seen(store, caches, &table, Some(key))
        }
        Slot::Free { .. } => Ok(None),
    }
}

/// Makes an empty table.
///
/// # Errors
/// [`Error::AlreadyExists`], [`Error::NotFound`] for its namespace,
/// [`Error::Invalid`] for its schema or properties.
pub fn create(
    store: &impl Store,
    caches: &Caches,
    name: &TableName,
    columns: &[u8],
    properties: Vec<(String, String)>,
) -> Result<TableInfo, Error> {
    names::check_table(name)?;
    let incoming = schema::decode(columns, Ids::Ignored)?;
    let properties = with_defaults(properties);
    create_with(store, caches, name, |location| {
        schema::new_table(&incoming, location, properties.clone())
    })?
    .info(store, caches, Version::Current)
}

/// Makes an empty table whose metadata `make` makes for its location.
///
/// # Errors
/// As [`create`], and those of `make`.
pub fn create_with(
    store: &impl Store,
    caches: &Caches,
    name: &TableName,
    make: impl Fn(&str) -> Result<TableMetadata, Error>,
) -> Result<Table, Error> {
    names::check_table(name)?;
    let mut backoff = Backoff::default();
    loop {
        let slot = pointer::read(store, name)?;
        let Slot::Free { generation, .. } = slot else {
            return Err(exists(name));
        };
        namespaces::require(store, &name.namespace)?;
        let folder = new_folder(store, name, generation);
        let metadata = make(&folder.location)?;
        let base = Pointer::first(metadata.uuid().to_string(), generation);
        let draft = Draft::empty(metadata);
        if let Some(live) = publish(store, caches, name, &slot, &folder, base, draft)? {
            namespaces::confirm(store, name, &live)?;
            return table::open(store, caches, name, live);
        }
        backoff.pause(name)?;
    }
}

/// Applies a change, all or nothing.
///
/// # Errors
/// [`Error::Conflict`] if the columns do not fit, the table was dropped since
/// the files were prepared, or too many other writers were faster;
/// [`Error::AlreadyExists`] for mode create; [`Error::NotFound`] for the
/// namespace; [`Error::Invalid`] for malformed requests.
pub fn commit(
    store: &impl Store,
    caches: &Caches,
    change: &CommitRequest,
) -> Result<CommitResult, Error> {
    let name = &change.table;
    names::check_table(name)?;
    check_request(change)?;
    let incoming = schema::decode(&change.schema, Ids::Trusted)?;
    let mut backoff = Backoff::default();
    loop {
        let slot = pointer::read(store, name)?;
        let (folder, base, draft) = match &slot {
            Slot::Live(live) => {
                let table = table::open(store, caches, name, live.clone())?;
                let key = change.idempotency_key.as_deref();
                if let Some(result) = seen(store, caches, &table, key)? {
                    return Ok(result);
                }
                if change.mode == WriteMode::Create {
                    return Err(exists(name));
                }
                check_writable(&table)?;
                check_files(change, &table.folder)?;
                let wider = widen(&table, &incoming, change.evolve, Stage::Commit)?;
                let draft = snapshot::on_table(store, caches, &table, wider, change)?;
                (table.folder.clone(), table.live.pointer, draft)
            }
            Slot::Free { generation, .. } => {
                namespaces::require(store, &name.namespace)?;
                let folder = new_folder(store, name, *generation);
                let properties = with_defaults(Vec::new());
                let metadata = schema::new_table(&incoming, &folder.location, properties)?;
                check_fresh_ids(&incoming, &metadata)?;
                check_files(change, &folder)?;
                let base = Pointer::first(metadata.uuid().to_string(), *generation);
                let draft = snapshot::on_new(store, &folder, metadata, change)?;
                (folder, base, draft)
            }
        };
        let snapshot_id = draft.snapshot_id;
        let expired = draft.expired.clone();
        if let Some(live) = publish(store, caches, name, &slot, &folder, base, draft)? {
            if matches!(slot, Slot::Free { .. }) {
                namespaces::confirm(store, name, &live)?;
            }
            remove_expired(store, &folder, &expired);
            let table = table::open(store, caches, name, live)?;
            return result(store, caches, &table, snapshot_id, true);
        }
        backoff.pause(name)?;
    }
}

/// Writes the metadata file of a draft and puts the pointer. None: another
/// writer was faster, and nothing of the draft is left.
///
/// # Errors
/// What the store reports. Then the draft's files stay if it cannot be said
/// whether the pointer was put.
pub fn publish(
    store: &impl Store,
    caches: &Caches,
    name: &TableName,
    slot: &Slot,
    folder: &Folder,
    base: Pointer,
    draft: Draft,
) -> Result<Option<Live>, Error> {
    // A table's first metadata file has the number 0.
    let version = match slot {
        Slot::Live(_) => base.version.saturating_add(1),
        Slot::Free { .. } => 0,
    };
    let metadata_key = format!(
        "{}/metadata/{version:05}-{}.metadata.json",
        folder.key,
        Uuid::new_v4()
    );
    let mut written = draft.written;
    let pointer = Pointer {
        version,
        metadata_location: Some(metadata_key.clone()),
        snapshot_id: draft.metadata.current_snapshot_id(),
        rows: draft.totals.rows,
        bytes: draft.totals.bytes,
        ..base
    };
    written.push(metadata_key.clone());
    if let Err(error) = files::write_metadata(store, caches, &metadata_key, draft.metadata) {
        remove(store, &written);
        return Err(error);
    }
    let error = match pointer::put(store, name, &pointer, slot.condition()) {
        Ok(etag) => {
            return Ok(Some(Live {
                pointer,
                metadata_key,
                folder_key: folder.key.clone(),
                etag,
            }));
        }
        Err(error) => error,
    };
    // A store may report a failure of a put that took effect.
    match pointer::read(store, name)? {
        Slot::Live(live) if live.metadata_key == metadata_key => Ok(Some(live)),
        _ => {
            remove(store, &written);
            match error {
                Error::PreconditionFailed(_) | Error::AlreadyExists(_) => Ok(None),
                error => Err(error),
            }
        }
    }
}

/// Removes files that nothing refers to. What cannot be removed stays: it costs
/// room and nothing else.
pub fn remove(store: &impl Store, keys: &[String]) {
    for key in keys {
        // The commit or its failure is what the caller must hear of.
        let _ = store.delete(key);
    }
}

/// Removes the metadata files at these locations.
pub fn remove_expired(store: &impl Store, folder: &Folder, locations: &[String]) {
    let keys: Vec<String> = locations.iter().filter_map(|l| folder.key_of(l)).collect();
    remove(store, &keys);
}

/// Whether metadata files that leave the log are to be deleted.
pub fn deletes_old_metadata(metadata: &TableMetadata) -> bool {
    metadata
        .properties()
        .get(DELETE_AFTER_COMMIT)
        .is_some_and(|value| value == "true")
}

fn new_folder(store: &impl Store, name: &TableName, generation: u32) -> Folder {
    let key = names::folder_key(name, generation);
    let location = format!("{}/{key}", store.base_url());
    Folder { key, location }
}

/// The properties of a new table: ours, where the caller has not said otherwise.
pub fn with_defaults(given: impl IntoIterator<Item = (String, String)>) -> HashMap<String, String> {
    let ours = PROPERTIES.map(|(name, value)| (name.to_owned(), value.to_owned()));
    ours.into_iter().chain(given).collect()
}

fn exists(name: &TableName) -> Error {
    Error::AlreadyExists(format!("table {} exists already", names::display(name)))
}

/// Whether this version can write to a table that another engine made.
pub fn check_writable(table: &Table) -> Result<(), Error> {
    let version = table.metadata.format_version();
    let what = if version != iceberg::spec::FormatVersion::V2 {
        format!("has format {version}; only version 2 is written")
    } else if !table.metadata.default_partition_spec().is_unpartitioned() {
        "is partitioned; only unpartitioned tables are written".to_owned()
    } else {
        return Ok(());
    };
    let name = names::display(&table.name);
    Err(Error::Unsupported(format!("table {name} {what}")))
}

fn widen(
    table: &Table,
    incoming: &Incoming,
    evolve: bool,
    stage: Stage,
) -> Result<Option<iceberg::spec::Schema>, Error> {
    let metadata = &table.metadata;
    let last_id = metadata.last_column_id();
    fit::fit(metadata.current_schema(), last_id, incoming, evolve, stage).map_err(|error| {
        match error {
            Error::Conflict(text) => Error::Conflict(format!(
                "the data does not fit table {}: {text}",
                names::display(&table.name)
            )),
            other => other,
        }
    })
}

/// Files prepared for one table must not make another.
fn check_fresh_ids(incoming: &Incoming, metadata: &TableMetadata) -> Result<(), Error> {
    let fresh = metadata.current_schema();
    if !incoming.has_ids || incoming.schema.as_struct() == fresh.as_struct() {
        return Ok(());
    }
    Err(Error::Conflict(
        "the field ids in the files are not those of a new table: \
         the table was dropped since they were written"
            .to_owned(),
    ))
}

fn check_request(change: &CommitRequest) -> Result<(), Error> {
    let mut keys = HashSet::new();
    if let Some(twice) = change.files.iter().find(|f| !keys.insert(f.key.as_str())) {
        return Err(Error::Invalid(format!("file {} is given twice", twice.key)));
    }
    if change.idempotency_key.as_deref() == Some("") {
        return Err(Error::Invalid("the idempotency key is empty".to_owned()));
    }
    Ok(())
}

fn check_files(change: &CommitRequest, folder: &Folder) -> Result<(), Error> {
    let data = format!("{}/data/", folder.key);
    for file in &change.files {
        // A dropped and remade table has another folder: see `names::folder_key`.
        if !file.key.starts_with(&data) || file.key.split('/').any(|s| s == ".." || s.is_empty()) {
            return Err(Error::Conflict(format!(
                "file {} is not in {data}: it was written for another table, \
                 or the table was dropped since",
                file.key
            )));
        }
    }
    Ok(())
}

fn seen(
    store: &impl Store,
    caches: &Caches,
    table: &Table,
    key: Option<&str>,
) -> Result<Option<CommitResult>, Error> {
    let Some(key) = key else {
        return Ok(None);
    };
    let found = table.metadata.snapshots().find(|snapshot| {
        let entries = &snapshot.summary().additional_properties;
        entries.get(IDEMPOTENCY_KEY).map(String::as_str) == Some(key)
    });
    match found {
        Some(snapshot) => result(store, caches, table, snapshot.snapshot_id(), false).map(Some),
        None => Ok(None),
    }
}

fn result(
    store: &impl Store,
    caches: &Caches,
    table: &Table,
    snapshot_id: i64,
    changed: bool,
) -> Result<CommitResult, Error> {
    let snapshot = table.snapshot(snapshot_id)?;
    Ok(CommitResult {
        table: table.info(store, caches, Version::Snapshot(snapshot_id))?,
        snapshot: table.describe(snapshot),
        changed,
    })
}
