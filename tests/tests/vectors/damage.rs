//! Damaged files and a full disk.

use std::fs;

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
