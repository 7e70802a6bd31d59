//! What is wrong with a statement, and where.

use lakehouse_tests::expect_problem;
use serde_json::Value;

use crate::{rows, run, send, server};

#[tokio::test]
async fn errors_tell_what_is_wrong_and_where() {
    let server = server().await;
    run(
        &server,
        "CREATE TABLE t AS SELECT 1 AS a, 0 AS zero, 'x' AS s",
    )
    .await;
    for (sql, place, part) in [
        ("SELEC 1", Some((1, 1)), "SELEC"),
        ("SELECT 1 +", None, "EOF"),
        ("SELECT *\nFROM t\nWHERE", None, "EOF"),
        ("SELECT 'open", Some((1, 8)), "Unterminated"),
        ("SELECT 1\nFROM nosuch", Some((2, 6)), "nosuch"),
        ("SELECT 1 FROM nowhere.t", Some((1, 15)), "nowhere"),
        ("SELECT a,\n  nope FROM t", Some((2, 3)), "nope"),
        ("SELECT t.nope FROM t", Some((1, 8)), "nope"),
        ("SELECT nofunction(1)", None, "nofunction"),
        ("SELECT a / zero FROM t", None, "ivide by zero"),
        ("SELECT CAST(s AS INT) FROM t", None, "x"),
        ("SELECT 1 / 0", None, "ivide by zero"),
        ("SELECT a, count(*) FROM t", None, "a"),
        ("", None, "no statement"),
        ("-- nothing", None, "no statement"),
        ("SELECT 1; SELECT 2", None, "2 statements"),
    ] {
        let problem = expect_problem(send(&server, sql).await, 400).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(part), "{sql}: {detail}");
        if let Some((line, column)) = place {
            assert_eq!(problem["line"], Value::from(line), "{sql}: {problem}");
            assert_eq!(problem["column"], Value::from(column), "{sql}: {problem}");
        }
    }
}

#[tokio::test]
async fn one_statement_may_end_with_a_semicolon() {
    let server = server().await;
    assert_eq!(rows(&server, "SELECT 1;").await, serde_json::json!([[1]]));
}

#[tokio::test]
async fn statements_that_reach_beyond_the_tables_are_refused_by_name() {
    let server = server().await;
    for (sql, name) in [
        ("COPY (SELECT 1) TO '/tmp/x.csv'", "COPY"),
        (
            "CREATE EXTERNAL TABLE x (a INT) STORED AS CSV LOCATION '/etc/passwd'",
            "EXTERNAL",
        ),
        ("SET datafusion.execution.batch_size = 1", "SET"),
        ("CREATE VIEW v AS SELECT 1", "CREATE VIEW"),
        (
            "CREATE FUNCTION f() RETURNS INT RETURN 1",
            "CREATE FUNCTION",
        ),
        ("DELETE FROM t", "DELETE"),
        ("UPDATE t SET a = 1", "UPDATE"),
        ("TRUNCATE TABLE t", "TRUNCATE"),
        ("CREATE DATABASE d", "CREATE DATABASE"),
        ("PREPARE p AS SELECT 1", "PREPARE"),
        ("BEGIN", "BEGIN"),
        ("EXPLAIN INSERT INTO t VALUES (1)", "EXPLAIN"),
        ("CREATE TEMPORARY TABLE x (a INT)", "TEMPORARY"),
        ("CREATE TABLE x (a INT PRIMARY KEY)", "PRIMARY KEY"),
    ] {
        let problem = expect_problem(send(&server, sql).await, 400).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.to_uppercase().contains(name),
            "{sql}: {detail} does not name {name}"
        );
    }
    // Files of the host are not tables.
    for sql in [
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM \"file:///etc/passwd\"",
        "SELECT * FROM read_parquet('/etc/passwd')",
    ] {
        expect_problem(send(&server, sql).await, 400).await;
    }
}
