//! Files that no snapshot of a table refers to: what a write leaves that was killed,
//! or that could not remove its files when it lost its race.
//!
//! A write puts its files before the commit that refers to them, so a young file may
//! be one of a write under way: only files older than a bound are taken for orphans.

use std::collections::HashSet;

use lakehouse_sdk::catalog_export::TableName;
use lakehouse_sdk::types::Error;

use crate::files::{self, Caches};
use crate::names;
use crate::pointer::{self, Slot};
use crate::store::{Listing, Store};
use crate::table::{self, Table};

/// The files of a name that nothing refers to and that were last written before
/// `older_than`, in milliseconds since 1970. Folders of dropped tables of that name
/// count as well.
///
/// # Errors
/// [`Error::NotFound`] if there is neither a table nor a file;
/// [`Error::Internal`] if metadata are damaged: then nothing is known of any file.
pub fn find(
    store: &impl Store,
    caches: &Caches,
    name: &TableName,
    older_than: u64,
) -> Result<Vec<Listing>, Error> {
    names::check_table(name)?;
    let (table, generation) = match pointer::read(store, name)? {
        Slot::Live(live) => {
            let generation = live.pointer.generation;
            (Some(table::open(store, caches, name, live)?), generation)
        }
        Slot::Free { generation, .. } => (None, generation),
    };
    let mut known = HashSet::new();
    if let Some(table) = &table {
        refer(store, caches, table, &mut known)?;
    }
    let mut any = table.is_some();
    let mut orphans = Vec::new();
    for generation in 0..=generation {
        // The slash keeps `t.1` and `t2` out of what is looked at for `t`.
        let folder = format!("{}/", names::folder_key(name, generation));
        store.walk(&folder, &mut |file| {
            any = true;
            if file.modified < older_than && !known.contains(&file.key) {
                orphans.push(file);
            }
        })?;
    }
    if !any {
        return Err(Error::NotFound(format!(
            "there is no table {}",
            names::display(name)
        )));
    }
    // What was committed meanwhile may refer to an old file.
    if !orphans.is_empty()
        && let Slot::Live(live) = pointer::read(store, name)?
        && table.is_none_or(|table| table.live.metadata_key != live.metadata_key)
    {
        let table = table::open(store, caches, name, live)?;
        refer(store, caches, &table, &mut known)?;
        orphans.retain(|file| !known.contains(&file.key));
    }
    Ok(orphans)
}

/// Adds every file that the table's metadata refer to.
fn refer(
    store: &impl Store,
    caches: &Caches,
    table: &Table,
    known: &mut HashSet<String>,
) -> Result<(), Error> {
    let (folder, metadata) = (&table.folder, &table.metadata);
    known.insert(table.live.metadata_key.clone());
    let log = metadata.metadata_log().iter().map(|log| &log.metadata_file);
    let statistics = metadata.statistics_iter().map(|file| &file.statistics_path);
    let by_partition = metadata
        .partition_statistics_iter()
        .map(|file| &file.statistics_path);
    let locations = log.chain(statistics).chain(by_partition);
    known.extend(locations.filter_map(|location| folder.key_of(location)));
    for snapshot in metadata.snapshots() {
        known.extend(folder.key_of(snapshot.manifest_list()));
        let list = files::manifest_list(store, caches, folder, metadata, snapshot)?;
        for manifest in list.iter() {
            let Some(key) = folder.key_of(&manifest.manifest_path) else {
                continue;
            };
            let read = manifest.has_added_files() || manifest.has_existing_files();
            if known.insert(key) && read {
                let entries = files::entries(store, folder, manifest)?;
                let files = entries.iter().map(|entry| entry.data_file().file_path());
                known.extend(files.filter_map(|location| folder.key_of(location)));
            }
        }
    }
    Ok(())
}
