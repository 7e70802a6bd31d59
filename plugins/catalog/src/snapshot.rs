//! New snapshots: manifests, manifest list and the metadata that holds them.

use std::collections::HashMap;

use iceberg::spec::{
    MAIN_BRANCH, Operation, Schema, SchemaRef, Snapshot, Summary, TableMetadata,
    TableMetadataBuildResult, TableMetadataBuilder,
};
use lakehouse_sdk::catalog_export::{CommitRequest, WriteMode};
use lakehouse_sdk::types::Error;
use uuid::Uuid;

use crate::commit::{self, IDEMPOTENCY_KEY};
use crate::files::{self, Caches};
use crate::location::Folder;
use crate::manifests::Manifests;
use crate::stats;
use crate::store::Store;
use crate::table::{Table, Totals};

/// A change that is written but not yet visible.
#[derive(Debug)]
pub struct Draft {
    /// The new metadata.
    pub metadata: TableMetadata,
    /// The new snapshot; 0 if the change makes none.
    pub snapshot_id: i64,
    /// Numbers of the snapshot that is current afterwards.
    pub totals: Totals,
    /// Keys of the files written for it, to be removed if it loses its race.
    pub written: Vec<String>,
    /// Locations of metadata files that it makes superfluous.
    pub expired: Vec<String>,
}

impl Draft {
    /// A change of metadata alone.
    pub fn empty(metadata: TableMetadata) -> Self {
        Self {
            metadata,
            snapshot_id: 0,
            totals: Totals::default(),
            written: Vec::new(),
            expired: Vec::new(),
        }
    }
}

/// Drafts the first snapshot of a new table.
///
/// # Errors
/// [`Error::Invalid`] for files that do not fit the schema; what the store
/// reports. Nothing stays written then.
pub fn on_new(
    store: &impl Store,
    folder: &Folder,
    metadata: TableMetadata,
    change: &CommitRequest,
) -> Result<Draft, Error> {
    let base = Base {
        folder,
        schema: SchemaRef::clone(metadata.current_schema()),
        builder: metadata.clone().into_builder(None),
        metadata: &metadata,
        previous: Totals::default(),
    };
    draft(store, &Caches::default(), base, change)
}

/// Drafts the next snapshot of a table, with a wider schema if there is one.
///
/// # Errors
/// As [`on_new`].
pub fn on_table(
    store: &impl Store,
    caches: &Caches,
    table: &Table,
    wider: Option<Schema>,
    change: &CommitRequest,
) -> Result<Draft, Error> {
    let url = format!("{}/{}", store.base_url(), table.live.metadata_key);
    let mut builder = table.metadata.as_ref().clone().into_builder(Some(url));
    let mut schema = SchemaRef::clone(table.metadata.current_schema());
    if let Some(wider) = wider {
        builder = builder
            .add_current_schema(wider.clone())
            .map_err(|e| Error::Conflict(format!("the schema cannot be widened: {e}")))?;
        // The id that the schema gets: of an equal one, or the next.
        let probe = builder.clone().build().map_err(cannot_build)?;
        schema = SchemaRef::clone(probe.metadata.current_schema());
    }
    let previous = match table.metadata.current_snapshot() {
        Some(snapshot) => table.totals(store, caches, snapshot)?,
        None => Totals::default(),
    };
    let base = Base {
        folder: &table.folder,
        schema,
        builder,
        metadata: &table.metadata,
        previous,
    };
    draft(store, caches, base, change)
}

/// What a snapshot stands on.
struct Base<'a> {
    folder: &'a Folder,
    schema: SchemaRef,
    builder: TableMetadataBuilder,
    metadata: &'a TableMetadata,
    previous: Totals,
}

fn draft(
    store: &impl Store,
    caches: &Caches,
    base: Base<'_>,
    change: &CommitRequest,
) -> Result<Draft, Error> {
    let mut written = Vec::new();
    match write(store, caches, base, change, &mut written) {
        Ok(draft) => Ok(Draft { written, ..draft }),
        Err(error) => {
            commit::remove(store, &written);
            Err(error)
        }
    }
}

fn write(
    store: &impl Store,
    caches: &Caches,
    base: Base<'_>,
    change: &CommitRequest,
    written: &mut Vec<String>,
) -> Result<Draft, Error> {
    let metadata = base.metadata;
    let parent = metadata.current_snapshot();
    let snapshot_id = new_snapshot_id(metadata);
    let attempt = Uuid::new_v4();
    let mut manifests = Vec::new();
    let mut writer = Manifests {
        store,
        folder: base.folder,
        metadata,
        schema: SchemaRef::clone(&base.schema),
        snapshot_id,
        attempt,
        written,
    };

    let spec_id = metadata.default_partition_spec_id();
    let mut added = Totals::default();
    let mut new_files = Vec::with_capacity(change.files.len());
    for file in &change.files {
        let location = base.folder.location_of(&file.key).unwrap_or_default();
        new_files.push(stats::to_iceberg(file, location, &base.schema, spec_id)?);
        added.files += 1;
        added.rows += file.rows;
        added.bytes += file.bytes;
    }
    if !new_files.is_empty() {
        manifests.push(writer.added(new_files)?);
    }

    let overwrite = change.mode == WriteMode::Overwrite && parent.is_some();
    if let Some(parent) = parent {
        let list = files::manifest_list(store, caches, base.folder, metadata, parent)?;
        if overwrite {
            manifests.extend(writer.deleted(&list)?);
        } else {
            manifests.extend(writer.kept(&list)?);
        }
    }

    let sequence_number = metadata.next_sequence_number();
    let parent_id = parent.map(|p| p.snapshot_id());
    let list_key = format!(
        "{}/metadata/snap-{snapshot_id}-1-{attempt}.avro",
        base.folder.key
    );
    written.push(list_key.clone());
    let manifest_list = files::write_manifest_list(
        store,
        base.folder,
        &list_key,
        snapshot_id,
        parent_id,
        sequence_number,
        manifests,
    )?;

    let removed = if overwrite {
        base.previous
    } else {
        Totals::default()
    };
    let totals = Totals {
        files: base.previous.files - removed.files + added.files,
        rows: base.previous.rows - removed.rows + added.rows,
        bytes: base.previous.bytes - removed.bytes + added.bytes,
    };
    let snapshot = Snapshot::builder()
        .with_snapshot_id(snapshot_id)
        .with_parent_snapshot_id(parent_id)
        .with_sequence_number(sequence_number)
        // Strictly later than what was before, so that a time names one state.
        .with_timestamp_ms(now().max(metadata.last_updated_ms().saturating_add(1)))
        .with_manifest_list(manifest_list)
        .with_summary(Summary {
            operation: if overwrite {
                Operation::Overwrite
            } else {
                Operation::Append
            },
            additional_properties: summary(
                change,
                parent.map(AsRef::as_ref),
                added,
                removed,
                totals,
            ),
        })
        .with_schema_id(base.schema.schema_id())
        .build();
    let TableMetadataBuildResult {
        metadata,
        expired_metadata_logs,
        ..
    } = base
        .builder
        .set_branch_snapshot(snapshot, MAIN_BRANCH)
        .and_then(TableMetadataBuilder::build)
        .map_err(cannot_build)?;
    let expired = if commit::deletes_old_metadata(&metadata) {
        expired_metadata_logs
            .into_iter()
            .map(|log| log.metadata_file)
            .collect()
    } else {
        Vec::new()
    };
    Ok(Draft {
        totals,
        snapshot_id,
        expired,
        ..Draft::empty(metadata)
    })
}

fn summary(
    change: &CommitRequest,
    parent: Option<&Snapshot>,
    added: Totals,
    removed: Totals,
    totals: Totals,
) -> HashMap<String, String> {
    let mut entries: HashMap<String, String> = change.summary.iter().cloned().collect();
    let mut set = |name: &str, value: u64| entries.insert(name.to_owned(), value.to_string());
    for (name, value) in [
        ("added-data-files", added.files),
        ("added-records", added.rows),
        ("added-files-size", added.bytes),
        ("deleted-data-files", removed.files),
        ("deleted-records", removed.rows),
        ("removed-files-size", removed.bytes),
    ] {
        if value > 0 {
            set(name, value);
        }
    }
    set("total-data-files", totals.files);
    set("total-records", totals.rows);
    set("total-files-size", totals.bytes);
    for name in [
        "total-delete-files",
        "total-position-deletes",
        "total-equality-deletes",
    ] {
        let before = parent.filter(|_| removed == Totals::default());
        let before = before.and_then(|p| p.summary().additional_properties.get(name)?.parse().ok());
        set(name, before.unwrap_or(0));
    }
    if let Some(key) = &change.idempotency_key {
        entries.insert(IDEMPOTENCY_KEY.to_owned(), key.clone());
    }
    entries
}

/// A random positive id that the table does not have yet.
fn new_snapshot_id(metadata: &TableMetadata) -> i64 {
    loop {
        let (high, low) = Uuid::new_v4().as_u64_pair();
        let id = i64::try_from((high ^ low) >> 1).unwrap_or(0);
        if id > 0 && metadata.snapshot_by_id(id).is_none() {
            return id;
        }
    }
}

fn now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

fn cannot_build(error: iceberg::Error) -> Error {
    Error::Internal(format!("cannot make the new metadata: {error}"))
}
