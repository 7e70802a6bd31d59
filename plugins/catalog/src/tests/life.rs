//! What happens to tables and namespaces in their lives.

use super::*;

#[test]
fn the_first_append_makes_the_table() {
    let store = MemoryStore::default();
    let first = append(&store, 0);
    assert!(first.changed);
    assert_eq!(first.snapshot.operation, "append");
    assert_eq!(first.snapshot.parent, None);
    assert_eq!(
        (first.table.rows, first.table.files, first.table.bytes),
        (10, 1, 100)
    );
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
fn metadata_lists_snapshots_in_their_order() {
    let store = MemoryStore::default();
    let ids: Vec<i64> = (0..20).map(|n| append(&store, n).snapshot.id).collect();
    let table = table::read(&store, &Caches::default(), &name()).unwrap();
    let content = store.get(&table.live.metadata_key).unwrap().content;
    let json: serde_json::Value = serde_json::from_slice(&content).unwrap();
    let snapshots = json["snapshots"].as_array().unwrap();
    let listed: Vec<_> = snapshots
        .iter()
        .map(|s| s["snapshot-id"].as_i64().unwrap())
        .collect();
    assert_eq!(listed, ids);
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
        field_id: 99,
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
    assert!(
        after
            .snapshot
            .summary
            .contains(&("deleted-records".to_owned(), "20".to_owned()))
    );
    assert_eq!(everything(&store), [200]);
    assert_eq!(
        scan(&store, Version::Snapshot(before.snapshot.id), &[]).0,
        [0, 100]
    );
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
    assert!(
        text.contains("\"more\"") && text.contains("default.t"),
        "{text}"
    );
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
    let old = table
        .info(&store, &caches, Version::Snapshot(first.snapshot.id))
        .unwrap();
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
    let current: Vec<bool> = table
        .snapshots()
        .iter()
        .map(|s| table.describe(s).current)
        .collect();
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
    assert!(matches!(
        table_ops::drop(&store, &name()),
        Err(Error::NotFound(_))
    ));
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
        field_id: 1,
        op: Comparison::In,
        values: vec![Literal::Integer(505), Literal::Integer(10_001)],
    };
    assert_eq!(
        scan(&store, Version::Current, &[twice]),
        (vec![500, 10_000], 103)
    );
    assert!(
        metadata_files(&store)
            .iter()
            .filter(|k| k.ends_with(".json"))
            .count()
            <= 101
    );
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
    assert!(matches!(
        namespaces::create(&store, "sales"),
        Err(Error::AlreadyExists(_))
    ));
    assert!(matches!(
        namespaces::create(&store, "default"),
        Err(Error::AlreadyExists(_))
    ));
    assert!(matches!(
        namespaces::create(&store, "../x"),
        Err(Error::Invalid(_))
    ));
    make(&in_sales).unwrap();
    assert!(matches!(make(&in_sales), Err(Error::AlreadyExists(_))));
    assert_eq!(namespaces::list(&store).unwrap(), ["default", "sales"]);
    assert!(matches!(
        namespaces::drop(&store, "sales"),
        Err(Error::Conflict(_))
    ));
    table_ops::drop(&store, &in_sales).unwrap();
    namespaces::drop(&store, "sales").unwrap();
    assert!(matches!(
        namespaces::drop(&store, "sales"),
        Err(Error::NotFound(_))
    ));
    assert!(matches!(
        table_ops::list(&store, Some("sales")),
        Err(Error::NotFound(_))
    ));
    assert_eq!(namespaces::list(&store).unwrap(), ["default"]);
}

#[test]
fn a_renamed_column_keeps_its_statistics_and_its_past() {
    let store = MemoryStore::default();
    let before = append(&store, 0).snapshot.id;
    append(&store, 100);
    let caches = Caches::default();
    let read = || table::read(&store, &caches, &name()).unwrap();
    let mut schema = serde_json::to_value(read().metadata.current_schema().as_ref()).unwrap();
    // Each gets the other's name: what is pruned must go by the id.
    schema["fields"][0]["name"] = "text".into();
    schema["fields"][1]["name"] = "id".into();
    let updates = [
        iceberg::TableUpdate::AddSchema {
            schema: serde_json::from_value(schema).unwrap(),
        },
        iceberg::TableUpdate::SetCurrentSchema { schema_id: -1 },
    ];
    crate::external::apply(&store, &caches, &name(), &[], &updates).unwrap();
    for at in [Version::Current, Version::Snapshot(before)] {
        assert_eq!(scan(&store, at, &[ids(Comparison::Eq, 5)]).0, [0]);
    }
    assert_eq!(
        scan(&store, Version::Current, &[ids(Comparison::Gt, 5)]).0,
        [0, 100]
    );
    let first_column = |at| {
        let info = read().info(&store, &caches, at).unwrap();
        let schema = crate::schema::decode(&info.schema, crate::schema::Ids::Trusted).unwrap();
        schema.schema.as_struct().fields()[0].name.clone()
    };
    assert_eq!(first_column(Version::Current), "text");
    assert_eq!(first_column(Version::Snapshot(before)), "id");
}
