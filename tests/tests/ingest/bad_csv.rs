//! CSV that is not, each refused with its place and without a trace.

use crate::{load, refused, rows, server, table};

const CSV: &str = "table=t&format=csv";

#[tokio::test]
async fn a_ragged_row_is_told_with_its_line() {
    let server = server().await;
    for (body, line) in [
        ("a,b\n1,2\n3\n", 3),
        ("a,b\n1,2\n3,4,5\n", 3),
        ("a,b\r\n\"1\r\n2\",x\r\n\r\n3\r\n", 5),
        ("a,b\r1,2\r3", 3),
    ] {
        let problem = refused(&server, CSV, body, 400).await;
        assert_eq!(problem["line"], line, "{problem}");
    }
    assert!(table(&server, "t").await.is_none());
}

#[tokio::test]
async fn a_bad_number_in_row_1_000_000_is_told_and_nothing_is_committed() {
    let server = server().await;
    load(&server, CSV, "id,amount\n0,0.5\n").await;
    let mut body = String::with_capacity(20_000_000);
    body.push_str("id,amount\n");
    for row in 1..1_000_000 {
        body.push_str(&format!("{row},{}.25\n", row % 1000));
    }
    body.push_str("1000000,12.5.1\n1000001,1\n");
    let body = bytes::Bytes::from(body);
    for query in [CSV, "table=new&format=csv"] {
        let problem = refused(&server, query, body.clone(), 400).await;
        assert_eq!(problem["line"], 1_000_001, "{problem}");
        assert_eq!(problem["column"], 2, "{problem}");
        assert_eq!(problem["column_name"], "amount", "{problem}");
        assert!(
            problem["detail"].as_str().unwrap().contains("12.5.1"),
            "{problem}"
        );
    }
    assert_eq!(rows(&server, "t").await, Some(1));
    assert!(table(&server, "new").await.is_none());
}

#[tokio::test]
async fn an_empty_body_or_only_a_header_makes_no_table() {
    let server = server().await;
    for body in ["", "\n\r\n", "\u{FEFF}", "a,b\n", "a,b"] {
        refused(&server, CSV, body, 400).await;
        refused(&server, &format!("{CSV}&mode=create"), body, 400).await;
    }
    assert!(table(&server, "t").await.is_none());
    load(&server, CSV, "a,b\n1,2\n").await;
    let answer = load(&server, CSV, "a,b\n").await;
    assert_eq!(answer["rows"], 0);
    assert_eq!(rows(&server, "t").await, Some(1));
}

#[tokio::test]
async fn column_names_that_occur_twice_are_named() {
    let server = server().await;
    let problem = refused(&server, CSV, "id,name,id\n1,x,2\n", 400).await;
    assert!(
        problem["detail"].as_str().unwrap().contains("'id'"),
        "{problem}"
    );
    assert_eq!(problem["line"], 1);
}

#[tokio::test]
async fn bytes_that_are_no_text_are_told_with_their_line() {
    let server = server().await;
    let problem = refused(&server, CSV, "a,b\n1,2\n3,\0\n", 400).await;
    assert_eq!(problem["line"], 3, "{problem}");
    assert!(
        problem["detail"].as_str().unwrap().contains("NUL"),
        "{problem}"
    );
    let problem = refused(&server, CSV, &b"a,b\n1,2\n3,\xFF\xFE\n"[..], 400).await;
    assert_eq!(problem["line"], 3, "{problem}");
    assert_eq!(problem["column"], 2, "{problem}");
    refused(&server, CSV, &b"\xFF\xFEa\0,\0b\0\n\0"[..], 400).await;
}

#[tokio::test]
async fn a_quote_that_is_never_closed_does_not_fill_memory() {
    let server = server().await;
    let problem = refused(&server, CSV, "a,b\n1,2\n3,\"4\n5,6\n", 400).await;
    assert_eq!(problem["line"], 3, "{problem}");
    let mut body = b"a,b\n1,\"".to_vec();
    body.resize(64 << 20, b'x');
    let problem = refused(&server, CSV, body, 400).await;
    assert_eq!(problem["line"], 2, "{problem}");
}
