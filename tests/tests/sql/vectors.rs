//! Vector indexes as tables.

use lakehouse_tests::{Server, expect_json, expect_problem, expect_status};
use serde_json::json;

use crate::{rows, run, send, server, with_params};

/// Four colours, with what they are called in other tables.
async fn colours() -> Server {
    let server = server().await;
    let index = json!({ "name": "colours", "dimension": 3, "distance": "l2" });
    let made = server.post("/v1/vectors/index").json(&index).send().await;
    expect_status(made.unwrap(), 201).await;
    let items = json!({ "items": [
        { "id": "1", "vector": [1, 0, 0], "metadata": { "warm": true } },
        { "id": "2", "vector": [1, 0.5, 0], "metadata": { "warm": true } },
        { "id": "3", "vector": [0, 0, 1], "metadata": { "warm": false } },
        { "id": "4", "vector": [0, 2, 0] },
    ] });
    let added = server
        .post("/v1/vectors/index/colours/add")
        .json(&items)
        .send()
        .await;
    expect_status(added.unwrap(), 200).await;
    server
}

#[tokio::test]
async fn the_nearest_items_are_rows() {
    let server = colours().await;
    let found = rows(
        &server,
        "SELECT id, distance, metadata FROM vector_search('colours', [1.0, 0.0, 0.0], 3)",
    )
    .await;
    assert_eq!(
        found,
        json!([
            ["1", 0.0, r#"{"warm":true}"#],
            ["2", 0.25, r#"{"warm":true}"#],
            ["3", 2.0, r#"{"warm":false}"#],
        ])
    );
    let filtered = "SELECT id FROM vector_search('colours', [1, 0, 0], 9, '{\"warm\": false}')";
    assert_eq!(rows(&server, filtered).await, json!([["3"]]));
    let text = "SELECT count(*) FROM vector_search('colours', '[0, 1, 0]', 10) WHERE distance <= 1";
    assert_eq!(rows(&server, text).await, json!([[1]]));
}

#[tokio::test]
async fn they_join_with_tables() {
    let server = colours().await;
    run(
        &server,
        "CREATE TABLE names AS SELECT * FROM \
         (VALUES (1, 'red'), (2, 'orange'), (3, 'blue')) AS t (id, name)",
    )
    .await;
    let found = rows(
        &server,
        "SELECT n.name, v.distance FROM vector_search('colours', [0.9, 0.1, 0], 2) v \
         JOIN names n ON n.id = CAST(v.id AS BIGINT) ORDER BY v.distance",
    )
    .await;
    let names: Vec<_> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row[0].clone())
        .collect();
    assert_eq!(names, [json!("red"), json!("orange")]);
}

#[tokio::test]
async fn the_vector_can_be_a_parameter() {
    let server = colours().await;
    for vector in [json!([0, 0, 0.9]), json!("[0, 0, 0.9]")] {
        let sql = "SELECT id FROM vector_search($1, $2, $3) WHERE id <> $4";
        let params = json!(["colours", vector, 1, "none"]);
        let answer = expect_json(with_params(&server, sql, params).await, 200).await;
        assert_eq!(answer["rows"], json!([["3"]]));
    }
    for params in [json!([["a", 1]]), json!([{ "x": 1 }])] {
        expect_problem(with_params(&server, "SELECT $1", params).await, 400).await;
    }
}

#[tokio::test]
async fn what_cannot_be_searched_is_told() {
    let server = colours().await;
    for (arguments, part) in [
        ("'nosuch', [1, 0, 0], 1", "nosuch"),
        ("'colours', [1, 0], 1", "2 components"),
        ("'colours', [1, NULL, 0], 1", "component 1"),
        ("'colours', ['a', 'b', 'c'], 1", "not numbers"),
        ("'colours', 'red', 1", "JSON array"),
        ("'colours', [1, 0, 0], 0", "k must be"),
        ("'colours', [1, 0, 0], 1000000000", "k must be"),
        ("'colours', [1, 0, 0], -1", "number of items"),
        ("'colours', [1, 0, 0], 1, 'warm'", "filter"),
        (
            "'colours', [1, 0, 0], 1, '{\"warm\": {\"$like\": 1}}'",
            "$like",
        ),
        ("'colours', [1, 0, 0]", "takes"),
        ("7, [1, 0, 0], 1", "takes"),
    ] {
        let sql = format!("SELECT id FROM vector_search({arguments})");
        let problem = expect_problem(send(&server, &sql).await, 400).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(part), "{arguments}: {detail}");
    }
}

#[tokio::test]
async fn an_answer_tells_which_snapshots_it_read() {
    let server = server().await;
    run(&server, "CREATE TABLE t AS SELECT 1 AS a").await;
    let first = snapshots(&server, "SELECT * FROM t").await;
    assert!(first.starts_with("default.t="), "{first}");
    run(&server, "INSERT INTO t VALUES (2)").await;
    let second = snapshots(&server, "SELECT 1 WHERE 1 IN (SELECT a FROM t)").await;
    assert!(
        second.starts_with("default.t=") && second != first,
        "{second}"
    );
    let id = first.strip_prefix("default.t=").unwrap();
    let sql = format!("SELECT * FROM t FOR VERSION AS OF {id}");
    assert_eq!(snapshots(&server, &sql).await, first);
    let none = send(&server, "SELECT 1").await;
    assert!(!none.headers().contains_key("lakehouse-snapshots"));
}

async fn snapshots(server: &Server, sql: &str) -> String {
    let answer = expect_status(send(server, sql).await, 200).await;
    answer.headers()["lakehouse-snapshots"]
        .to_str()
        .unwrap()
        .to_owned()
}
