//! Append, create, overwrite.

use lakehouse_tests::{expect_json, expect_problem};
use serde_json::json;

use crate::{lake, load, refused, rows, server, sql, table};

#[tokio::test]
async fn append_adds_to_what_is_there() {
    let server = lake().await;
    let first = load(&server, "table=t&format=csv", "a,b\n1,x\n").await;
    let second = load(&server, "table=t&format=csv&mode=append", "b,a\ny,2\n").await;
    assert_ne!(first["snapshot_id"], second["snapshot_id"]);
    let third = load(&server, "table=t&format=ndjson", "{\"a\":3}\n").await;
    assert_eq!(third["rows"], 1);
    let all = sql(&server, "SELECT a, b FROM t ORDER BY a").await;
    assert_eq!(all, json!([[1, "x"], [2, "y"], [3, null]]));
}

#[tokio::test]
async fn create_makes_a_table_once() {
    let server = server().await;
    load(&server, "table=t&format=csv&mode=create", "a\n1\n").await;
    // The body is not looked at: it could not be read as CSV.
    refused(&server, "table=t&format=csv&mode=create", "\0", 409).await;
    assert_eq!(rows(&server, "t").await, Some(1));
}

#[tokio::test]
async fn overwrite_replaces_all_rows_in_one_snapshot() {
    let server = lake().await;
    load(&server, "table=t&format=csv&mode=overwrite", "a\n1\n2\n").await;
    load(&server, "table=t&format=csv&mode=overwrite", "a\n3\n").await;
    assert_eq!(sql(&server, "SELECT a FROM t").await, json!([[3]]));
    load(&server, "table=t&format=csv&mode=overwrite", "a\n").await;
    assert_eq!(rows(&server, "t").await, Some(0));
    let snapshots = server
        .get("/v1/catalog/tables/default/t/snapshots")
        .send()
        .await
        .unwrap();
    let snapshots = expect_json(snapshots, 200).await;
    assert_eq!(
        snapshots["snapshots"].as_array().map(Vec::len),
        Some(3),
        "{snapshots}"
    );
}

#[tokio::test]
async fn a_namespace_must_exist_unless_it_is_the_default() {
    let server = server().await;
    expect_problem(
        crate::post(&server, "table=shop.t&format=csv", "a\n1\n").await,
        404,
    )
    .await;
    let request = server
        .post("/v1/catalog/namespaces")
        .json(&json!({ "name": "shop" }));
    assert_eq!(request.send().await.unwrap().status(), 201);
    let answer = load(&server, "table=shop.t&format=csv", "a\n1\n").await;
    assert_eq!(answer["table"], "shop.t");
    assert!(table(&server, "t").await.is_none());
}
