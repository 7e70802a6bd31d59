//! Tables: list, detail, snapshots, roll back, drop.

use std::fs;

use lakehouse_tests::{expect_json, expect_problem, expect_status};
use serde_json::{Value, json};

use super::{append, delete, get, post, rows, server};

#[tokio::test]
async fn tables_are_listed_by_namespace() {
    let server = server().await;
    post(&server, "namespaces", &json!({ "name": "sales" })).await;
    append(&server, "b", 0, 3).await;
    append(&server, "a", 0, 2).await;
    append(&server, "sales.c", 0, 1).await;
    let list = async |path: &str| {
        let list = expect_json(get(&server, path).await, 200).await;
        let tables = list["tables"].as_array().expect("tables").clone();
        let name = |t: &Value| format!("{}.{}:{}", t["namespace"], t["name"], t["rows"]);
        for table in &tables {
            assert!(table["bytes"].as_u64().unwrap() > 0, "{table}");
            assert!(table["snapshot_id"].as_i64().unwrap() > 0, "{table}");
        }
        tables
            .iter()
            .map(name)
            .collect::<Vec<_>>()
            .join(" ")
            .replace('"', "")
    };
    assert_eq!(list("tables").await, "default.a:2 default.b:3 sales.c:1");
    assert_eq!(
        list("tables?namespace=default").await,
        "default.a:2 default.b:3"
    );
    assert_eq!(list("tables?namespace=sales").await, "sales.c:1");
    expect_problem(get(&server, "tables?namespace=none").await, 404).await;
}

#[tokio::test]
async fn a_table_tells_all_about_itself() {
    let server = server().await;
    let csv = "id,name,price,day\n1,a,1.5,2024-01-02\n2,b,,2024-01-03\n";
    let request = server.post("/v1/ingest?table=t&format=csv").body(csv);
    let posted = expect_json(request.send().await.unwrap(), 201).await;
    let detail = expect_json(get(&server, "tables/default/t").await, 200).await;
    assert_eq!(detail["namespace"], "default");
    assert_eq!(detail["name"], "t");
    assert_eq!(detail["rows"], 2);
    assert_eq!(detail["bytes"], posted["bytes"]);
    assert_eq!(detail["snapshot_id"], posted["snapshot_id"]);
    assert_eq!(detail["format_version"], 2);
    let columns: Vec<_> = detail["schema"]
        .as_array()
        .expect("columns")
        .iter()
        .map(|c| format!("{} {} {} {}", c["id"], c["name"], c["type"], c["required"]))
        .collect();
    assert_eq!(
        columns.join(", ").replace('"', ""),
        "1 id long false, 2 name string false, 3 price double false, 4 day date false"
    );
    // The metadata file is where it says, and is the Iceberg metadata of the table.
    let url = detail["metadata_location"].as_str().expect("a URL");
    let file = url.strip_prefix("file://").expect("a file");
    let metadata: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!(metadata["format-version"], 2);
    assert_eq!(metadata["table-uuid"], detail["uuid"]);
    assert_eq!(metadata["location"], detail["location"]);
    assert_eq!(metadata["current-snapshot-id"], detail["snapshot_id"]);
    expect_problem(get(&server, "tables/default/none").await, 404).await;
    expect_problem(get(&server, "tables/none/t").await, 404).await;
}

#[tokio::test]
async fn snapshots_are_kept_and_can_be_gone_back_to() {
    let server = server().await;
    let mut ids = Vec::new();
    for from in [0, 10, 20] {
        let posted = append(&server, "t", from, from + 10).await;
        ids.push(posted["snapshot_id"].as_i64().expect("an id"));
    }
    let snapshots = async || {
        let list = expect_json(get(&server, "tables/default/t/snapshots").await, 200).await;
        list["snapshots"].as_array().expect("snapshots").clone()
    };
    let listed = snapshots().await;
    let seen: Vec<_> = listed
        .iter()
        .map(|s| s["snapshot_id"].as_i64().unwrap())
        .collect();
    assert_eq!(seen, ids, "oldest first, and every bit of their ids");
    assert_eq!(listed[0]["parent_snapshot_id"], Value::Null);
    assert_eq!(listed[1]["parent_snapshot_id"], ids[0]);
    assert_eq!(listed[1]["operation"], "append");
    assert_eq!(listed[1]["summary"]["added-records"], "10");
    assert_eq!(listed[1]["summary"]["total-records"], "20");
    assert!(listed[1]["timestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!(listed[2]["current"], true);

    let back = post(
        &server,
        "tables/default/t/rollback",
        &json!({ "snapshot_id": ids[0] }),
    )
    .await;
    let detail = expect_json(back, 200).await;
    assert_eq!(
        (&detail["rows"], &detail["snapshot_id"]),
        (&json!(10), &json!(ids[0]))
    );
    assert_eq!(rows(&server, "default/t").await, 10);
    assert_eq!(snapshots().await.len(), 3, "nothing is forgotten");
    let text = json!({ "snapshot_id": ids[2].to_string() });
    expect_status(post(&server, "tables/default/t/rollback", &text).await, 200).await;
    assert_eq!(rows(&server, "default/t").await, 30);
    append(&server, "t", 30, 35).await;
    assert_eq!(rows(&server, "default/t").await, 35);
}

#[tokio::test]
async fn going_back_to_what_never_was_is_refused() {
    let server = server().await;
    append(&server, "t", 0, 10).await;
    for (body, status) in [
        (json!({ "snapshot_id": 7 }), 404),
        (json!({ "snapshot_id": "x" }), 400),
        (json!({ "snapshot_id": 1.5 }), 400),
        (json!({ "snapshot_id": null }), 400),
        (json!({}), 400),
        (json!([]), 400),
    ] {
        let answer = post(&server, "tables/default/t/rollback", &body).await;
        expect_problem(answer, status).await;
    }
    let one = json!({ "snapshot_id": 1 });
    expect_problem(
        post(&server, "tables/default/none/rollback", &one).await,
        404,
    )
    .await;
    expect_problem(get(&server, "tables/default/none/snapshots").await, 404).await;
    assert_eq!(rows(&server, "default/t").await, 10);
}

#[tokio::test]
async fn a_dropped_table_is_gone_with_its_files_and_can_be_made_again() {
    let server = server().await;
    append(&server, "t", 0, 10).await;
    append(&server, "t2", 0, 20).await;
    expect_status(delete(&server, "tables/default/t").await, 204).await;
    expect_problem(get(&server, "tables/default/t").await, 404).await;
    expect_problem(delete(&server, "tables/default/t").await, 404).await;
    let left = fs::read_dir(server.store_dir().join("warehouse/default/t"));
    let left = left.map_or(0, |entries| {
        entries.flatten().map(|e| files(&e.path())).sum()
    });
    assert_eq!(left, 0, "no file is left");
    assert_eq!(rows(&server, "default/t2").await, 20);
    append(&server, "t", 0, 5).await;
    assert_eq!(rows(&server, "default/t").await, 5);
}

fn files(path: &std::path::Path) -> usize {
    match fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|e| files(&e.path())).sum(),
        Err(_) => 1,
    }
}
