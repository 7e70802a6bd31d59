//! Multipart and compressed bodies.

use lakehouse_tests::{expect_json, expect_problem};
use reqwest::multipart::{Form, Part};

use crate::{files, fixture, rows, server, table};

#[tokio::test]
async fn the_part_named_file_is_loaded() {
    let server = server().await;
    for (name, part) in [
        (
            "by_name",
            Part::bytes(&b"a,b\n1,x\n"[..]).file_name("rows.CSV"),
        ),
        (
            "by_type",
            Part::bytes(&b"{\"a\":1}\n"[..])
                .mime_str("application/x-ndjson")
                .unwrap(),
        ),
        (
            "packed",
            Part::bytes(fixture("rows.csv.gz")).file_name("rows.csv.gz"),
        ),
        (
            "parquet",
            Part::bytes(fixture("wide.parquet")).file_name("wide.parquet"),
        ),
    ] {
        let form = Form::new().text("note", "not the data").part("file", part);
        let request = server
            .post(&format!("/v1/ingest?table={name}"))
            .multipart(form);
        let answer = expect_json(request.send().await.unwrap(), 201).await;
        assert_eq!(rows(&server, name).await, answer["rows"].as_u64(), "{name}");
    }
}

#[tokio::test]
async fn a_large_part_is_streamed() {
    let server = server().await;
    let mut body = String::from("id,text\n");
    for id in 0..200_000 {
        body.push_str(&format!("{id},some text of number {id}\n"));
    }
    let form = Form::new().part("file", Part::text(body).file_name("x.csv"));
    let request = server.post("/v1/ingest?table=t").multipart(form);
    assert_eq!(
        expect_json(request.send().await.unwrap(), 201).await["rows"],
        200_000
    );
}

#[tokio::test]
async fn a_multipart_body_without_its_data_is_refused() {
    let server = server().await;
    let form = Form::new().text("data", "a\n1\n");
    let request = server.post("/v1/ingest?table=t&format=csv").multipart(form);
    expect_problem(request.send().await.unwrap(), 400).await;
    let part = Part::bytes(&b"a\n1\n"[..]).file_name("rows.xyz");
    let request = server
        .post("/v1/ingest?table=t")
        .multipart(Form::new().part("file", part));
    expect_problem(request.send().await.unwrap(), 415).await;
    let cut = "--B\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\na\n1\n2";
    let request = server
        .post("/v1/ingest?table=t&format=csv")
        .header("content-type", "multipart/form-data; boundary=B")
        .body(cut);
    expect_problem(request.send().await.unwrap(), 400).await;
    let request = server
        .post("/v1/ingest?table=t&format=csv")
        .header("content-type", "multipart/form-data")
        .body(cut);
    expect_problem(request.send().await.unwrap(), 415).await;
    assert!(table(&server, "t").await.is_none());
}

#[tokio::test]
async fn compressed_bodies_are_unpacked() {
    let server = server().await;
    for (encoding, name) in [("gzip", "rows.csv.gz"), ("zstd", "rows.csv.zst")] {
        let request = server
            .post(&format!("/v1/ingest?table={encoding}&format=csv"))
            .header("content-encoding", encoding);
        let answer = expect_json(request.body(fixture(name)).send().await.unwrap(), 201).await;
        assert_eq!(answer["rows"], 2);
        let mut cut = fixture(name);
        cut.truncate(cut.len() - 6);
        let before = files(&server.store_dir());
        for broken in [cut, b"plain".to_vec()] {
            let request = server
                .post(&format!("/v1/ingest?table={encoding}&format=csv"))
                .header("content-encoding", encoding);
            expect_problem(request.body(broken).send().await.unwrap(), 400).await;
        }
        assert_eq!(files(&server.store_dir()), before);
    }
    let request = server
        .post("/v1/ingest?table=t&format=csv")
        .header("content-encoding", "br");
    expect_problem(request.body("a\n1\n").send().await.unwrap(), 415).await;
}
