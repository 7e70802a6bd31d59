//! Storing, reading, ranges, deleting.

use lakehouse_tests::{expect_problem, expect_status};
use reqwest::Response;

use crate::{get, path, put, storage};

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer
        .headers()
        .get(name)
        .unwrap_or_else(|| panic!("no {name} in {:?}", answer.headers()))
        .to_str()
        .expect("text")
}

#[tokio::test]
async fn an_object_goes_in_comes_out_and_goes_away() {
    let server = storage().await;
    let stored = put(&server, "a/b.txt", "some text").await;
    assert_eq!(stored["key"], "a/b.txt");
    assert_eq!(stored["size"], 9);
    let etag = format!("\"{}\"", stored["etag"].as_str().expect("an etag"));

    let answer = server.get("/v1/storage/get/a/b.txt").send().await.unwrap();
    let answer = expect_status(answer, 200).await;
    assert_eq!(header(&answer, "etag"), etag);
    assert_eq!(header(&answer, "content-length"), "9");
    assert_eq!(header(&answer, "accept-ranges"), "bytes");
    assert!(header(&answer, "last-modified").ends_with(" GMT"));
    assert_eq!(answer.text().await.unwrap(), "some text");

    let answer = server.head("/v1/storage/get/a/b.txt").send().await.unwrap();
    let answer = expect_status(answer, 200).await;
    assert_eq!(header(&answer, "etag"), etag);
    assert_eq!(header(&answer, "content-length"), "9");
    assert_eq!(answer.text().await.unwrap(), "");

    for _ in 0..2 {
        let answer = server.delete("/v1/storage/delete/a/b.txt").send().await;
        expect_status(answer.unwrap(), 204).await;
    }
    assert_eq!(get(&server, "a/b.txt").await, None);
}

#[tokio::test]
async fn what_is_not_there_is_404_by_name() {
    let server = storage().await;
    let answer = server.get("/v1/storage/get/no/such").send().await.unwrap();
    let problem = expect_problem(answer, 404).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("`no/such`"), "{detail}");
    let answer = server.head("/v1/storage/get/no/such").send().await.unwrap();
    assert_eq!(answer.status(), 404);
}

#[tokio::test]
async fn a_put_replaces_all_of_the_old_content_and_its_etag() {
    let server = storage().await;
    let first = put(&server, "k", "a long first version").await;
    let second = put(&server, "k", "short").await;
    assert_ne!(first["etag"], second["etag"]);
    assert_eq!(get(&server, "k").await.unwrap(), b"short");
    let third = put(&server, "k", "short").await;
    assert_eq!(third["size"], 5);
}

#[tokio::test]
async fn an_empty_object_is_an_object() {
    let server = storage().await;
    assert_eq!(put(&server, "empty", "").await["size"], 0);
    assert_eq!(get(&server, "empty").await.unwrap(), b"");
    let answer = server.head("/v1/storage/get/empty").send().await.unwrap();
    assert_eq!(header(&answer, "content-length"), "0");
}

#[tokio::test]
async fn every_byte_comes_back_as_it_went_in() {
    let server = storage().await;
    // Sizes around the steps in which bytes are moved.
    for size in [1, 65_535, 65_536, 65_537, 1_048_576, 3_000_001] {
        let content: Vec<u8> = (0..size)
            .map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        put(&server, "binary", content.clone()).await;
        assert!(
            get(&server, "binary").await.unwrap() == content,
            "{size} bytes"
        );
    }
}

#[tokio::test]
async fn a_range_is_that_part_of_the_object() {
    let server = storage().await;
    put(&server, "digits", "0123456789").await;
    for (range, content_range, content) in [
        ("bytes=0-0", "bytes 0-0/10", "0"),
        ("bytes=2-5", "bytes 2-5/10", "2345"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=9-9", "bytes 9-9/10", "9"),
        ("bytes=-3", "bytes 7-9/10", "789"),
        ("bytes=5-1000", "bytes 5-9/10", "56789"),
        ("bytes=-1000", "bytes 0-9/10", "0123456789"),
        ("bytes=0-18446744073709551615", "bytes 0-9/10", "0123456789"),
    ] {
        let request = server.get(&path("get", "digits")).header("range", range);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 206, "{range}");
        assert_eq!(header(&answer, "content-range"), content_range, "{range}");
        assert_eq!(header(&answer, "content-length"), content.len().to_string());
        assert_eq!(answer.text().await.unwrap(), content, "{range}");
    }
}

#[tokio::test]
async fn a_range_beyond_the_end_is_416_with_the_size() {
    let server = storage().await;
    put(&server, "digits", "0123456789").await;
    put(&server, "empty", "").await;
    for (key, range, size) in [
        ("digits", "bytes=10-", "bytes */10"),
        ("digits", "bytes=10-20", "bytes */10"),
        ("digits", "bytes=18446744073709551615-", "bytes */10"),
        ("digits", "bytes=-0", "bytes */10"),
        ("digits", "bytes=5-2", "bytes */10"),
        ("digits", "bytes=x-y", "bytes */10"),
        ("digits", "bytes=", "bytes */10"),
        ("empty", "bytes=0-", "bytes */0"),
        ("empty", "bytes=0-0", "bytes */0"),
    ] {
        let request = server.get(&path("get", key)).header("range", range);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 416, "{range}");
        assert_eq!(header(&answer, "content-range"), size, "{range}");
        expect_problem(answer, 416).await;
    }
}

#[tokio::test]
async fn ranges_that_are_not_served_get_the_whole_object() {
    let server = storage().await;
    put(&server, "digits", "0123456789").await;
    for range in ["items=0-1", "bytes=0-1,4-5"] {
        let request = server.get(&path("get", "digits")).header("range", range);
        let answer = expect_status(request.send().await.unwrap(), 200).await;
        assert_eq!(answer.text().await.unwrap(), "0123456789", "{range}");
    }
    // A range is for GET; HEAD tells of the whole.
    let request = server
        .head(&path("get", "digits"))
        .header("range", "bytes=0-1");
    let answer = expect_status(request.send().await.unwrap(), 200).await;
    assert_eq!(header(&answer, "content-length"), "10");
}
