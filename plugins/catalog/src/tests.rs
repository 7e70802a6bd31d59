//! The life of tables on a store in memory.

use arrow_schema::{DataType, Field};
use lakehouse_sdk::catalog_export::{
    ColumnStats, CommitRequest, CommitResult, Comparison, DataFile, Predicate, TableName, Version,
    WriteMode,
};
use lakehouse_sdk::types::{Error, Literal};

use crate::files::Caches;
use crate::schema::testing::{ipc, optional};
use crate::store::Store;
use crate::store::fake::MemoryStore;
use crate::{commit, namespaces, names, plan, table, table_ops};

fn name() -> TableName {
    TableName {
        namespace: "default".to_owned(),
        name: "t".to_owned(),
    }
}

fn columns() -> Vec<Field> {
    vec![
        optional("id", DataType::Int64),
        optional("text", DataType::Utf8),
    ]
}

/// A file of ten rows whose ids are `from` to `from + 9`.
fn file(folder: &str, from: i64) -> DataFile {
    DataFile {
        key: format!("{folder}/{from}.parquet"),
        rows: 10,
        bytes: 100,
        split_offsets: vec![4],
        columns: vec![ColumnStats {
            field_id: 1,
            size: Some(50),
            values: Some(10),
            nulls: Some(0),
            nans: None,
            lower: Some(Literal::Integer(from)),
            upper: Some(Literal::Integer(from + 9)),
        }],
    }
}

/// A change that adds one file, as a writer makes it: prepare, write, commit.
fn change(store: &MemoryStore, mode: WriteMode, from: i64) -> CommitRequest {
    let target = prepare(store, mode, columns(), false).unwrap();
    CommitRequest {
        table: name(),
        mode,
        schema: target.schema,
        evolve: false,
        files: vec![file(&target.data_key, from)],
        idempotency_key: None,
        summary: vec![("writer".to_owned(), "test".to_owned())],
    }
}

fn prepare(
    store: &MemoryStore,
    mode: WriteMode,
    columns: Vec<Field>,
    evolve: bool,
) -> Result<lakehouse_sdk::catalog_export::WriteTarget, Error> {
    commit::prepare(store, &Caches::default(), &name(), mode, &ipc(columns), evolve)
}

fn apply(store: &MemoryStore, change: &CommitRequest) -> Result<CommitResult, Error> {
    commit::commit(store, &Caches::default(), change)
}

fn append(store: &MemoryStore, from: i64) -> CommitResult {
    apply(store, &change(store, WriteMode::Append, from)).unwrap()
}

/// First ids of the files that a scan reads, and how many were pruned.
fn scan(store: &MemoryStore, at: Version, predicates: &[Predicate]) -> (Vec<i64>, u64) {
    let caches = Caches::default();
    let table = table::read(store, &caches, &name()).unwrap();
    let plan = plan::plan(store, &caches, &table, at, predicates).unwrap();
    let mut ids: Vec<i64> = plan
        .files
        .iter()
        .map(|file| match file.columns[0].lower {
            Some(Literal::Integer(from)) => from,
            _ => panic!("{file:?}"),
        })
        .collect();
    ids.sort_unstable();
    (ids, plan.pruned)
}

fn everything(store: &MemoryStore) -> Vec<i64> {
    scan(store, Version::Current, &[]).0
}

fn ids(predicate: Comparison, value: i64) -> Predicate {
    Predicate {
        column: "id".to_owned(),
        op: predicate,
        values: vec![Literal::Integer(value)],
    }
}

fn metadata_files(store: &MemoryStore) -> Vec<String> {
    store.list("warehouse/default/t/metadata/").unwrap()
}

#[test]
fn the_first_append_makes_the_table() {
    let store = MemoryStore::default();
    let first = append(&store, 0);
    assert!(first.changed);
    assert_eq!(first.snapshot.operation, "append");
    assert_eq!(first.snapshot.parent, None);
    assert_eq!((first.table.rows, first.table.files, first.table.bytes), (10, 1, 100));
    assert_eq!(first.table.location, "memory:///root/warehouse/default/t");
    let second = append(&store, 100);
    assert_eq!(second.snapshot.parent, Some(first.snapshot.id));
    assert_eq!(second.table.rows, 20);
    let summary = |name: &str| {
        let entry = second.snapshot.summary.iter().find(|(n, _)| n == name);
        entry.map(|(_, value)| value.as_str())
    };
    assert_eq!(summary("added-records"), Some("10"));
    assert_eq!(summary("total-records"), Some("20"));
    assert_eq!(summary("total-data-files"), Some("2"));
    assert_eq!(summary("writer"), Some("test"));
    assert_eq!(everything(&store), [0, 100]);
}

#[test]
fn scans_skip_files_that_cannot_match() {
    let store = MemoryStore::default();
    for from in [0, 100, 200] {
        append(&store, from);
    }
    let current = |p| scan(&store, Version::Current, &[p]);
    assert_eq!(current(ids(Comparison::Eq, 105)), (vec![100], 2));
    assert_eq!(current(ids(Comparison::Ge, 105)), (vec![100, 200], 1));
    assert_eq!(current(ids(Comparison::Eq, 50)), (vec![], 3));
    let unknown = Predicate {
        column: "no such".to_owned(),
        ..ids(Comparison::Eq, 0)
    };
    assert_eq!(current(unknown).1, 0);
}

#[test]
fn an_older_state_can_be_read_by_id_and_by_time() {
    let store = MemoryStore::default();
    let first = append(&store, 0).snapshot;
    let second = append(&store, 100).snapshot;
    assert!(second.timestamp > first.timestamp);
    assert_eq!(scan(&store, Version::Snapshot(first.id), &[]).0, [0]);
    assert_eq!(scan(&store, Version::AsOf(first.timestamp), &[]).0, [0]);
    assert_eq!(scan(&store, Version::AsOf(i64::MAX), &[]).0, [0, 100]);
    let caches = Caches::default();
    let table = table::read(&store, &caches, &name()).unwrap();
    for at in [Version::Snapshot(1), Version::AsOf(0)] {
        let error = table.info(&store, &caches, at).unwrap_err();
        assert!(matches!(error, Error::NotFound(_)));
    }
}

#[test]
fn overwriting_replaces_all_rows() {
    let store = MemoryStore::default();
    append(&store, 0);
    let before = append(&store, 100);
    let change = change(&store, WriteMode::Overwrite, 200);
    let after = apply(&store, &change).unwrap();
    assert_eq!(after.snapshot.operation, "overwrite");
    assert_eq!((after.table.rows, after.table.files), (10, 1));
    assert!(after.snapshot.summary.contains(&("deleted-records".to_owned(), "20".to_owned())));
    assert_eq!(everything(&store), [200]);
    assert_eq!(scan(&store, Version::Snapshot(before.snapshot.id), &[]).0, [0, 100]);
}

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
    assert_eq!(metadata_files(&store).len(), 9, "{:?}", metadata_files(&store));
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
fn a_table_grows_by_new_columns() {
    let store = MemoryStore::default();
    let first = append(&store, 0);
    let mut wider = columns();
    wider.push(optional("more", DataType::Float64));
    let refused = prepare(&store, WriteMode::Append, wider.clone(), false);
    let Err(Error::Conflict(text)) = refused else {
        panic!("it fits")
    };
    assert!(text.contains("\"more\"") && text.contains("default.t"), "{text}");
    let target = prepare(&store, WriteMode::Append, wider, true).unwrap();
    let change = CommitRequest {
        schema: target.schema.clone(),
        evolve: true,
        ..change(&store, WriteMode::Append, 100)
    };
    let second = apply(&store, &change).unwrap();
    assert_eq!(second.table.schema, target.schema);
    let caches = Caches::default();
    let table = table::read(&store, &caches, &name()).unwrap();
    let old = table.info(&store, &caches, Version::Snapshot(first.snapshot.id)).unwrap();
    assert_eq!(old.schema, first.table.schema, "the past keeps its columns");
}

#[test]
fn rolling_back_is_a_change_of_its_own() {
    let store = MemoryStore::default();
    let first = append(&store, 0).snapshot;
    let second = append(&store, 100).snapshot;
    let back = |id| table_ops::rollback(&store, &Caches::default(), &name(), id);
    assert_eq!(back(first.id).unwrap().rows, 10);
    assert_eq!(everything(&store), [0]);
    assert!(matches!(back(7), Err(Error::NotFound(_))));
    let third = append(&store, 200);
    assert_eq!(third.snapshot.parent, Some(first.id));
    assert_eq!(everything(&store), [0, 200]);
    assert_eq!(back(second.id).unwrap().rows, 20);
    assert_eq!(everything(&store), [0, 100]);
    let caches = Caches::default();
    let table = table::read(&store, &caches, &name()).unwrap();
    let current: Vec<bool> = table.snapshots().iter().map(|s| table.describe(s).current).collect();
    assert_eq!(current, [false, true, false]);
}

#[test]
fn dropping_removes_the_files_and_frees_the_name() {
    let store = MemoryStore::default();
    append(&store, 0);
    store.overwrite("warehouse/default/t2/data/other.parquet", b"kept");
    let late = change(&store, WriteMode::Append, 300);
    table_ops::drop(&store, &name()).unwrap();
    assert!(store.list("warehouse/default/t/").unwrap().is_empty());
    assert_eq!(store.list("warehouse/default/t2/").unwrap().len(), 1);
    assert!(matches!(table_ops::drop(&store, &name()), Err(Error::NotFound(_))));
    assert!(table_ops::list(&store, None).unwrap().is_empty());
    // Its files may be gone: a writer from before must not make a new table of them.
    let Err(Error::Conflict(text)) = apply(&store, &late) else {
        panic!("it was committed")
    };
    assert!(text.contains("dropped"), "{text}");
    let again = append(&store, 500);
    assert_eq!(again.table.location_key, "warehouse/default/t.1");
    assert_eq!(everything(&store), [500]);
}

#[test]
fn many_small_manifests_become_one() {
    let store = MemoryStore::default();
    for from in 0..105 {
        append(&store, from * 100);
    }
    assert_eq!(everything(&store).len(), 105);
    let caches = Caches::default();
    let table = table::read(&store, &caches, &name()).unwrap();
    let snapshot = table.metadata.current_snapshot().unwrap();
    let list =
        crate::files::manifest_list(&store, &caches, &table.folder, &table.metadata, snapshot);
    assert!(list.unwrap().len() < 10);
    let twice = Predicate {
        column: "id".to_owned(),
        op: Comparison::In,
        values: vec![Literal::Integer(505), Literal::Integer(10_001)],
    };
    assert_eq!(scan(&store, Version::Current, &[twice]), (vec![500, 10_000], 103));
    assert!(metadata_files(&store).iter().filter(|k| k.ends_with(".json")).count() <= 101);
}

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
    let states: Vec<_> = tables.iter().map(|t| (t.name.name.as_str(), t.pointer.is_ok())).collect();
    assert_eq!(states, [("other", true), ("t", false)]);
    assert!(table::read(&store, &Caches::default(), &other).is_ok());
}

#[test]
fn namespaces_are_made_and_removed() {
    let store = MemoryStore::default();
    let in_sales = TableName {
        namespace: "sales".to_owned(),
        ..name()
    };
    let make = |table: &TableName| {
        commit::create(&store, &Caches::default(), table, &ipc(columns()), vec![])
    };
    assert!(matches!(make(&in_sales), Err(Error::NotFound(_))));
    namespaces::create(&store, "sales").unwrap();
    assert!(matches!(namespaces::create(&store, "sales"), Err(Error::AlreadyExists(_))));
    assert!(matches!(namespaces::create(&store, "default"), Err(Error::AlreadyExists(_))));
    assert!(matches!(namespaces::create(&store, "../x"), Err(Error::Invalid(_))));
    make(&in_sales).unwrap();
    assert!(matches!(make(&in_sales), Err(Error::AlreadyExists(_))));
    assert_eq!(namespaces::list(&store).unwrap(), ["default", "sales"]);
    assert!(matches!(namespaces::drop(&store, "sales"), Err(Error::Conflict(_))));
    table_ops::drop(&store, &in_sales).unwrap();
    namespaces::drop(&store, "sales").unwrap();
    assert!(matches!(namespaces::drop(&store, "sales"), Err(Error::NotFound(_))));
    assert!(matches!(table_ops::list(&store, Some("sales")), Err(Error::NotFound(_))));
    assert_eq!(namespaces::list(&store).unwrap(), ["default"]);
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
    let made = commit::create(&store, &Caches::default(), &in_sales, &ipc(columns()), vec![]);
    assert!(matches!(made, Err(Error::NotFound(_))));
    assert!(table_ops::under(&store, &names::pointer_prefix("sales")).unwrap().is_empty());
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
    for key in ["warehouse/default/other/data/x", "warehouse/default/t/data/../x"] {
        let mut elsewhere = good.clone();
        elsewhere.files[0].key = key.to_owned();
        assert!(matches!(apply(&store, &elsewhere), Err(Error::Conflict(_))), "{key}");
    }
    let mut nameless = good.clone();
    nameless.table.name = "a/b".to_owned();
    assert!(matches!(apply(&store, &nameless), Err(Error::Invalid(_))));
    assert!(store.list("").unwrap().is_empty(), "nothing was written");
}
