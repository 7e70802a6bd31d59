//! What is done with whole tables: list, roll back, drop.

use iceberg::spec::{MAIN_BRANCH, SnapshotReference, SnapshotRetention};
use lakehouse_sdk::catalog_export::{TableInfo, TableName, Version};
use lakehouse_sdk::types::Error;

use crate::commit;
use crate::files::Caches;
use crate::names;
use crate::namespaces;
use crate::pointer::{self, Slot};
use crate::retry::Backoff;
use crate::snapshot::Draft;
use crate::store::Store;
use crate::table;

/// A line of a listing.
#[derive(Debug)]
pub struct Listed {
    /// The table.
    pub name: TableName,
    /// Its pointer, or what is wrong with it.
    pub pointer: Result<pointer::Pointer, Error>,
}

/// Tables of one namespace or of all, by name, with their pointers. A damaged
/// pointer does not hide the others.
///
/// # Errors
/// [`Error::NotFound`] for the namespace.
pub fn listed(store: &impl Store, namespace: Option<&str>) -> Result<Vec<Listed>, Error> {
    match namespace {
        Some(namespace) => {
            namespaces::require(store, namespace)?;
            under(store, &names::pointer_prefix(namespace))
        }
        None => under(store, names::TABLES),
    }
}

/// The tables whose pointers have this prefix.
///
/// # Errors
/// What the store reports.
pub fn under(store: &impl Store, prefix: &str) -> Result<Vec<Listed>, Error> {
    let mut tables = Vec::new();
    for key in store.list(prefix)? {
        let Some(name) = names::pointer_table(&key) else {
            continue;
        };
        let pointer = match pointer::read(store, &name) {
            Ok(Slot::Free { .. }) => continue,
            Ok(Slot::Live(live)) => Ok(live.pointer),
            Err(error @ Error::Internal(_)) => Err(error),
            Err(error) => return Err(error),
        };
        tables.push(Listed { name, pointer });
    }
    // Keys end in `.json`, which orders them otherwise than the names.
    tables.sort_by(|a, b| {
        let of = |t: &Listed| (t.name.namespace.clone(), t.name.name.clone());
        of(a).cmp(&of(b))
    });
    Ok(tables)
}

/// Names of the tables of one namespace or of all, ascending.
///
/// # Errors
/// As [`listed`].
pub fn list(store: &impl Store, namespace: Option<&str>) -> Result<Vec<TableName>, Error> {
    let tables = listed(store, namespace)?;
    Ok(tables.into_iter().map(|table| table.name).collect())
}

/// Makes an older snapshot the current one, as a change of its own: the newer
/// snapshots stay and can be rolled forward to.
///
/// # Errors
/// [`Error::NotFound`] for the table or the snapshot.
pub fn rollback(
    store: &impl Store,
    caches: &Caches,
    name: &TableName,
    snapshot_id: i64,
) -> Result<TableInfo, Error> {
    names::check_table(name)?;
    let mut backoff = Backoff::default();
    loop {
        let current = table::read(store, caches, name)?;
        let snapshot = current.snapshot(snapshot_id)?;
        if current.metadata.current_snapshot_id() == Some(snapshot_id) {
            return current.info(store, caches, Version::Current);
        }
        let totals = current.totals(store, caches, snapshot)?;
        let url = format!("{}/{}", store.base_url(), current.live.metadata_key);
        let reference =
            SnapshotReference::new(snapshot_id, SnapshotRetention::branch(None, None, None));
        let built = current
            .metadata
            .as_ref()
            .clone()
            .into_builder(Some(url))
            .set_ref(MAIN_BRANCH, reference)
            .and_then(iceberg::spec::TableMetadataBuilder::build)
            .map_err(|e| Error::Internal(format!("cannot roll back: {e}")))?;
        let draft = Draft {
            totals,
            ..Draft::empty(built.metadata)
        };
        let slot = Slot::Live(current.live.clone());
        let base = current.live.pointer;
        if let Some(live) =
            commit::publish(store, caches, name, &slot, &current.folder, base, draft)?
        {
            return table::open(store, caches, name, live)?.info(store, caches, Version::Current);
        }
        backoff.pause(name)?;
    }
}

/// Removes a table, then its files. Works on a table whose metadata is damaged.
///
/// # Errors
/// [`Error::NotFound`]; what the store reports for the pointer. Files that
/// cannot be removed stay.
pub fn drop(store: &impl Store, name: &TableName) -> Result<(), Error> {
    names::check_table(name)?;
    let mut backoff = Backoff::default();
    loop {
        let slot = pointer::read(store, name)?;
        let Slot::Live(live) = &slot else {
            return Err(Error::NotFound(format!(
                "there is no table {}",
                names::display(name)
            )));
        };
        match pointer::put(store, name, &live.pointer.tombstone(), slot.condition()) {
            Ok(_) => {
                // The slash keeps `t.1` and `t2` out of what is removed for `t`.
                if let Ok(keys) = store.list(&format!("{}/", live.folder_key)) {
                    commit::remove(store, &keys);
                }
                return Ok(());
            }
            Err(Error::PreconditionFailed(_)) => backoff.pause(name)?,
            Err(error) => return Err(error),
        }
    }
}
