//! The pointer of a table: the one object whose conditional put is a commit.

use lakehouse_sdk::catalog_export::TableName;
use lakehouse_sdk::types::Error;
use serde::{Deserialize, Serialize};

use crate::location;
use crate::names;
use crate::store::{Condition, Store};

/// Version of the pointer's own format.
const FORMAT: u32 = 1;

/// What a pointer's object holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// Version of this format.
    pub format: u32,
    /// The table's UUID.
    pub uuid: String,
    /// How many tables of this name were dropped before this one.
    pub generation: u32,
    /// Commits so far; numbers the metadata files.
    pub version: u32,
    /// Key of the newest metadata file. None: the table was dropped, and the
    /// pointer stays as a tombstone so that a late writer loses its race.
    pub metadata_location: Option<String>,
    /// The current snapshot.
    pub snapshot_id: Option<i64>,
    /// Rows in it, so that a listing reads one object a table.
    pub rows: u64,
    /// Bytes of its data files.
    pub bytes: u64,
}

/// A table that is there.
#[derive(Clone, Debug)]
pub struct Live {
    /// Its pointer.
    pub pointer: Pointer,
    /// Key of its newest metadata file.
    pub metadata_key: String,
    /// Key of its folder.
    pub folder_key: String,
    /// ETag of the pointer.
    pub etag: String,
}

/// What is under a table's name.
#[derive(Clone, Debug)]
pub enum Slot {
    /// A table.
    Live(Live),
    /// No table; one made now has this generation and replaces this tombstone.
    Free {
        /// Generation of the next table.
        generation: u32,
        /// ETag of the tombstone, if there is one.
        tombstone: Option<String>,
    },
}

impl Slot {
    /// The condition under which a put replaces what is here.
    pub fn condition(&self) -> Condition<'_> {
        match self {
            Self::Live(live) => Condition::Matches(&live.etag),
            Self::Free {
                tombstone: Some(etag),
                ..
            } => Condition::Matches(etag),
            Self::Free {
                tombstone: None, ..
            } => Condition::Absent,
        }
    }
}

impl Pointer {
    /// The first pointer of a table, before its first metadata file.
    pub fn first(uuid: String, generation: u32) -> Self {
        Self {
            format: FORMAT,
            uuid,
            generation,
            version: 0,
            metadata_location: None,
            snapshot_id: None,
            rows: 0,
            bytes: 0,
        }
    }

    /// The tombstone that replaces this pointer.
    pub fn tombstone(&self) -> Self {
        Self {
            metadata_location: None,
            snapshot_id: None,
            rows: 0,
            bytes: 0,
            ..self.clone()
        }
    }
}

/// Reads what is under a table's name.
///
/// # Errors
/// [`Error::Internal`] naming the pointer if it is damaged.
pub fn read(store: &impl Store, table: &TableName) -> Result<Slot, Error> {
    let key = names::pointer_key(table);
    let object = match store.get(&key) {
        Ok(object) => object,
        Err(Error::NotFound(_)) => {
            return Ok(Slot::Free {
                generation: 0,
                tombstone: None,
            });
        }
        Err(error) => return Err(error),
    };
    let damaged = |why: &dyn std::fmt::Display| {
        Error::Internal(format!(
            "the pointer {key} of table {} is damaged: {why}",
            names::display(table)
        ))
    };
    let pointer: Pointer = serde_json::from_slice(&object.content).map_err(|e| damaged(&e))?;
    if pointer.format != FORMAT {
        return Err(damaged(&format!("format {} is unknown", pointer.format)));
    }
    let Some(metadata_key) = pointer.metadata_location.clone() else {
        return Ok(Slot::Free {
            generation: pointer.generation.saturating_add(1),
            tombstone: Some(object.etag),
        });
    };
    let folder_key = names::folder_key(table, pointer.generation);
    // Whoever can change a pointer must not be able to point into another table.
    if location::folder_of_metadata(&metadata_key) != Some(folder_key.as_str()) {
        return Err(damaged(&format!(
            "{metadata_key:?} is not in the table's folder {folder_key}"
        )));
    }
    Ok(Slot::Live(Live {
        pointer,
        metadata_key,
        folder_key,
        etag: object.etag,
    }))
}

/// Puts a pointer if what is there is still what was read; its new ETag.
///
/// # Errors
/// [`Error::PreconditionFailed`] or [`Error::AlreadyExists`] if another writer
/// was faster; otherwise what the store reports.
pub fn put(
    store: &impl Store,
    table: &TableName,
    pointer: &Pointer,
    condition: Condition<'_>,
) -> Result<String, Error> {
    let content = serde_json::to_vec(pointer)
        .map_err(|e| Error::Internal(format!("cannot encode a pointer: {e}")))?;
    store.put(&names::pointer_key(table), content, condition)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fake::MemoryStore;

    fn name() -> TableName {
        TableName {
            namespace: "ns".to_owned(),
            name: "t".to_owned(),
        }
    }

    fn live() -> Pointer {
        Pointer {
            metadata_location: Some("warehouse/ns/t/metadata/00000-a.metadata.json".to_owned()),
            snapshot_id: Some(i64::MAX),
            rows: 3,
            ..Pointer::first("u".to_owned(), 0)
        }
    }

    #[test]
    fn a_dropped_table_leaves_a_tombstone_of_the_next_generation() {
        let store = MemoryStore::default();
        let slot = read(&store, &name()).unwrap();
        put(&store, &name(), &live(), slot.condition()).unwrap();
        let slot = read(&store, &name()).unwrap();
        let Slot::Live(table) = &slot else {
            panic!("{slot:?}")
        };
        assert_eq!(table.folder_key, "warehouse/ns/t");
        assert_eq!(table.pointer, live());
        put(
            &store,
            &name(),
            &table.pointer.tombstone(),
            slot.condition(),
        )
        .unwrap();
        let slot = read(&store, &name()).unwrap();
        assert!(matches!(
            slot,
            Slot::Free {
                generation: 1,
                tombstone: Some(_)
            }
        ));
    }

    #[test]
    fn the_slower_writer_loses() {
        let store = MemoryStore::default();
        let slot = read(&store, &name()).unwrap();
        put(&store, &name(), &live(), slot.condition()).unwrap();
        let error = put(&store, &name(), &live(), slot.condition()).unwrap_err();
        assert!(matches!(error, Error::AlreadyExists(_)));
    }

    #[test]
    fn damage_is_named() {
        let store = MemoryStore::default();
        let elsewhere = Pointer {
            metadata_location: Some("warehouse/ns/other/metadata/x.metadata.json".to_owned()),
            ..live()
        };
        let elsewhere = serde_json::to_vec(&elsewhere).unwrap();
        for content in [&b""[..], b"{}", b"{\"format\":9}", b"\xff\0", &elsewhere] {
            store.overwrite("catalog/tables/ns/t.json", content);
            let Err(Error::Internal(text)) = read(&store, &name()) else {
                panic!("{content:?}")
            };
            assert!(text.contains("catalog/tables/ns/t.json"), "{text}");
        }
    }
}
