//! Statements that make, fill, describe and drop tables.

use lakehouse_tests::expect_problem;
use serde_json::json;

use crate::{rows, run, send, server};

#[tokio::test]
async fn tables_are_made_filled_and_dropped() {
    let server = server().await;
    let made = run(
        &server,
        "CREATE TABLE numbers AS SELECT value AS n, value * 2 AS twice FROM generate_series(1, 1000)",
    )
    .await;
    assert_eq!(made["rows"][0][0], 1000);
    assert!(made["rows"][0][1].is_i64());
    let added = run(&server, "INSERT INTO numbers (n) VALUES (1001), (1002)").await;
    assert_eq!(added["rows"][0][0], 2);
    assert_eq!(
        rows(
            &server,
            "SELECT count(*), sum(n), count(twice), max(n), min(twice) FROM numbers"
        )
        .await,
        json!([[1002, 502503, 1000, 1002, 2]])
    );
    let copied = run(&server, "INSERT INTO numbers SELECT * FROM numbers").await;
    assert_eq!(copied["rows"][0][0], 1002);
    run(&server, "INSERT OVERWRITE numbers SELECT 5, 10").await;
    assert_eq!(
        rows(&server, "SELECT * FROM numbers").await,
        json!([[5, 10]])
    );

    expect_problem(send(&server, "CREATE TABLE numbers AS SELECT 1").await, 409).await;
    run(
        &server,
        "CREATE TABLE IF NOT EXISTS numbers AS SELECT 1 AS n",
    )
    .await;
    run(&server, "DROP TABLE numbers").await;
    expect_problem(send(&server, "SELECT * FROM numbers").await, 400).await;
    expect_problem(send(&server, "DROP TABLE numbers").await, 400).await;
    run(&server, "DROP TABLE IF EXISTS numbers").await;
}

#[tokio::test]
async fn nested_values_are_inserted() {
    let server = server().await;
    run(
        &server,
        "CREATE TABLE nested AS SELECT 1 AS id, [0.5, 1.5] AS list, \
         named_struct('x', 1, 'y', ['z']) AS pair",
    )
    .await;
    run(
        &server,
        "INSERT INTO nested VALUES (2, [0.0, NULL], named_struct('x', 2, 'y', ['a', 'b'])), \
         (3, NULL, NULL)",
    )
    .await;
    run(
        &server,
        "INSERT INTO nested SELECT id + 10, list, pair FROM nested",
    )
    .await;
    assert_eq!(
        rows(
            &server,
            "SELECT id, list, pair, pair['x'], list[1] FROM nested WHERE id <> 12 ORDER BY id"
        )
        .await,
        json!([
            [1, [0.5, 1.5], {"x": 1, "y": ["z"]}, 1, 0.5],
            [2, [0.0, null], {"x": 2, "y": ["a", "b"]}, 2, 0.0],
            [3, null, null, null, null],
            [11, [0.5, 1.5], {"x": 1, "y": ["z"]}, 1, 0.5],
            [13, null, null, null, null]
        ])
    );
    expect_problem(
        send(&server, "INSERT INTO nested VALUES (4, ['x'], NULL)").await,
        400,
    )
    .await;
}

#[tokio::test]
async fn a_write_that_fails_changes_nothing() {
    let server = server().await;
    run(&server, "CREATE TABLE t AS SELECT 1 AS a").await;
    for sql in [
        "INSERT INTO t VALUES ('x')",
        "INSERT INTO t SELECT 1 / (value - 500000) FROM generate_series(1, 1000000)",
        "INSERT INTO t VALUES (1, 2)",
        "INSERT INTO t (b) VALUES (1)",
        "INSERT INTO nosuch VALUES (1)",
        "CREATE TABLE u AS SELECT 1 / (value - 500000) AS v FROM generate_series(1, 1000000)",
        "CREATE TABLE nowhere.t AS SELECT 1 AS a",
        "CREATE TABLE other.default.t AS SELECT 1 AS a",
        "CREATE TABLE \"a/b\" AS SELECT 1 AS a",
        "CREATE TABLE \"../t\" AS SELECT 1 AS a",
        "CREATE TABLE v AS SELECT 1 AS a, 2 AS a",
        "CREATE TABLE w AS SELECT INTERVAL '1 day' AS i",
    ] {
        let status = send(&server, sql).await.status();
        assert!(
            status.is_client_error(),
            "{sql} answered {status}, not an error of the client"
        );
    }
    assert_eq!(rows(&server, "SELECT * FROM t").await, json!([[1]]));
    assert_eq!(
        rows(
            &server,
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'default'"
        )
        .await,
        json!([["t"]])
    );
    let data = server.store_dir().join("warehouse/default/u/data");
    let left = std::fs::read_dir(data).map_or(0, Iterator::count);
    assert_eq!(left, 0, "a failed write left files behind");
}

#[tokio::test]
async fn namespaces_are_schemas() {
    let server = server().await;
    run(&server, "CREATE SCHEMA shop").await;
    expect_problem(send(&server, "CREATE SCHEMA shop").await, 409).await;
    run(&server, "CREATE SCHEMA IF NOT EXISTS shop").await;
    run(
        &server,
        "CREATE TABLE shop.orders (id BIGINT, name VARCHAR, price DECIMAL(10, 2))",
    )
    .await;
    assert_eq!(rows(&server, "SELECT * FROM shop.orders").await, json!([]));
    run(
        &server,
        "INSERT INTO shop.orders VALUES (1, 'a', 9.5), (2, NULL, NULL)",
    )
    .await;
    assert_eq!(
        rows(&server, "SELECT * FROM lakehouse.shop.orders ORDER BY id").await,
        json!([[1, "a", "9.50"], [2, null, null]])
    );
    expect_problem(send(&server, "DROP SCHEMA shop").await, 409).await;
    run(&server, "DROP TABLE shop.orders").await;
    run(&server, "DROP SCHEMA shop").await;
    run(&server, "DROP SCHEMA IF EXISTS shop").await;
    expect_problem(send(&server, "DROP SCHEMA shop").await, 400).await;
}

#[tokio::test]
async fn names_keep_their_case_when_quoted() {
    let server = server().await;
    run(
        &server,
        "CREATE TABLE \"Mixed\" AS SELECT 1 AS \"Col\", 2 AS low",
    )
    .await;
    assert_eq!(
        rows(&server, "SELECT \"Col\", LOW FROM \"Mixed\"").await,
        json!([[1, 2]])
    );
    expect_problem(send(&server, "SELECT * FROM Mixed").await, 400).await;
}

#[tokio::test]
async fn tables_describe_themselves() {
    let server = server().await;
    run(
        &server,
        "CREATE TABLE t AS SELECT 1 AS a, 'x' AS b, DATE '2024-01-01' AS c",
    )
    .await;
    let shown = rows(&server, "SHOW TABLES").await;
    assert!(
        shown
            .as_array()
            .unwrap()
            .contains(&json!(["lakehouse", "default", "t", "BASE TABLE"])),
        "{shown}"
    );
    assert_eq!(
        rows(&server, "DESCRIBE t").await,
        json!([
            ["a", "Int64", "YES"],
            ["b", "Utf8View", "YES"],
            ["c", "Date32", "YES"]
        ])
    );
    let columns = rows(&server, "SHOW COLUMNS FROM t").await;
    assert_eq!(columns.as_array().unwrap().len(), 3);
    assert_eq!(
        rows(
            &server,
            "SELECT column_name, ordinal_position FROM information_schema.columns \
             WHERE table_name = 't' ORDER BY 2"
        )
        .await,
        json!([["a", 0], ["b", 1], ["c", 2]])
    );
    let plan = rows(&server, "EXPLAIN SELECT a FROM t WHERE a > 5").await;
    assert!(plan.to_string().contains("a > "), "{plan}");
    let plan = rows(
        &server,
        "EXPLAIN ANALYZE SELECT b, count(*) FROM t GROUP BY b",
    )
    .await;
    assert!(plan.to_string().contains("output_rows=1"), "{plan}");
    assert!(plan.to_string().contains("bytes_scanned"), "{plan}");
}

#[tokio::test]
async fn files_that_cannot_match_are_left_out() {
    let server = server().await;
    run(
        &server,
        "CREATE TABLE t AS SELECT value AS n FROM generate_series(1, 100)",
    )
    .await;
    for start in [101, 201, 301] {
        let end = start + 99;
        let sql = format!("INSERT INTO t SELECT value FROM generate_series({start}, {end})");
        run(&server, &sql).await;
    }
    for (filter, files, count) in [
        ("n = 250", 1, 1),
        ("n BETWEEN 150 AND 250", 2, 101),
        ("n IN (5, 395)", 2, 2),
        ("n IS NOT NULL", 4, 400),
        ("n > 1000", 0, 0),
        ("n < 100.5", 1, 100),
    ] {
        let plan = rows(&server, &format!("EXPLAIN SELECT n FROM t WHERE {filter}")).await;
        let found = plan[1][1].as_str().unwrap().matches(".parquet").count();
        assert_eq!(found, files, "{filter}: {plan}");
        let sql = format!("SELECT count(*) FROM t WHERE {filter}");
        assert_eq!(rows(&server, &sql).await, json!([[count]]), "{filter}");
    }
    assert_eq!(
        rows(&server, "SELECT count(*) FROM (SELECT * FROM t LIMIT 150)").await,
        json!([[150]])
    );
    let plan = rows(&server, "EXPLAIN SELECT n FROM t LIMIT 150").await;
    assert_eq!(plan[1][1].as_str().unwrap().matches(".parquet").count(), 2);
}
