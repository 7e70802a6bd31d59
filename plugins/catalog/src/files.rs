//! Reading and writing a table's metadata files: metadata JSON, manifest lists
//! and manifests. All are immutable, so what was decoded is kept.

use std::cell::RefCell;
use std::rc::Rc;

use futures::executor::block_on;
use iceberg::io::FileIO;
use iceberg::spec::{
    Manifest, ManifestContentType, ManifestEntry, ManifestFile, ManifestList, ManifestListWriter,
    ManifestStatus, ManifestWriter, ManifestWriterBuilder, PartitionSpec, SchemaRef, Snapshot,
    TableMetadata,
};
use lakehouse_sdk::catalog_export::DataFile as ApiFile;
use lakehouse_sdk::types::Error;
use serde_json::Value;

use crate::avro_header;
use crate::cache::Cache;
use crate::location::Folder;
use crate::stats;
use crate::store::{Condition, Store};

/// Encoded bytes of metadata files kept decoded.
const METADATA_CACHE: usize = 8 << 20;
/// Encoded bytes of manifest lists kept decoded.
const LIST_CACHE: usize = 4 << 20;
/// Encoded bytes of manifests kept decoded.
const MANIFEST_CACHE: usize = 8 << 20;

/// Sequence number of tables that have none: what comes from version 1.
const INITIAL_SEQUENCE_NUMBER: i64 = 0;

/// Decoded files of a warm instance.
#[derive(Debug)]
pub struct Caches {
    metadata: RefCell<Cache<TableMetadata>>,
    lists: RefCell<Cache<Vec<ManifestFile>>>,
    manifests: RefCell<Cache<Vec<ApiFile>>>,
}

impl Default for Caches {
    fn default() -> Self {
        Self {
            metadata: RefCell::new(Cache::new(METADATA_CACHE)),
            lists: RefCell::new(Cache::new(LIST_CACHE)),
            manifests: RefCell::new(Cache::new(MANIFEST_CACHE)),
        }
    }
}

/// A file that cannot be what it is said to be.
pub fn damaged(key: &str, why: impl std::fmt::Display) -> Error {
    Error::Internal(format!("{key} is damaged: {why}"))
}

/// A table's own file, which must be there.
fn get(store: &impl Store, key: &str) -> Result<Vec<u8>, Error> {
    match store.get(key) {
        Ok(object) => Ok(object.content),
        Err(Error::NotFound(_)) => Err(Error::Internal(format!("{key} is missing"))),
        Err(error) => Err(error),
    }
}

/// Reads a metadata file.
///
/// # Errors
/// [`Error::Internal`] naming the file if it is missing or damaged.
pub fn metadata(
    store: &impl Store,
    caches: &Caches,
    key: &str,
) -> Result<Rc<TableMetadata>, Error> {
    if let Some(metadata) = caches.metadata.borrow_mut().get(key) {
        return Ok(metadata);
    }
    let content = get(store, key)?;
    let metadata: TableMetadata = serde_json::from_slice(&content).map_err(|e| damaged(key, e))?;
    let metadata = Rc::new(metadata);
    caches
        .metadata
        .borrow_mut()
        .put(key, Rc::clone(&metadata), content.len());
    Ok(metadata)
}

/// Metadata as Iceberg's JSON, with snapshots and schemas in the order in which
/// they were made: the library keeps them in no order, and readers show them in
/// the file's.
///
/// # Errors
/// [`Error::Internal`] if the metadata is of a kind that cannot be written.
pub fn metadata_json(metadata: &TableMetadata) -> Result<Value, Error> {
    let mut json = serde_json::to_value(metadata)
        .map_err(|e| Error::Internal(format!("cannot encode metadata: {e}")))?;
    for (list, number) in [("snapshots", "sequence-number"), ("schemas", "schema-id")] {
        if let Some(Value::Array(entries)) = json.get_mut(list) {
            entries.sort_by_key(|entry| entry.get(number).and_then(Value::as_i64));
        }
    }
    Ok(json)
}

/// Writes a metadata file.
///
/// # Errors
/// What the store reports.
pub fn write_metadata(
    store: &impl Store,
    caches: &Caches,
    key: &str,
    metadata: TableMetadata,
) -> Result<(), Error> {
    let content = metadata_json(&metadata)?.to_string().into_bytes();
    let bytes = content.len();
    store.put(key, content, Condition::Absent)?;
    caches
        .metadata
        .borrow_mut()
        .put(key, Rc::new(metadata), bytes);
    Ok(())
}

/// The manifests of a snapshot.
///
/// # Errors
/// [`Error::Internal`] naming the list if it is missing or damaged.
pub fn manifest_list(
    store: &impl Store,
    caches: &Caches,
    folder: &Folder,
    metadata: &TableMetadata,
    snapshot: &Snapshot,
) -> Result<Rc<Vec<ManifestFile>>, Error> {
    let key = key_of(folder, snapshot.manifest_list())?;
    if let Some(list) = caches.lists.borrow_mut().get(&key) {
        return Ok(list);
    }
    let content = get(store, &key)?;
    avro_header::check(&content).map_err(|e| damaged(&key, e))?;
    let list = ManifestList::parse_with_version(&content, metadata.format_version())
        .map_err(|e| damaged(&key, e))?;
    let list = Rc::new(list.consume_entries().into_iter().collect::<Vec<_>>());
    caches
        .lists
        .borrow_mut()
        .put(&key, Rc::clone(&list), content.len());
    Ok(list)
}

/// The live entries of a manifest, with what they inherit from the list.
///
/// # Errors
/// [`Error::Internal`] naming the manifest if it is missing or damaged.
pub fn entries(
    store: &impl Store,
    folder: &Folder,
    manifest: &ManifestFile,
) -> Result<Vec<ManifestEntry>, Error> {
    let key = key_of(folder, &manifest.manifest_path)?;
    let content = get(store, &key)?;
    avro_header::check(&content).map_err(|e| damaged(&key, e))?;
    let parsed = Manifest::parse_avro(&content).map_err(|e| damaged(&key, e))?;
    let (entries, _) = parsed.into_parts();
    Ok(entries
        .into_iter()
        .filter(|entry| entry.is_alive())
        .map(|entry| inherit(entry.as_ref().clone(), manifest))
        .collect())
}

/// The live data files of a manifest, as callers see them.
///
/// # Errors
/// [`Error::Internal`] naming the manifest if it is missing or damaged.
pub fn data_files(
    store: &impl Store,
    caches: &Caches,
    folder: &Folder,
    manifest: &ManifestFile,
) -> Result<Rc<Vec<ApiFile>>, Error> {
    let key = key_of(folder, &manifest.manifest_path)?;
    if let Some(files) = caches.manifests.borrow_mut().get(&key) {
        return Ok(files);
    }
    let mut files = Vec::new();
    for entry in entries(store, folder, manifest)? {
        let file = entry.data_file();
        let file_key = folder.key_of(file.file_path()).ok_or_else(|| {
            damaged(
                &key,
                format_args!("{} is outside of the table's folder", file.file_path()),
            )
        })?;
        files.push(stats::from_iceberg(file, file_key));
    }
    let files = Rc::new(files);
    let bytes = usize::try_from(manifest.manifest_length).unwrap_or(usize::MAX);
    caches
        .manifests
        .borrow_mut()
        .put(&key, Rc::clone(&files), bytes);
    Ok(files)
}

/// What the specification lets a manifest leave to its list.
fn inherit(mut entry: ManifestEntry, manifest: &ManifestFile) -> ManifestEntry {
    if entry.snapshot_id.is_none() {
        entry.snapshot_id = Some(manifest.added_snapshot_id);
    }
    if entry.status == ManifestStatus::Added || manifest.sequence_number == INITIAL_SEQUENCE_NUMBER
    {
        let number = manifest.sequence_number;
        entry.sequence_number.get_or_insert(number);
        entry.file_sequence_number.get_or_insert(number);
    }
    entry
}

fn key_of(folder: &Folder, location: &str) -> Result<String, Error> {
    folder.key_of(location).ok_or_else(|| {
        Error::Internal(format!(
            "the metadata in {} names {location:?}, which is outside of the table's folder",
            folder.key
        ))
    })
}

/// Writes a manifest of data files and says what the list must hold of it.
///
/// `fill` adds the entries. Nothing is written if it adds none.
///
/// # Errors
/// What the store reports, or [`Error::Internal`] if an entry is not valid.
pub fn write_manifest(
    store: &impl Store,
    folder: &Folder,
    key: &str,
    snapshot_id: i64,
    schema: SchemaRef,
    spec: PartitionSpec,
    fill: impl FnOnce(&mut ManifestWriter) -> iceberg::Result<()>,
) -> Result<ManifestFile, Error> {
    let location = own_location(folder, key)?;
    let memory = FileIO::new_with_memory();
    let broken = |e: iceberg::Error| Error::Internal(format!("cannot encode {key}: {e}"));
    let (manifest, content) = block_on(async {
        let output = memory.new_output(&location)?;
        let mut writer =
            ManifestWriterBuilder::new(output, Some(snapshot_id), schema, spec).build_v2_data();
        fill(&mut writer)?;
        let manifest = writer.write_manifest_file().await?;
        let content = memory.new_input(&location)?.read().await?;
        Ok((manifest, content))
    })
    .map_err(broken)?;
    store.put(key, content.to_vec(), Condition::Absent)?;
    Ok(manifest)
}

/// Writes the manifest list of a new snapshot.
///
/// # Errors
/// What the store reports, or [`Error::Internal`] if a manifest is not valid.
pub fn write_manifest_list(
    store: &impl Store,
    folder: &Folder,
    key: &str,
    snapshot_id: i64,
    parent: Option<i64>,
    sequence_number: i64,
    manifests: Vec<ManifestFile>,
) -> Result<String, Error> {
    let location = own_location(folder, key)?;
    let memory = FileIO::new_with_memory();
    let content = block_on(async {
        let output = memory.new_output(&location)?.writer().await?;
        let mut writer = ManifestListWriter::v2(output, snapshot_id, parent, sequence_number);
        writer.add_manifests(manifests.into_iter())?;
        writer.close().await?;
        memory.new_input(&location)?.read().await
    })
    .map_err(|e: iceberg::Error| Error::Internal(format!("cannot encode {key}: {e}")))?;
    store.put(key, content.to_vec(), Condition::Absent)?;
    Ok(location)
}

fn own_location(folder: &Folder, key: &str) -> Result<String, Error> {
    folder
        .location_of(key)
        .ok_or_else(|| Error::Internal(format!("{key} is not in {}", folder.key)))
}

/// Whether a manifest still holds files of the given content.
pub fn is_live(manifest: &ManifestFile, content: ManifestContentType) -> bool {
    manifest.content == content && (manifest.has_added_files() || manifest.has_existing_files())
}
