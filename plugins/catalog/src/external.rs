//! Changes that other engines make through the Iceberg REST catalog: they write
//! data and manifests by themselves and send what becomes of the metadata.

use std::collections::HashMap;
use std::rc::Rc;

use iceberg::spec::{
    FormatVersion, Schema, SortOrder, TableMetadata, TableMetadataBuilder, UnboundPartitionSpec,
};
use iceberg::{TableRequirement, TableUpdate};
use lakehouse_sdk::catalog_export::TableName;
use lakehouse_sdk::types::Error;

use crate::commit;
use crate::files::Caches;
use crate::names;
use crate::pointer::Slot;
use crate::retry::Backoff;
use crate::snapshot::Draft;
use crate::store::Store;
use crate::table::{self, Table, Totals};

/// The property by which clients ask for a format version.
const FORMAT_VERSION: &str = "format-version";

/// A table that an engine wants.
#[derive(Clone, Debug)]
pub struct NewTable {
    /// Where it wants it; only the catalog's own choice is possible.
    pub location: Option<String>,
    /// Its columns; the ids are assigned anew.
    pub schema: Schema,
    /// Its partitions.
    pub spec: UnboundPartitionSpec,
    /// Its sort order.
    pub order: SortOrder,
    /// Its properties.
    pub properties: HashMap<String, String>,
}

/// Makes an empty table.
///
/// # Errors
/// As [`commit::create`]; [`Error::Unsupported`] for another format version
/// than 2.
pub fn create(
    store: &impl Store,
    caches: &Caches,
    name: &TableName,
    mut new: NewTable,
) -> Result<Table, Error> {
    if let Some(version) = new.properties.remove(FORMAT_VERSION)
        && version != "2"
    {
        let text = format!("format version {version}; tables are of version 2");
        return Err(Error::Unsupported(text));
    }
    let properties = commit::with_defaults(new.properties);
    commit::create_with(store, caches, name, |location| {
        if let Some(wanted) = &new.location
            && wanted.trim_end_matches('/') != location
        {
            let text = format!("the location of this table can only be {location}");
            return Err(Error::Invalid(text));
        }
        TableMetadataBuilder::new(
            new.schema.clone(),
            new.spec.clone(),
            new.order.clone(),
            location.to_owned(),
            FormatVersion::V2,
            properties.clone(),
        )
        .and_then(TableMetadataBuilder::build)
        .map(|built| built.metadata)
        .map_err(|e| Error::Invalid(format!("the table cannot be made: {}", e.message())))
    })
}

/// Applies updates if the table is as required; both are judged anew when
/// another writer was faster.
///
/// # Errors
/// [`Error::Conflict`] if a requirement does not hold; [`Error::Invalid`] for
/// an update that makes no valid metadata.
pub fn apply(
    store: &impl Store,
    caches: &Caches,
    name: &TableName,
    requirements: &[TableRequirement],
    updates: &[TableUpdate],
) -> Result<Table, Error> {
    names::check_table(name)?;
    let mut backoff = Backoff::default();
    loop {
        let current = table::read(store, caches, name)?;
        for requirement in requirements {
            requirement
                .check(Some(&current.metadata))
                .map_err(|e| Error::Conflict(e.message().to_owned()))?;
        }
        let url = format!("{}/{}", store.base_url(), current.live.metadata_key);
        let mut builder = current.metadata.as_ref().clone().into_builder(Some(url));
        for update in updates {
            check(&current.metadata, update)?;
            builder = update.clone().apply(builder).map_err(invalid)?;
        }
        let built = builder.build().map_err(invalid)?;
        let totals = totals(store, caches, &current, &built.metadata)?;
        let expired = if commit::deletes_old_metadata(&built.metadata) {
            let logs = built.expired_metadata_logs.into_iter();
            logs.map(|log| log.metadata_file).collect()
        } else {
            Vec::new()
        };
        let draft = Draft {
            totals,
            ..Draft::empty(built.metadata)
        };
        let slot = Slot::Live(current.live.clone());
        let base = current.live.pointer;
        let folder = &current.folder;
        if let Some(live) = commit::publish(store, caches, name, &slot, folder, base, draft)? {
            commit::remove_expired(store, folder, &expired);
            return table::open(store, caches, name, live);
        }
        backoff.pause(name)?;
    }
}

fn invalid(error: iceberg::Error) -> Error {
    Error::Invalid(format!("the change is not valid: {}", error.message()))
}

/// The pointer says what the table is and where; no update may say otherwise.
fn check(metadata: &TableMetadata, update: &TableUpdate) -> Result<(), Error> {
    let what = match update {
        TableUpdate::SetLocation { location }
            if location.trim_end_matches('/') != metadata.location() =>
        {
            "the location"
        }
        TableUpdate::AssignUuid { uuid } if *uuid != metadata.uuid() => "the UUID",
        _ => return Ok(()),
    };
    Err(Error::Invalid(format!(
        "{what} of a table cannot be changed"
    )))
}

fn totals(
    store: &impl Store,
    caches: &Caches,
    current: &Table,
    metadata: &TableMetadata,
) -> Result<Totals, Error> {
    let Some(snapshot) = metadata.current_snapshot() else {
        return Ok(Totals::default());
    };
    let next = Table {
        metadata: Rc::new(metadata.clone()),
        ..current.clone()
    };
    next.totals(store, caches, snapshot)
}
