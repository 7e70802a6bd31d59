//! The manifests of a new snapshot: of what is added, of what goes, and of what
//! stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use iceberg::spec::{
    DataFile, ManifestContentType, ManifestEntry, ManifestFile, ManifestWriter, SchemaRef,
    TableMetadata,
};
use lakehouse_sdk::types::Error;
use uuid::Uuid;

use crate::files;
use crate::location::Folder;
use crate::store::Store;

/// Manifests of a snapshot from which on they are merged into one.
const MERGE_FROM: usize = 100;
/// Live files from which on a manifest is large enough and stays as it is.
const LARGE_MANIFEST: u32 = 5_000;

/// Writes the manifests of one snapshot.
pub struct Manifests<'a, S> {
    /// Where to.
    pub store: &'a S,
    /// The table's folder.
    pub folder: &'a Folder,
    /// The table as it was.
    pub metadata: &'a TableMetadata,
    /// The schema that the manifests carry.
    pub schema: SchemaRef,
    /// The snapshot.
    pub snapshot_id: i64,
    /// Makes the file names unique.
    pub attempt: Uuid,
    /// Gets the key of every file before it is written.
    pub written: &'a mut Vec<String>,
}

impl<S: Store> Manifests<'_, S> {
    /// New files.
    ///
    /// # Errors
    /// As [`files::write_manifest`].
    pub fn added(&mut self, files: Vec<DataFile>) -> Result<ManifestFile, Error> {
        self.write(self.metadata.default_partition_spec_id(), |writer| {
            // The sequence number comes from the list, where the commit is final.
            files
                .into_iter()
                .try_for_each(|file| writer.add_file(file, -1))
        })
    }

    /// Everything that was live, as deleted.
    ///
    /// # Errors
    /// If a manifest cannot be read or written.
    pub fn deleted(&mut self, list: &[ManifestFile]) -> Result<Vec<ManifestFile>, Error> {
        let mut by_spec: BTreeMap<i32, Vec<ManifestEntry>> = BTreeMap::new();
        for manifest in list {
            if files::is_live(manifest, ManifestContentType::Data) {
                let entries = files::entries(self.store, self.folder, manifest)?;
                by_spec
                    .entry(manifest.partition_spec_id)
                    .or_default()
                    .extend(entries);
            }
        }
        let mut manifests = Vec::new();
        for (spec_id, entries) in by_spec {
            if entries.is_empty() {
                continue;
            }
            manifests.push(self.write(spec_id, |writer| {
                entries.into_iter().try_for_each(|entry| {
                    writer.add_delete_file(
                        entry.data_file,
                        entry.sequence_number.unwrap_or_default(),
                        entry.file_sequence_number,
                    )
                })
            })?);
        }
        Ok(manifests)
    }

    /// What was there stays; many small manifests become one.
    ///
    /// # Errors
    /// If a manifest cannot be read or written.
    pub fn kept(&mut self, list: &[ManifestFile]) -> Result<Vec<ManifestFile>, Error> {
        let spec_id = self.metadata.default_partition_spec_id();
        let live = |m: &ManifestFile| {
            m.content == ManifestContentType::Deletes
                || files::is_live(m, ManifestContentType::Data)
        };
        let small = |m: &ManifestFile| {
            let count = |n: Option<u32>| n.unwrap_or(LARGE_MANIFEST);
            m.content == ManifestContentType::Data
                && m.partition_spec_id == spec_id
                && count(m.added_files_count).saturating_add(count(m.existing_files_count))
                    < LARGE_MANIFEST
        };
        let live: Vec<&ManifestFile> = list.iter().filter(|m| live(m)).collect();
        let (small, large): (Vec<&ManifestFile>, Vec<&ManifestFile>) =
            live.iter().partition(|m| small(m));
        if small.len() < MERGE_FROM {
            return Ok(live.into_iter().cloned().collect());
        }
        let mut entries = Vec::new();
        for manifest in small {
            entries.extend(files::entries(self.store, self.folder, manifest)?);
        }
        let snapshot_id = self.snapshot_id;
        let merged = self.write(spec_id, |writer| {
            entries.into_iter().try_for_each(|entry| {
                writer.add_existing_file(
                    entry.data_file,
                    entry.snapshot_id.unwrap_or(snapshot_id),
                    entry.sequence_number.unwrap_or_default(),
                    entry.file_sequence_number,
                )
            })
        })?;
        let mut manifests = vec![merged];
        manifests.extend(large.into_iter().cloned());
        Ok(manifests)
    }

    fn write(
        &mut self,
        spec_id: i32,
        fill: impl FnOnce(&mut ManifestWriter) -> iceberg::Result<()>,
    ) -> Result<ManifestFile, Error> {
        let spec = self
            .metadata
            .partition_spec_by_id(spec_id)
            .ok_or_else(|| Error::Internal(format!("there is no partition spec {spec_id}")))?;
        let number = self.written.len();
        let key = format!(
            "{}/metadata/{}-m{number}.avro",
            self.folder.key, self.attempt
        );
        self.written.push(key.clone());
        files::write_manifest(
            self.store,
            self.folder,
            &key,
            self.snapshot_id,
            Arc::clone(&self.schema),
            spec.as_ref().clone(),
            fill,
        )
    }
}
