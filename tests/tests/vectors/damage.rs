//! Damaged files and a full disk.

use std::fs;
use std::time::Duration;

use lakehouse_tests::{SmallDisk, expect_json, expect_problem, expect_status};
use serde_json::{Value, json};

use crate::{add, builder, count, delete, detail, get, make, post, start};

#[tokio::test]
async fn a_damaged_index_is_named_and_the_rest_serves() {
    let mut server = start().await;
    make(&server, "l2").await;
    let spec = json!({"name": "other", "dimension": 3, "distance": "l2"});
    expect_status(post(&server, "", &spec).await, 201).await;
    for i in 0..9 {
        add(
            &server,
            json!([{"id": format!("{i}"), "vector": [i, 0, 0]}]),
        )
        .await;
    }
    server.kill9();
    let folders = fs::read_dir(server.data_dir().join("vectors")).unwrap();
    let folder = folders
        .map(|f| f.unwrap().path())
        .find(|f| f.file_name().unwrap().to_str().unwrap().starts_with("x~"));
    let log = folder.unwrap().join("log-0.bin");
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&log, bytes).unwrap();
    server.restart().await;
    let problem = expect_problem(get(&server, "/x").await, 500).await;
    assert!(detail(&problem).contains("log-0.bin"), "{problem}");
    expect_status(get(&server, "/other").await, 200).await;
    let list = expect_json(get(&server, "").await, 200).await;
    assert_eq!(list["indexes"].as_array().unwrap().len(), 1);
    assert_eq!(list["damaged"][0]["name"], "x");
    expect_status(delete(&server, "/x").await, 204).await;
    make(&server, "l2").await;
}

/// At the beginning of each file of an index, within it and at its end. Of a
/// log, in its first half: a bad last write may be one that was torn off.
#[tokio::test]
async fn a_flipped_bit_in_any_file_is_named() {
    let mut server = builder("[vectors]\nindex_memory = \"256KiB\"\n")
        .start()
        .await;
    make(&server, "l2").await;
    let spec = json!({"name": "other", "dimension": 3, "distance": "l2"});
    expect_status(post(&server, "", &spec).await, 201).await;
    let item = |i: usize| json!({"id": format!("{i}"), "vector": [i, 0, 0], "metadata": {"n": i}});
    add(&server, (0..600).map(item).collect()).await;
    // A quarter of the memory is in use, so they are sealed.
    let folder = server.data_dir().join("vectors/x~0");
    let sealed = || {
        // The first log goes last.
        fs::read_dir(&folder).unwrap().count() == 3
            && folder.join("log-1.bin").exists()
            && !folder.join("log-0.bin").exists()
    };
    for _ in 0..500 {
        if sealed() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(sealed(), "a log, a segment and the manifest");
    for i in 600..610 {
        add(&server, json!([item(i)])).await;
    }
    server.kill9();
    for file in fs::read_dir(&folder).unwrap() {
        let file = file.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap();
        let whole = fs::read(&file).unwrap();
        let end = if name.starts_with("log") { 2 } else { 1 };
        for at in [0, whole.len() / 3, whole.len() / end - 1] {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&file, flipped).unwrap();
            server.restart().await;
            let query = json!({"vector": [1, 0, 0], "k": 1});
            let problem = expect_problem(post(&server, "/x/search", &query).await, 500).await;
            assert!(detail(&problem).contains(name), "{name} at {at}: {problem}");
            expect_status(get(&server, "/other").await, 200).await;
            server.kill9();
        }
        fs::write(&file, whole).unwrap();
    }
    server.restart().await;
    assert_eq!(count(&server).await, 610);
}

#[tokio::test]
async fn a_full_disk_refuses_and_changes_nothing() {
    let Some(disk) = SmallDisk::mount("6m") else {
        eprintln!("not run: no permission to mount a small filesystem");
        return;
    };
    let mut server = builder("").data_dir(disk.path()).start().await;
    let spec = json!({"name": "x", "dimension": 256, "distance": "l2"});
    expect_status(post(&server, "", &spec).await, 201).await;
    let items = |batch: usize| -> Vec<Value> {
        let item = |i: usize| json!({"id": format!("{batch}-{i}"), "vector": vec![i as f64 + batch as f64; 256]});
        (0..500).map(item).collect()
    };
    let mut stored = 0;
    let refused = loop {
        let answer = post(&server, "/x/add", &json!({"items": items(stored)})).await;
        if answer.status() != 200 {
            break answer;
        }
        stored += 1;
        assert!(stored < 100, "six megabytes do not hold it all");
    };
    expect_problem(refused, 507).await;
    for _ in 0..2 {
        assert_eq!(count(&server).await, stored as u64 * 500);
        expect_problem(get(&server, &format!("/x/items/{stored}-0")).await, 404).await;
        let query = json!({"vector": vec![1.0; 256], "k": 5});
        let found = expect_json(post(&server, "/x/search", &query).await, 200).await;
        assert_eq!(found["results"].as_array().unwrap().len(), 5);
        server.restart().await;
    }
    // What is small still fits, and the log is sound after the refusal.
    add(&server, json!([{"id": "small", "vector": vec![0.5; 256]}])).await;
    server.restart().await;
    expect_status(get(&server, "/x/items/small").await, 200).await;
    expect_status(delete(&server, "/x").await, 204).await;
}
