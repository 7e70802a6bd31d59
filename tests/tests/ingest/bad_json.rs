//! JSON that is not, or is not rows.

use crate::{load, refused, rows, server, table};

#[tokio::test]
async fn what_is_not_an_object_is_told_with_its_place() {
    let server = server().await;
    for (format, body, line, column) in [
        ("ndjson", "{\"a\":1}\n17\n", 2, 1),
        ("ndjson", "{\"a\":1}\n [1]\n", 2, 2),
        ("ndjson", "null\n", 1, 1),
        ("json", "\"text\"", 1, 1),
        ("json", "[{\"a\":1},\n 2]", 2, 2),
        ("json", "[[{\"a\":1}]]", 1, 2),
    ] {
        let problem = refused(&server, &format!("table=t&format={format}"), body, 400).await;
        assert_eq!(problem["line"], line, "{body}: {problem}");
        assert_eq!(problem["column"], column, "{body}: {problem}");
    }
    assert!(table(&server, "t").await.is_none());
}

#[tokio::test]
async fn broken_json_is_told_with_its_line() {
    let server = server().await;
    for (format, body, line) in [
        ("ndjson", "{\"a\":1}\n{\"a\":1\n{\"a\":1}\n", 2),
        ("ndjson", "{\"a\":1}\n{\"a\":1}{\"a\":1}\n", 2),
        ("json", "[{\"a\":1},\n{\"a\":oops}]", 2),
        ("json", "[{\"a\":1}", 1),
        ("json", "[{\"a\":1}]]", 1),
    ] {
        let problem = refused(&server, &format!("table=t&format={format}"), body, 400).await;
        assert_eq!(problem["line"], line, "{body}: {problem}");
    }
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    refused(&server, "table=t&format=json", deep, 400).await;
}

#[tokio::test]
async fn a_bad_value_in_a_late_row_is_told_and_nothing_is_committed() {
    let server = server().await;
    load(&server, "table=t&format=ndjson", "{\"id\":0}\n").await;
    let mut body = String::new();
    for id in 1..300_000 {
        body.push_str(&format!("{{\"id\":{id}}}\n"));
    }
    body.push_str("{\"id\":\"many\"}\n");
    let problem = refused(&server, "table=t&format=ndjson", body, 400).await;
    assert_eq!(problem["line"], 300_000, "{problem}");
    assert_eq!(rows(&server, "t").await, Some(1));
}

#[tokio::test]
async fn no_objects_make_no_table() {
    let server = server().await;
    for (format, body) in [
        ("ndjson", ""),
        ("ndjson", "\n\n"),
        ("json", "[]"),
        ("json", ""),
    ] {
        refused(&server, &format!("table=t&format={format}"), body, 400).await;
    }
    load(&server, "table=t&format=json", "[{\"a\":1}]").await;
    assert_eq!(load(&server, "table=t&format=json", "[]").await["rows"], 0);
}
