//! Snapshots in the object store, and indexes made of them; memory that is
//! bounded.

use std::fs;
use std::path::PathBuf;

use lakehouse_tests::{Server, expect_json, expect_problem, expect_status};
use serde_json::{Value, json};

use crate::{add, builder, count, delete, detail, get, make, post, start};

fn items(numbers: std::ops::Range<usize>) -> Value {
    let item = |i| json!({"id": format!("i-{i}"), "vector": [i, 1, 0], "metadata": {"n": i}});
    numbers.map(item).collect()
}

async fn snapshot(server: &Server) -> Value {
    expect_json(post(server, "/x/snapshot", &json!({})).await, 201).await
}

/// The folder of the store that holds a snapshot.
fn folder(server: &Server, taken: &Value) -> PathBuf {
    let name = taken["snapshot"].as_str().unwrap();
    server.store_dir().join("vectors/x").join(name)
}

#[tokio::test]
async fn an_index_comes_back_as_it_was() {
    let mut server = start().await;
    make(&server, "l2").await;
    // Enough that some rows are in a segment and some in the log.
    add(&server, items(0..20_000)).await;
    add(&server, items(20_000..20_500)).await;
    let first = snapshot(&server).await;
    assert_eq!(
        (&first["count"], &first["index"]),
        (&json!(20_500), &json!("x"))
    );
    let body = json!({"ids": ["i-1", "i-20001"]});
    expect_status(post(&server, "/x/delete", &body).await, 200).await;
    add(&server, json!([{"id": "i-2", "vector": [0, 0, 9]}])).await;
    let second = snapshot(&server).await;
    assert_eq!(second["count"], 20_498);
    let listed = expect_json(get(&server, "/x/snapshots").await, 200).await;
    assert_eq!(listed["snapshots"], json!([first, second]));

    let problem = expect_problem(post(&server, "/x/restore", &json!({})).await, 409).await;
    assert!(detail(&problem).contains("x exists"), "{problem}");
    let body = json!({"from": "x", "snapshot": first["snapshot"]});
    let made = expect_json(post(&server, "/old/restore", &body).await, 201).await;
    assert_eq!(
        (&made["name"], &made["count"]),
        (&json!("old"), &json!(20_500))
    );
    expect_status(delete(&server, "/x").await, 204).await;
    let made = expect_json(post(&server, "/x/restore", &json!({})).await, 201).await;
    assert_eq!(made["count"], 20_498);

    for _ in 0..2 {
        assert_eq!(count(&server).await, 20_498);
        expect_problem(get(&server, "/x/items/i-1").await, 404).await;
        let item = expect_json(get(&server, "/x/items/i-2").await, 200).await;
        assert_eq!(item["vector"], json!([0.0, 0.0, 9.0]));
        assert_eq!(item["metadata"], json!({"n": 2}));
        let item = expect_json(get(&server, "/old/items/i-2").await, 200).await;
        assert_eq!(item["vector"], json!([2.0, 1.0, 0.0]));
        let query = json!({"vector": [20_001, 1, 0], "k": 1, "filter": {"n": {"$gt": 20_000}}});
        let found = expect_json(post(&server, "/old/search", &query).await, 200).await;
        assert_eq!(found["results"][0]["id"], "i-20001");
        server.restart().await;
    }
    let path = format!("/x/snapshots/{}", first["snapshot"].as_str().unwrap());
    expect_status(delete(&server, &path).await, 204).await;
    expect_status(delete(&server, &path).await, 204).await;
    let listed = expect_json(get(&server, "/x/snapshots").await, 200).await;
    assert_eq!(listed["snapshots"], json!([second]));
    assert!(!folder(&server, &first).exists());
}

#[tokio::test]
async fn what_cannot_be_restored_leaves_nothing() {
    let server = start().await;
    make(&server, "l2").await;
    add(&server, items(0..50)).await;
    let taken = snapshot(&server).await;
    let name = taken["snapshot"].as_str().unwrap();
    for (path, body, status) in [
        ("/y/restore", json!({}), 404),
        (
            "/y/restore",
            json!({"from": "x", "snapshot": "0195a0c0-0000-7000-8000-000000000000"}),
            404,
        ),
        ("/y/restore", json!({"from": "x", "snapshot": "../x"}), 400),
        ("/y/restore", json!({"from": "../x"}), 400),
        ("/y/restore", json!({"form": "x"}), 400),
        ("/.y/restore", json!({"from": "x"}), 400),
        ("/y/snapshot", json!({}), 404),
    ] {
        expect_problem(post(&server, path, &body).await, status).await;
    }
    expect_problem(delete(&server, "/x/snapshots/..%2F..").await, 400).await;
    expect_problem(get(&server, "/..%2Fx/snapshots").await, 400).await;

    let files = fs::read_dir(folder(&server, &taken)).unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let whole = fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for damage in [Some(flipped), Some(whole[..whole.len() - 1].to_vec()), None] {
            match damage {
                Some(bytes) => fs::write(&file, bytes).unwrap(),
                None => fs::remove_file(&file).unwrap(),
            }
            let body = json!({"from": "x", "snapshot": name});
            let answer = post(&server, "/y/restore", &body).await;
            if file.ends_with("snapshot.json") {
                // A changed listing may be one all the same, of other files.
                assert!([404, 500].contains(&answer.status().as_u16()));
            } else {
                let problem = expect_problem(answer, 500).await;
                let named = file.file_name().unwrap().to_str().unwrap();
                assert!(detail(&problem).contains(named), "{problem}");
            }
            expect_problem(get(&server, "/y").await, 404).await;
        }
        fs::write(&file, whole).unwrap();
    }
    let body = json!({"from": "x", "snapshot": name});
    expect_status(post(&server, "/y/restore", &body).await, 201).await;
    let left = fs::read_dir(server.data_dir().join("vectors")).unwrap();
    let left = left.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        let name = name.to_str().unwrap();
        name.starts_with(".making") || name.starts_with(".snapshot")
    });
    assert_eq!(left.count(), 0);
}

#[tokio::test]
async fn memory_is_bounded() {
    let server = builder("[vectors]\nindex_memory = \"512KiB\"\n")
        .start()
        .await;
    make(&server, "l2").await;
    let body = json!({"items": items(0..6000)});
    let problem = expect_problem(post(&server, "/x/add", &body).await, 507).await;
    assert!(
        detail(&problem).contains("vectors.index_memory"),
        "{problem}"
    );
    assert_eq!(count(&server).await, 0);
    // What was sealed into files makes room.
    for batch in 0..15 {
        let body = json!({"items": items(batch * 400..batch * 400 + 400)});
        loop {
            let answer = post(&server, "/x/add", &body).await;
            if answer.status() == 200 {
                break;
            }
            expect_problem(answer, 507).await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    assert_eq!(count(&server).await, 6000);
    let info = expect_json(get(&server, "/x").await, 200).await;
    assert!(info["memory"].as_u64().unwrap() <= 512 << 10, "{info}");
    let all: Vec<_> = (0..6000).map(|i| format!("i-{i}")).collect();
    let deleted = expect_json(post(&server, "/x/delete", &json!({"ids": all})).await, 200).await;
    assert_eq!(deleted, json!({"deleted": 6000}));
}
