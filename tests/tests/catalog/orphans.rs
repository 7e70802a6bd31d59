//! Files that killed writes leave behind.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use lakehouse_tests::{expect_json, expect_problem};
use serde_json::json;

use super::{append, delete, get, post, rows, server};

const CALL: &str = "tables/default/t/remove-orphan-files";

/// Makes a file as old as that.
fn age(file: &Path, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
    let file = File::options().append(true).open(file).expect("a file");
    file.set_modified(then).expect("a time");
}

/// Every file below a folder, in order.
fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = entries
        .flat_map(|path| {
            if path.is_dir() {
                below(&path)
            } else {
                vec![path]
            }
        })
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn files_that_nothing_refers_to_are_removed_when_they_are_old() {
    let server = server().await;
    append(&server, "t", 0, 10).await;
    let first = append(&server, "t", 10, 20).await["snapshot_id"].clone();
    append(&server, "t", 20, 30).await;
    let back = json!({ "snapshot_id": first });
    expect_json(post(&server, "tables/default/t/rollback", &back).await, 200).await;
    append(&server, "t", 30, 40).await;

    let folder = server.store_dir().join("warehouse/default/t");
    let whole = below(&folder);
    whole.iter().for_each(|file| age(file, 30));
    let data = whole
        .iter()
        .find(|file| file.extension().is_some_and(|end| end == "parquet"));
    let data = data.expect("a data file");
    let left = [
        (folder.join("data/killed.parquet"), 4),
        (folder.join("metadata/killed-m0.avro"), 4),
    ];
    let young = folder.join("data/under-way.parquet");
    for (file, days) in left.iter().chain([&(young.clone(), 2)]) {
        fs::copy(data, file).expect("copied");
        age(file, *days);
    }

    let long_ago = json!({ "older_than": "2020-01-01T00:00:00Z" });
    assert_eq!(
        expect_json(post(&server, CALL, &long_ago).await, 200).await["files"],
        0
    );
    let answer = expect_json(post(&server, CALL, &json!({ "dry_run": true })).await, 200).await;
    assert_eq!(answer["files"], 2, "{answer}");
    assert_eq!(below(&folder).len(), whole.len() + 3);
    let answer = expect_json(post(&server, CALL, &json!({})).await, 200).await;
    assert_eq!(answer["files"], 2, "{answer}");
    let size = fs::metadata(data).expect("a data file").len();
    assert_eq!(answer["bytes"], size * 2, "{answer}");
    let keys: Vec<_> = answer["orphans"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|file| file["key"].as_str().expect("a key"))
        .collect();
    assert_eq!(
        keys,
        [
            "warehouse/default/t/data/killed.parquet",
            "warehouse/default/t/metadata/killed-m0.avro"
        ]
    );
    assert_eq!(
        expect_json(post(&server, CALL, &json!({})).await, 200).await["files"],
        0
    );
    assert!(young.exists());
    age(&young, 4);
    assert_eq!(
        expect_json(post(&server, CALL, &json!({})).await, 200).await["files"],
        1
    );
    assert_eq!(below(&folder), whole, "what snapshots refer to is there");
    assert_eq!(rows(&server, "default/t").await, 30);
    let all = expect_json(get(&server, "tables/default/t/snapshots").await, 200).await;
    for snapshot in all["snapshots"].as_array().expect("snapshots") {
        let body = json!({ "snapshot_id": snapshot["snapshot_id"] });
        expect_json(post(&server, "tables/default/t/rollback", &body).await, 200).await;
    }
}

#[tokio::test]
async fn what_could_be_under_way_is_not_removed() {
    let server = server().await;
    append(&server, "t", 0, 10).await;
    for (body, why) in [
        (json!({ "older_than": "2100-01-01T00:00:00Z" }), "24 hours"),
        (json!({ "older_than": "yesterday" }), "yesterday"),
        (json!({ "older_than": 7 }), "JSON"),
        (json!({ "olderthan": "2020-01-01T00:00:00Z" }), "olderthan"),
    ] {
        let problem = expect_problem(post(&server, CALL, &body).await, 400).await;
        let detail = problem["detail"].as_str().expect("a text");
        assert!(detail.contains(why), "{detail}");
    }
    let nobody = "tables/default/nobody/remove-orphan-files";
    expect_problem(post(&server, nobody, &json!({})).await, 404).await;
    expect_problem(get(&server, CALL).await, 405).await;
    assert_eq!(rows(&server, "default/t").await, 10);
}

#[tokio::test]
async fn what_a_dropped_table_left_is_removed() {
    let server = server().await;
    append(&server, "t", 0, 10).await;
    delete(&server, "tables/default/t").await;
    let left = server.store_dir().join("warehouse/default/t/data");
    fs::create_dir_all(&left).expect("a folder");
    let left = left.join("late.parquet");
    fs::write(&left, "rows").expect("a file");
    age(&left, 4);
    append(&server, "t", 0, 5).await;
    assert_eq!(
        expect_json(post(&server, CALL, &json!({})).await, 200).await["files"],
        1
    );
    assert!(!left.exists());
    assert_eq!(rows(&server, "default/t").await, 5);
}
