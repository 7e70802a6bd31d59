//! Namespaces: one record each; `default` is always there.

use lakehouse_sdk::catalog_export::TableName;
use lakehouse_sdk::types::Error;
use serde_json::json;

use crate::names::{self, DEFAULT_NAMESPACE, NAMESPACES};
use crate::pointer::{self, Live, Slot};
use crate::store::{Condition, Store};
use crate::table_ops;

/// Names of all namespaces, ascending.
///
/// # Errors
/// What the store reports.
pub fn list(store: &impl Store) -> Result<Vec<String>, Error> {
    let mut found: Vec<String> = store
        .list(NAMESPACES)?
        .iter()
        .filter_map(|key| key.strip_prefix(NAMESPACES)?.strip_suffix(".json"))
        .filter(|name| names::check("namespace", name).is_ok())
        .map(str::to_owned)
        .collect();
    found.push(DEFAULT_NAMESPACE.to_owned());
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Makes a namespace.
///
/// # Errors
/// [`Error::AlreadyExists`], [`Error::Invalid`] for its name.
pub fn create(store: &impl Store, name: &str) -> Result<(), Error> {
    names::check("namespace", name)?;
    let exists = || Error::AlreadyExists(format!("namespace {name} exists already"));
    if name == DEFAULT_NAMESPACE {
        return Err(exists());
    }
    match put(store, name) {
        Err(Error::AlreadyExists(_)) => Err(exists()),
        other => other,
    }
}

fn put(store: &impl Store, name: &str) -> Result<(), Error> {
    let record = json!({ "format": 1, "name": name }).to_string();
    store.put(
        &names::namespace_key(name),
        record.into(),
        Condition::Absent,
    )?;
    Ok(())
}

/// Removes an empty namespace.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Conflict`] if it has a table.
pub fn drop(store: &impl Store, name: &str) -> Result<(), Error> {
    require(store, name)?;
    if name == DEFAULT_NAMESPACE {
        return Err(Error::Conflict(format!("namespace {name} is always there")));
    }
    let check_empty = || match table_ops::under(store, &names::pointer_prefix(name))?.first() {
        None => Ok(()),
        Some(table) => Err(Error::Conflict(format!(
            "namespace {name} is not empty: it has table {}",
            table.name.name
        ))),
    };
    check_empty()?;
    store.delete(&names::namespace_key(name))?;
    // A table may have been made meanwhile. Its maker looks for the namespace
    // after it put the pointer and this looks for tables after it removed the
    // namespace, so at least one of the two sees the other.
    if let Err(error) = check_empty() {
        match put(store, name) {
            Ok(()) | Err(Error::AlreadyExists(_)) => return Err(error),
            Err(worse) => return Err(worse),
        }
    }
    Ok(())
}

/// Checks that a namespace is there.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Invalid`] for its name.
pub fn require(store: &impl Store, name: &str) -> Result<(), Error> {
    names::check("namespace", name)?;
    if name == DEFAULT_NAMESPACE {
        return Ok(());
    }
    match store.get(&names::namespace_key(name)) {
        Ok(_) => Ok(()),
        Err(Error::NotFound(_)) => Err(Error::NotFound(format!("there is no namespace {name}"))),
        Err(error) => Err(error),
    }
}

/// Checks after a table was made that its namespace is still there, and takes
/// the table back if not.
///
/// # Errors
/// As [`require`].
pub fn confirm(store: &impl Store, table: &TableName, live: &Live) -> Result<(), Error> {
    let gone = match require(store, &table.namespace) {
        Err(Error::NotFound(gone)) => gone,
        // Whether it is there cannot be said; the table stands.
        _ => return Ok(()),
    };
    if let Slot::Live(now) = pointer::read(store, table)?
        && now.pointer.uuid == live.pointer.uuid
    {
        let condition = Condition::Matches(&now.etag);
        pointer::put(store, table, &now.pointer.tombstone(), condition)?;
    }
    Err(Error::NotFound(gone))
}
