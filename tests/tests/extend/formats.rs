//! Formats of plugins.

use lakehouse_tests::{Server, expect_json, expect_problem};
use reqwest::Response;
use serde_json::{Value, json};

use crate::rows;

async fn server() -> Server {
    Server::builder()
        .plugins(&["catalog", "ingest", "query", "logfmt"])
        .start()
        .await
}

async fn post(server: &Server, query: &str, body: impl Into<reqwest::Body>) -> Response {
    server
        .post(&format!("/v1/ingest?format=logfmt&{query}"))
        .body(body)
        .send()
        .await
        .expect("an answer")
}

async fn loaded(server: &Server, query: &str, body: impl Into<reqwest::Body>) -> Value {
    expect_json(post(server, query, body).await, 201).await
}

#[tokio::test]
async fn a_body_in_the_format_of_a_plugin_becomes_rows() {
    let server = server().await;
    let body = "level=info msg=\"it is \\\"up\\\"\" took=1.5 port=80 debug\n\
                \n\
                level=warn msg=slow took=2 port=81\r\n\
                level=error port=";
    let answer = loaded(&server, "table=logs", body).await;
    assert_eq!(answer["rows"], 3);
    let found = rows(
        &server,
        "select level, msg, took, port, debug from logs order by level desc",
    )
    .await;
    assert_eq!(
        found,
        json!([
            ["warn", "slow", 2.0, 81, null],
            ["info", "it is \"up\"", 1.5, 80, true],
            ["error", null, null, null, null],
        ])
    );
}

#[tokio::test]
async fn what_the_table_says_of_a_column_wins() {
    let server = server().await;
    rows(&server, "create table logs (code varchar, at timestamp)").await;
    loaded(&server, "table=logs", "code=007 at=2026-01-02T03:04:05\n").await;
    let found = rows(&server, "select code, at from logs").await;
    assert_eq!(found[0][0], "007");
    assert!(
        found[0][1]
            .as_str()
            .unwrap()
            .starts_with("2026-01-02T03:04:05"),
        "{found}"
    );
}

#[tokio::test]
async fn what_is_wrong_is_said_by_line_and_column() {
    let server = server().await;
    for (body, line, column, said) in [
        ("a=1\nb=\"open\n", 2, 3, "the quoted value does not end"),
        ("a=1\n=2\n", 2, 1, "a value without a key"),
        ("a=1 a=2", 1, 5, "twice"),
        ("a=\u{e9}\n".trim_end(), 0, 0, ""),
    ] {
        let answer = post(&server, "table=bad&mode=overwrite", body).await;
        if said.is_empty() {
            expect_json(answer, 201).await;
            continue;
        }
        let problem = expect_problem(answer, 400).await;
        assert_eq!(
            (&problem["line"], &problem["column"]),
            (&json!(line), &json!(column)),
            "{problem}"
        );
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.starts_with(&format!("line {line}, column {column}")),
            "{detail}"
        );
        assert!(detail.contains(said), "{detail}");
    }
    let problem = expect_problem(
        post(&server, "table=none", &b"a=1\nb=\xff\n"[..]).await,
        400,
    )
    .await;
    assert_eq!(
        (&problem["line"], &problem["column"]),
        (&json!(2), &json!(3))
    );

    loaded(&server, "table=typed", "n=1\n").await;
    let problem = expect_problem(post(&server, "table=typed", "n=2\nn=two\n").await, 400).await;
    assert_eq!(problem["line"], 2);
    assert_eq!(problem["column_name"], "n");
    // Nothing of a bad body stays.
    assert_eq!(rows(&server, "select n from typed").await, json!([[1]]));
    let problem = expect_problem(post(&server, "table=typed", "n=2 m=3\n").await, 409).await;
    assert_eq!(problem["columns"], json!(["m"]));
}

#[tokio::test]
async fn an_unknown_format_is_told_what_there_is() {
    let server = server().await;
    let answer = server
        .post("/v1/ingest?table=t&format=xls")
        .body("x")
        .send()
        .await
        .unwrap();
    let problem = expect_problem(answer, 400).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.ends_with("it must be one of csv, ndjson, json, parquet, arrow, logfmt"),
        "{detail}"
    );
    let problem = expect_problem(post(&server, "table=t&header=true", "a=1\n").await, 400).await;
    let detail = problem["detail"].as_str().unwrap();
    assert_eq!(
        detail,
        "'header' is no option of this format, which has none"
    );
    // A misspelt option of a format that is not a plugin's is one as before.
    let answer = server
        .post("/v1/ingest?table=t&format=csv&hedder=true")
        .body("a\n1\n")
        .send()
        .await
        .unwrap();
    expect_problem(answer, 400).await;
}

#[tokio::test]
async fn a_body_without_rows_makes_no_table() {
    let server = server().await;
    for body in ["", "\n\n"] {
        expect_problem(post(&server, "table=t", body).await, 400).await;
    }
    loaded(&server, "table=t", "a=1\n").await;
    assert_eq!(loaded(&server, "table=t", "\n").await["rows"], 0);
    assert_eq!(rows(&server, "select a from t").await, json!([[1]]));
}

#[tokio::test]
async fn a_large_body_streams_through_both_plugins() {
    let server = server().await;
    let lines: String = (0..20_000)
        .map(|at| format!("id={at} level=info msg=\"a message of some length, number {at}\"\n"))
        .collect();
    let line: bytes::Bytes = lines.into();
    let pieces = futures::stream::iter((0..40).map(move |_| Ok::<_, std::io::Error>(line.clone())));
    let answer = loaded(&server, "table=big", reqwest::Body::wrap_stream(pieces)).await;
    assert_eq!(answer["rows"], 800_000);
    assert_eq!(
        rows(&server, "select count(*), max(id) from big").await,
        json!([[800_000, 19_999]])
    );
    let (_, peak) = server.resident();
    assert!(peak < 700 << 20, "{peak} bytes");
}
