//! Older versions of a table.

use std::time::Duration;

use lakehouse_tests::expect_problem;
use serde_json::{Value, json};

use crate::{rows, run, send, server};

fn snapshot(answer: &Value) -> i64 {
    answer["rows"][0][1].as_i64().expect("a snapshot id")
}

#[tokio::test]
async fn a_table_can_be_read_as_it_was() {
    let server = server().await;
    let first = snapshot(&run(&server, "CREATE TABLE t AS SELECT 1 AS a").await);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let between = rows(&server, "SELECT now()").await[0][0]
        .as_str()
        .unwrap()
        .to_owned();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let second = snapshot(&run(&server, "INSERT INTO t VALUES (2)").await);
    assert_ne!(first, second);

    for (from, expected) in [
        ("t".to_owned(), json!([[1], [2]])),
        (format!("t FOR VERSION AS OF {first}"), json!([[1]])),
        (format!("T for version as of {first} AS t"), json!([[1]])),
        (
            format!("lakehouse.default.t FOR VERSION AS OF {second}"),
            json!([[1], [2]]),
        ),
        (format!("t FOR TIMESTAMP AS OF '{between}'"), json!([[1]])),
        (
            format!("t FOR SYSTEM_TIME AS OF TIMESTAMP '{between}'"),
            json!([[1]]),
        ),
        (
            "t FOR TIMESTAMP AS OF now() + INTERVAL '1 hour'".to_owned(),
            json!([[1], [2]]),
        ),
    ] {
        let sql = format!("SELECT t.a FROM {from} WHERE t.a > 0 ORDER BY 1");
        assert_eq!(rows(&server, &sql).await, expected, "{sql}");
    }

    let sql = format!(
        "SELECT new.a FROM t AS new LEFT JOIN t FOR VERSION AS OF {first} AS old ON new.a = old.a \
         WHERE old.a IS NULL"
    );
    assert_eq!(rows(&server, &sql).await, json!([[2]]));
}

#[tokio::test]
async fn versions_that_never_were_are_refused() {
    let server = server().await;
    run(&server, "CREATE TABLE t AS SELECT 1 AS a").await;
    for sql in [
        "SELECT * FROM t FOR VERSION AS OF 12345",
        "SELECT * FROM t FOR VERSION AS OF latest",
        "SELECT * FROM t FOR TIMESTAMP AS OF '2001-01-01'",
        "SELECT * FROM t FOR TIMESTAMP AS OF 'yesterday'",
        "SELECT * FROM t FOR TIMESTAMP AS OF 7",
        "SELECT * FROM t FOR TIMESTAMP AS OF NULL",
        "SELECT * FROM nosuch FOR VERSION AS OF 1",
        "SELECT * FROM (SELECT 1) FOR VERSION AS OF 1",
    ] {
        expect_problem(send(&server, sql).await, 400).await;
    }
}
