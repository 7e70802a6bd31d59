//! Results in every format.

use serde_json::{Value, json};

use crate::{rows, run, server, text};

/// One row of every kind of value, and one of nulls.
const KINDS: &str = "SELECT * FROM (VALUES \
    (true, 9223372036854775807, 1.5e0, CAST(12.30 AS DECIMAL(10, 2)), 'a \"b\", c', \
     DATE '2024-02-29', TIMESTAMP '2024-02-29T12:34:56.789', X'00ff', [1, NULL, 3], \
     named_struct('x', 1, 'y', 'z')), \
    (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)) \
    AS t(b, i, f, d, s, day, ts, bin, list, st)";

#[tokio::test]
async fn json_loses_nothing() {
    let server = server().await;
    let answer = run(&server, KINDS).await;
    assert_eq!(
        answer["rows"],
        json!([
            [
                true,
                9223372036854775807_i64,
                1.5,
                "12.30",
                "a \"b\", c",
                "2024-02-29",
                "2024-02-29T12:34:56.789",
                "00ff",
                [1, null, 3],
                {"x": 1, "y": "z"}
            ],
            [null, null, null, null, null, null, null, null, null, null]
        ])
    );
    let types: Vec<&str> = answer["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| column["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        &types[..6],
        [
            "Boolean",
            "Int64",
            "Float64",
            "Decimal128(10, 2)",
            "Utf8",
            "Date32"
        ]
    );

    assert_eq!(
        rows(
            &server,
            "SELECT CAST('NaN' AS DOUBLE), CAST('inf' AS DOUBLE), CAST('-inf' AS REAL), \
             CAST(0.1 AS REAL), 18446744073709551615, \
             CAST('2024-01-01T00:00:00Z' AS TIMESTAMP WITH TIME ZONE)"
        )
        .await,
        json!([[
            "NaN",
            "Infinity",
            "-Infinity",
            0.1,
            18446744073709551615_u64,
            "2024-01-01T00:00:00Z"
        ]])
    );
}

#[tokio::test]
async fn kinds_survive_a_table() {
    let server = server().await;
    let sql = format!("CREATE TABLE kinds AS {KINDS}");
    run(&server, &sql).await;
    assert_eq!(
        rows(&server, "SELECT * FROM kinds ORDER BY b NULLS LAST").await,
        rows(&server, KINDS).await
    );
}

#[tokio::test]
async fn ndjson_is_an_object_a_line() {
    let server = server().await;
    let body = text(
        &server,
        "application/x-ndjson",
        "SELECT value AS n, NULL AS nothing FROM generate_series(1, 3)",
    )
    .await;
    let lines: Vec<Value> = body
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        lines,
        [
            json!({"n": 1, "nothing": null}),
            json!({"n": 2, "nothing": null}),
            json!({"n": 3, "nothing": null})
        ]
    );
    let none = text(&server, "application/x-ndjson", "SELECT 1 WHERE false").await;
    assert_eq!(none, "");
}

#[tokio::test]
async fn csv_has_a_line_of_names() {
    let server = server().await;
    let body = text(
        &server,
        "text/csv",
        "SELECT 1 AS a, 'x,\"y\"' AS b, NULL AS c, [1, 2] AS d, 1.50::decimal(5, 2) AS e",
    )
    .await;
    assert_eq!(body, "a,b,c,d,e\n1,\"x,\"\"y\"\"\",,\"[1,2]\",1.50\n");
    let none = text(&server, "text/csv", "SELECT 1 AS a WHERE false").await;
    assert_eq!(none, "a\n");
}

#[tokio::test]
async fn arrow_and_parquet_are_whole() {
    let server = server().await;
    let sql = "SELECT value AS n, CAST(value AS VARCHAR) AS s FROM generate_series(1, 100000)";
    for (accept, magic) in [
        (
            "application/vnd.apache.arrow.stream",
            &b"\xff\xff\xff\xff"[..],
        ),
        ("application/vnd.apache.parquet", b"PAR1"),
    ] {
        let answer = server
            .post("/v1/sql")
            .header("accept", accept)
            .body(sql)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], accept);
        let bytes = answer.bytes().await.unwrap();
        assert!(bytes.len() > 100_000, "{accept}: {} bytes", bytes.len());
        assert!(bytes.starts_with(magic), "{accept}");
        let end = match accept.contains("parquet") {
            true => &b"PAR1"[..],
            false => b"\xff\xff\xff\xff\0\0\0\0",
        };
        assert!(bytes.ends_with(end), "{accept} has no end");
    }
}

#[tokio::test]
async fn the_best_format_on_offer_is_chosen() {
    let server = server().await;
    for (accept, media) in [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("text/*", "text/csv"),
        ("text/html, text/csv;q=0.8, */*;q=0.1", "text/csv"),
        (
            "application/json;q=0.5, application/x-ndjson",
            "application/x-ndjson",
        ),
        ("application/json;q=0, */*", "application/x-ndjson"),
    ] {
        let answer = server
            .post("/v1/sql")
            .header("accept", accept)
            .body("SELECT 1")
            .send()
            .await
            .unwrap();
        let found = answer.headers()["content-type"].to_str().unwrap();
        assert!(found.starts_with(media), "{accept}: {found}");
    }
}

#[tokio::test]
async fn a_result_without_columns_or_rows_is_one() {
    let server = server().await;
    let answer = run(&server, "CREATE SCHEMA s").await;
    assert_eq!(answer["columns"], json!([]));
    assert_eq!(answer["rows"], json!([]));
    let answer = run(&server, "SELECT 1 AS a WHERE false").await;
    assert_eq!(answer["columns"], json!([{"name": "a", "type": "Int64"}]));
    assert_eq!(answer["row_count"], 0);
}
