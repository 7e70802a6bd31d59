//! Files that nothing refers to.

use super::*;
use crate::orphans;

/// Every file was put at this time, unless a test says otherwise.
const THEN: u64 = 0;

fn found(store: &MemoryStore, older_than: u64) -> Vec<String> {
    let files = orphans::find(store, &Caches::default(), &name(), older_than).unwrap();
    files.into_iter().map(|file| file.key).collect()
}

#[test]
fn only_old_files_that_nothing_refers_to_are_orphans() {
    let store = MemoryStore::default();
    let first = append(&store, 0).snapshot.id;
    append(&store, 100);
    apply(&store, &change(&store, WriteMode::Overwrite, 200)).unwrap();
    table_ops::rollback(&store, &Caches::default(), &name(), first).unwrap();
    for from in [0, 100, 200] {
        store.overwrite(&format!("warehouse/default/t/data/{from}.parquet"), b"rows");
    }
    assert!(found(&store, u64::MAX).is_empty(), "all is referred to");
    for (key, modified) in [
        ("warehouse/default/t/data/killed.parquet", THEN),
        ("warehouse/default/t/data/young.parquet", 100),
        ("warehouse/default/t/metadata/lost-m0.avro", THEN),
        ("warehouse/default/t2/data/other.parquet", THEN),
        ("warehouse/default/t.1/data/next.parquet", THEN),
    ] {
        store.overwrite(key, b"left");
        store.touch(key, modified);
    }
    assert!(found(&store, THEN).is_empty());
    assert_eq!(
        found(&store, 100),
        [
            "warehouse/default/t/data/killed.parquet",
            "warehouse/default/t/metadata/lost-m0.avro",
        ]
    );
}

#[test]
fn what_dropped_tables_left_is_found() {
    let store = MemoryStore::default();
    append(&store, 0);
    table_ops::drop(&store, &name()).unwrap();
    store.overwrite("warehouse/default/t/data/late.parquet", b"left");
    store.overwrite("warehouse/default/t.1/data/early.parquet", b"left");
    let both = [
        "warehouse/default/t/data/late.parquet",
        "warehouse/default/t.1/data/early.parquet",
    ];
    assert_eq!(found(&store, 1), both, "there is no table now");
    append(&store, 500);
    assert_eq!(found(&store, 1), both);
    let nobody = TableName {
        name: "nobody".to_owned(),
        ..name()
    };
    let none = orphans::find(&store, &Caches::default(), &nobody, 1);
    assert!(matches!(none, Err(Error::NotFound(_))));
}

#[test]
fn nothing_is_an_orphan_while_metadata_are_damaged() {
    let store = MemoryStore::default();
    append(&store, 0);
    store.overwrite("warehouse/default/t/data/killed.parquet", b"left");
    for suffix in [".metadata.json", "-m0.avro"] {
        let files = metadata_files(&store);
        let key = files.iter().find(|key| key.ends_with(suffix)).unwrap();
        let whole = store.get(key).unwrap().content;
        store.overwrite(key, b"damage");
        let judged = orphans::find(&store, &Caches::default(), &name(), 1);
        assert!(matches!(judged, Err(Error::Internal(_))), "{key}");
        store.overwrite(key, &whole);
    }
    assert_eq!(found(&store, 1).len(), 1);
}
