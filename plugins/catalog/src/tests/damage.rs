//! Damaged files and malformed requests.

use super::*;

#[test]
fn damage_is_named_and_stays_where_it_is() {
    let store = MemoryStore::default();
    append(&store, 0);
    let other = TableName {
        name: "other".to_owned(),
        ..name()
    };
    commit::create(&store, &Caches::default(), &other, &ipc(columns()), vec![]).unwrap();
    let suffixes = [".metadata.json", "-m0.avro"];
    for suffix in suffixes {
        let files = metadata_files(&store);
        let key = files.iter().find(|key| key.ends_with(suffix)).unwrap();
        let whole = store.get(key).unwrap().content;
        for damage in [&b""[..], b"garbage", &whole[..whole.len() / 2]] {
            store.overwrite(key, damage);
            let caches = Caches::default();
            let planned = table::read(&store, &caches, &name())
                .and_then(|table| plan::plan(&store, &caches, &table, Version::Current, &[]));
            let Err(Error::Internal(text)) = planned else {
                panic!("{key} is not missed")
            };
            assert!(text.contains(key.as_str()), "{text}");
        }
        store.overwrite(key, &whole);
    }
    store.overwrite("catalog/tables/default/t.json", b"{");
    let tables = table_ops::listed(&store, None).unwrap();
    let states: Vec<_> = tables
        .iter()
        .map(|t| (t.name.name.as_str(), t.pointer.is_ok()))
        .collect();
    assert_eq!(states, [("other", true), ("t", false)]);
    assert!(table::read(&store, &Caches::default(), &other).is_ok());
}

#[test]
fn malformed_changes_are_refused() {
    let store = MemoryStore::default();
    let good = change(&store, WriteMode::Append, 0);
    let twice = CommitRequest {
        files: vec![good.files[0].clone(), good.files[0].clone()],
        ..good.clone()
    };
    assert!(matches!(apply(&store, &twice), Err(Error::Invalid(_))));
    for key in [
        "warehouse/default/other/data/x",
        "warehouse/default/t/data/../x",
    ] {
        let mut elsewhere = good.clone();
        elsewhere.files[0].key = key.to_owned();
        assert!(
            matches!(apply(&store, &elsewhere), Err(Error::Conflict(_))),
            "{key}"
        );
    }
    let mut nameless = good.clone();
    nameless.table.name = "a/b".to_owned();
    assert!(matches!(apply(&store, &nameless), Err(Error::Invalid(_))));
    assert!(store.list("").unwrap().is_empty(), "nothing was written");
}

#[test]
fn no_damage_makes_a_panic() {
    let store = MemoryStore::default();
    append(&store, 0);
    for key in metadata_files(&store) {
        let whole = store.get(&key).unwrap().content;
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            store.overwrite(&key, &damaged);
            let caches = Caches::default();
            // Either noticed or harmless.
            let _ = table::read(&store, &caches, &name())
                .and_then(|table| plan::plan(&store, &caches, &table, Version::Current, &[]));
        }
        store.overwrite(&key, &whole);
    }
    assert_eq!(everything(&store), [0]);
}
