//! `Idempotency-Key`: a request that is sent again changes nothing.

use lakehouse_tests::{Server, expect_json, expect_problem};
use reqwest::Response;

use crate::{load, rows, server};

async fn keyed(server: &Server, query: &str, key: &str, body: &'static str) -> Response {
    let request = server
        .post(&format!("/v1/ingest?{query}"))
        .header("idempotency-key", key);
    request.body(body).send().await.expect("an answer")
}

#[tokio::test]
async fn the_same_key_answers_as_the_first_time() {
    let server = server().await;
    let first = keyed(&server, "table=t&format=csv&mode=create", "k1", "a\n1\n2\n").await;
    let first = expect_json(first, 201).await;
    load(&server, "table=t&format=csv&evolve=true", "a,b\n3,x\n").await;
    let again = keyed(&server, "table=t&format=csv&mode=create", "k1", "a\n1\n2\n").await;
    assert_eq!(expect_json(again, 201).await, first);
    assert_eq!(rows(&server, "t").await, Some(3));
    let other = keyed(&server, "table=t&format=csv", "k2", "a\n4\n").await;
    assert_ne!(
        expect_json(other, 201).await["snapshot_id"],
        first["snapshot_id"]
    );
    assert_eq!(rows(&server, "t").await, Some(4));
}

#[tokio::test]
async fn a_key_is_good_for_one_table() {
    let server = server().await;
    for table in ["t", "u"] {
        let answer = keyed(&server, &format!("table={table}&format=csv"), "k", "a\n1\n").await;
        assert_eq!(
            expect_json(answer, 201).await["table"],
            format!("default.{table}")
        );
        assert_eq!(rows(&server, table).await, Some(1));
    }
}

#[tokio::test]
async fn a_key_outlives_the_process() {
    let mut server = server().await;
    let first = expect_json(
        keyed(&server, "table=t&format=csv", "k", "a\n1\n").await,
        201,
    )
    .await;
    server.kill9();
    server.restart().await;
    let again = expect_json(
        keyed(&server, "table=t&format=csv", "k", "a\n1\n").await,
        201,
    )
    .await;
    assert_eq!(again, first);
    assert_eq!(rows(&server, "t").await, Some(1));
}

#[tokio::test]
async fn a_request_that_failed_may_be_sent_again() {
    let server = server().await;
    expect_problem(
        keyed(&server, "table=t&format=csv", "k", "a,b\n1\n").await,
        400,
    )
    .await;
    expect_json(
        keyed(&server, "table=t&format=csv", "k", "a,b\n1,2\n").await,
        201,
    )
    .await;
    assert_eq!(rows(&server, "t").await, Some(1));
}

#[tokio::test]
async fn the_same_key_at_once_adds_its_rows_once() {
    let server = server().await;
    load(&server, "table=t&format=csv", "a\n0\n").await;
    let query = "table=t&format=csv";
    let answers =
        futures::future::join_all((0..4).map(|_| keyed(&server, query, "same", "a\n1\n2\n3\n")));
    let mut snapshots = Vec::new();
    for answer in answers.await {
        snapshots.push(expect_json(answer, 201).await["snapshot_id"].clone());
    }
    snapshots.dedup();
    assert_eq!(snapshots.len(), 1);
    assert_eq!(rows(&server, "t").await, Some(4));
}

#[tokio::test]
async fn a_key_must_be_one() {
    let server = server().await;
    let long = "k".repeat(256);
    for key in ["", &long] {
        expect_problem(
            keyed(&server, "table=t&format=csv", key, "a\n1\n").await,
            400,
        )
        .await;
    }
}
