//! Another writer is faster.

use super::*;

#[test]
fn a_faster_writer_is_not_lost() {
    let store = MemoryStore::default();
    append(&store, 0);
    let slow = change(&store, WriteMode::Append, 200);
    store.before_put("catalog/tables/", |store| {
        append(store, 100);
    });
    let result = apply(&store, &slow).unwrap();
    assert_eq!(result.table.rows, 30);
    assert_eq!(everything(&store), [0, 100, 200]);
    // Three commits of metadata, list and manifest each: the lost attempt left nothing.
    assert_eq!(
        metadata_files(&store).len(),
        9,
        "{:?}",
        metadata_files(&store)
    );
}

#[test]
fn two_writers_can_make_the_same_table() {
    let store = MemoryStore::default();
    let slow = change(&store, WriteMode::Append, 100);
    store.before_put("catalog/tables/", |store| {
        append(store, 0);
    });
    apply(&store, &slow).unwrap();
    assert_eq!(everything(&store), [0, 100]);
}

#[test]
fn creating_what_another_writer_has_just_made_fails() {
    let store = MemoryStore::default();
    let slow = change(&store, WriteMode::Create, 100);
    store.before_put("catalog/tables/", |store| {
        append(store, 0);
    });
    assert!(matches!(apply(&store, &slow), Err(Error::AlreadyExists(_))));
    assert_eq!(everything(&store), [0]);
    assert_eq!(metadata_files(&store).len(), 3);
}

#[test]
fn files_written_for_another_schema_are_not_committed() {
    let store = MemoryStore::default();
    let slow = change(&store, WriteMode::Append, 100);
    store.before_put("catalog/tables/", |store| {
        let mut columns = columns();
        columns.reverse();
        commit::create(store, &Caches::default(), &name(), &ipc(columns), vec![]).unwrap();
    });
    let Err(Error::Conflict(text)) = apply(&store, &slow) else {
        panic!("it was committed")
    };
    assert!(text.contains("field id"), "{text}");
}

#[test]
fn the_same_key_counts_once() {
    let store = MemoryStore::default();
    let mut once = change(&store, WriteMode::Append, 0);
    once.idempotency_key = Some("k".to_owned());
    let first = apply(&store, &once).unwrap();
    append(&store, 100);
    let again = apply(&store, &once).unwrap();
    assert!(!again.changed);
    assert_eq!(again.snapshot.id, first.snapshot.id);
    assert_eq!(again.table.rows, 10, "the result of the first time");
    assert_eq!(everything(&store), [0, 100]);
    let find = |key| commit::find(&store, &Caches::default(), &name(), key).unwrap();
    assert_eq!(find("k").map(|r| r.snapshot.id), Some(first.snapshot.id));
    assert!(find("other").is_none());
    // Two at once: the second sees the first when it has lost its race.
    let mut racing = change(&store, WriteMode::Append, 200);
    racing.idempotency_key = Some("race".to_owned());
    let twin = racing.clone();
    store.before_put("catalog/tables/", move |store| {
        apply(store, &twin).unwrap();
    });
    assert!(!apply(&store, &racing).unwrap().changed);
    assert_eq!(everything(&store), [0, 100, 200]);
}

#[test]
fn a_table_does_not_survive_its_namespace() {
    let store = MemoryStore::default();
    namespaces::create(&store, "sales").unwrap();
    let in_sales = TableName {
        namespace: "sales".to_owned(),
        ..name()
    };
    store.before_put("catalog/tables/", |store| {
        namespaces::drop(store, "sales").unwrap();
    });
    let made = commit::create(
        &store,
        &Caches::default(),
        &in_sales,
        &ipc(columns()),
        vec![],
    );
    assert!(matches!(made, Err(Error::NotFound(_))));
    assert!(
        table_ops::under(&store, &names::pointer_prefix("sales"))
            .unwrap()
            .is_empty()
    );
}
