//! A table at one moment: its pointer and the metadata that it leads to.

use std::rc::Rc;

use iceberg::spec::{ManifestContentType, SchemaRef, Snapshot, SnapshotRef, TableMetadata};
use lakehouse_sdk::catalog_export::{Snapshot as ApiSnapshot, TableInfo, TableName, Version};
use lakehouse_sdk::types::Error;

use crate::files::{self, Caches};
use crate::location::Folder;
use crate::names;
use crate::pointer::{self, Live, Slot};
use crate::schema;
use crate::store::Store;

/// A table with the newest metadata that it had when it was read.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name.
    pub name: TableName,
    /// Its pointer.
    pub live: Live,
    /// Where its files are.
    pub folder: Folder,
    /// Its metadata.
    pub metadata: Rc<TableMetadata>,
}

/// Numbers of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Data files.
    pub files: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes of the data files.
    pub bytes: u64,
}

/// Reads a table.
///
/// # Errors
/// [`Error::NotFound`] if there is none; [`Error::Internal`] naming the file
/// that is damaged.
pub fn read(store: &impl Store, caches: &Caches, name: &TableName) -> Result<Table, Error> {
    match pointer::read(store, name)? {
        Slot::Live(live) => open(store, caches, name, live),
        Slot::Free { .. } => Err(Error::NotFound(format!(
            "there is no table {}",
            names::display(name)
        ))),
    }
}

/// Reads the metadata that a pointer leads to.
///
/// # Errors
/// [`Error::Internal`] naming the file that is damaged.
pub fn open(
    store: &impl Store,
    caches: &Caches,
    name: &TableName,
    live: Live,
) -> Result<Table, Error> {
    let metadata = files::metadata(store, caches, &live.metadata_key)?;
    if metadata.uuid().to_string() != live.pointer.uuid {
        return Err(files::damaged(
            &live.metadata_key,
            format_args!(
                "it is of table {}, the pointer of {}",
                metadata.uuid(),
                live.pointer.uuid
            ),
        ));
    }
    let folder = Folder {
        key: live.folder_key.clone(),
        location: metadata.location().to_owned(),
    };
    Ok(Table {
        name: name.clone(),
        live,
        folder,
        metadata,
    })
}

impl Table {
    /// The snapshot of a version; none while nothing was ever committed.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such snapshot, or none that old.
    pub fn snapshot_at(&self, at: Version) -> Result<Option<&SnapshotRef>, Error> {
        match at {
            Version::Current => Ok(self.metadata.current_snapshot()),
            Version::Snapshot(id) => self.snapshot(id).map(Some),
            Version::AsOf(time) => {
                let entry = self
                    .metadata
                    .history()
                    .iter()
                    .rev()
                    .find(|entry| entry.timestamp_ms() <= time)
                    .ok_or_else(|| {
                        Error::NotFound(format!(
                            "table {} has no snapshot as old as {time} ms since 1970",
                            names::display(&self.name)
                        ))
                    })?;
                self.snapshot(entry.snapshot_id).map(Some)
            }
        }
    }

    /// A snapshot by its id.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none.
    pub fn snapshot(&self, id: i64) -> Result<&SnapshotRef, Error> {
        self.metadata.snapshot_by_id(id).ok_or_else(|| {
            Error::NotFound(format!(
                "table {} has no snapshot {id}",
                names::display(&self.name)
            ))
        })
    }

    /// The schema to read a version with.
    ///
    /// # Errors
    /// [`Error::Internal`] if the metadata lacks the schema that it names.
    pub fn schema_at(&self, at: Version, snapshot: Option<&Snapshot>) -> Result<SchemaRef, Error> {
        match snapshot {
            Some(snapshot) if !matches!(at, Version::Current) => snapshot
                .schema(&self.metadata)
                .map_err(|e| files::damaged(&self.live.metadata_key, e)),
            _ => Ok(SchemaRef::clone(self.metadata.current_schema())),
        }
    }

    /// What callers see of the table at a version.
    ///
    /// # Errors
    /// As [`Self::snapshot_at`] and [`Self::schema_at`].
    pub fn info(
        &self,
        store: &impl Store,
        caches: &Caches,
        at: Version,
    ) -> Result<TableInfo, Error> {
        let snapshot = self.snapshot_at(at)?;
        let schema = self.schema_at(at, snapshot.map(AsRef::as_ref))?;
        let totals = match snapshot {
            Some(snapshot) => self.totals(store, caches, snapshot)?,
            None => Totals::default(),
        };
        let mut properties: Vec<(String, String)> = self
            .metadata
            .properties()
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        properties.sort_unstable();
        Ok(TableInfo {
            name: self.name.clone(),
            uuid: self.live.pointer.uuid.clone(),
            location: self.folder.location.clone(),
            location_key: self.folder.key.clone(),
            metadata_location: format!("{}/{}", store.base_url(), self.live.metadata_key),
            schema: schema::encode(&schema)?,
            snapshot_id: snapshot.map(|s| s.snapshot_id()),
            rows: totals.rows,
            bytes: totals.bytes,
            files: totals.files,
            properties,
        })
    }

    /// The numbers of a snapshot: from its summary, or counted if whoever made
    /// it left them out.
    ///
    /// # Errors
    /// If the manifests are needed and damaged.
    pub fn totals(
        &self,
        store: &impl Store,
        caches: &Caches,
        snapshot: &Snapshot,
    ) -> Result<Totals, Error> {
        let number = |name: &str| {
            let value = snapshot.summary().additional_properties.get(name)?;
            value.parse::<u64>().ok()
        };
        if let (Some(files), Some(rows), Some(bytes)) = (
            number("total-data-files"),
            number("total-records"),
            number("total-files-size"),
        ) {
            return Ok(Totals { files, rows, bytes });
        }
        let mut totals = Totals::default();
        let list = files::manifest_list(store, caches, &self.folder, &self.metadata, snapshot)?;
        for manifest in list.iter() {
            if !files::is_live(manifest, ManifestContentType::Data) {
                continue;
            }
            let files = files::data_files(store, caches, &self.folder, manifest)?;
            for file in files.iter() {
                totals.files += 1;
                totals.rows += file.rows;
                totals.bytes += file.bytes;
            }
        }
        Ok(totals)
    }

    /// What callers see of a snapshot.
    pub fn describe(&self, snapshot: &Snapshot) -> ApiSnapshot {
        let summary = snapshot.summary();
        let mut entries: Vec<(String, String)> = summary
            .additional_properties
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        entries.sort_unstable();
        ApiSnapshot {
            id: snapshot.snapshot_id(),
            parent: snapshot.parent_snapshot_id(),
            timestamp: snapshot.timestamp_ms(),
            operation: summary.operation.as_str().to_owned(),
            summary: entries,
            current: self.metadata.current_snapshot_id() == Some(snapshot.snapshot_id()),
        }
    }

    /// All snapshots, oldest first.
    pub fn snapshots(&self) -> Vec<&SnapshotRef> {
        let mut snapshots: Vec<&SnapshotRef> = self.metadata.snapshots().collect();
        snapshots.sort_by_key(|s| (s.sequence_number(), s.timestamp_ms(), s.snapshot_id()));
        snapshots
    }
}
