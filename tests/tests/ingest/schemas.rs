//! Data that fits a table, data that does not, and tables that grow.

use serde_json::json;

use crate::{fixture, lake, load, refused, server, sql};

#[tokio::test]
async fn a_column_that_the_table_lacks_is_a_conflict_that_names_it() {
    let server = server().await;
    load(&server, "table=t&format=csv", "a,b\n1,x\n").await;
    for (format, body) in [
        ("csv", "a,new,newer\n1,2,3\n"),
        ("ndjson", "{\"a\":1,\"new\":2,\"newer\":3}\n"),
    ] {
        let problem = refused(&server, &format!("table=t&format={format}"), body, 409).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("new") && detail.contains("newer"),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn evolve_adds_what_is_new() {
    let server = lake().await;
    load(&server, "table=t&format=csv", "a,b\n1,x\n").await;
    let answer = load(&server, "table=t&format=csv&evolve=true", "c,a\n2.5,2\n").await;
    let names: Vec<_> = answer["schema"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| column["name"].clone())
        .collect();
    assert_eq!(names, ["a", "b", "c"]);
    let rows = sql(&server, "SELECT a, b, c FROM t ORDER BY a").await;
    assert_eq!(rows, json!([[1, "x", null], [2, null, 2.5]]));
}

#[tokio::test]
async fn a_type_that_does_not_fit_is_a_conflict_that_names_the_column() {
    let server = server().await;
    load(&server, "table=t&format=csv", "dec,text\nnot a number,x\n").await;
    let problem = refused(
        &server,
        "table=t&format=parquet&evolve=true",
        fixture("wide.parquet"),
        409,
    );
    let problem = problem.await;
    assert!(
        problem["detail"].as_str().unwrap().contains("dec"),
        "{problem}"
    );
}

#[tokio::test]
async fn the_tables_types_win_over_what_data_looks_like() {
    let server = lake().await;
    load(&server, "table=t&format=csv", "code,n\nA1,1.5\n").await;
    load(&server, "table=t&format=csv", "code,n\n007,2\n").await;
    load(&server, "table=t&format=ndjson", "{\"code\":8,\"n\":3}\n").await;
    let rows = sql(&server, "SELECT code, n FROM t ORDER BY n").await;
    assert_eq!(rows, json!([["A1", 1.5], ["007", 2.0], ["8", 3.0]]));
}

#[tokio::test]
async fn decimals_of_a_table_stay_exact() {
    let server = lake().await;
    sql(
        &server,
        "CREATE TABLE t AS SELECT CAST('0.10' AS DECIMAL(20,2)) AS price",
    )
    .await;
    load(
        &server,
        "table=t&format=csv",
        "price\n12345678901234567.89\n0.2\n",
    )
    .await;
    load(
        &server,
        "table=t&format=ndjson",
        "{\"price\":98765432109876543.21}\n",
    )
    .await;
    let sum = sql(&server, "SELECT sum(price) FROM t").await;
    assert_eq!(sum, json!([["111111111011111111.40"]]));
    let problem = refused(&server, "table=t&format=csv", "price\n0.125\n", 400).await;
    assert_eq!(problem["line"], 2);
}

#[tokio::test]
async fn a_type_that_tables_do_not_have_is_named() {
    let server = server().await;
    let problem = refused(&server, "table=t&format=arrow", fixture("span.arrows"), 400).await;
    assert!(
        problem["detail"].as_str().unwrap().contains("'span'"),
        "{problem}"
    );
}
