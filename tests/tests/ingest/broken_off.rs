//! Requests and processes that end in the middle.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use lakehouse_tests::{Server, SmallDisk, expect_problem};
use serde_json::json;

use crate::{files, load, rows, server};

/// Starts a request of `length` bytes and sends the first of them.
fn begin(server: &Server, query: &str, length: usize, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    let head = format!(
        "POST /v1/ingest?{query} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    stream.write_all(body).expect("sent");
    stream
}

/// Rows of a CSV of about `megabytes` that do not compress well.
fn csv(megabytes: usize) -> Vec<u8> {
    let mut body = b"id,text\n".to_vec();
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut id = 0;
    while body.len() < megabytes << 20 {
        id += 1;
        body.extend_from_slice(format!("{id},").as_bytes());
        for _ in 0..8 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            body.extend_from_slice(format!("{seed:016x}").as_bytes());
        }
        body.push(b'\n');
    }
    body
}

/// Waits until the store holds what it held before, and nothing more.
async fn settles(server: &Server, before: &[(std::path::PathBuf, u64)]) {
    for _ in 0..200 {
        if files(&server.store_dir()) == before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(files(&server.store_dir()), before);
}

#[tokio::test]
async fn a_body_cut_off_in_the_middle_commits_nothing() {
    let server = server().await;
    load(&server, "table=t&format=csv", "id,text\n0,x\n").await;
    let before = files(&server.store_dir());
    let body = csv(20);
    // Cut after a whole row: what came is well-formed, and still not all.
    let end = body.iter().rposition(|byte| *byte == b'\n').expect("a row") + 1;
    for query in ["table=t&format=csv", "table=new&format=csv"] {
        let stream = begin(&server, query, body.len() * 2, &body[..end]);
        stream.shutdown(Shutdown::Write).expect("closed");
        let mut answer = String::new();
        let mut stream = stream;
        // Some servers close without an answer to a request that was never whole.
        let _ = stream.read_to_string(&mut answer);
        assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
        drop(begin(&server, query, body.len() * 2, &body[..end]));
        settles(&server, &before).await;
    }
    assert_eq!(rows(&server, "t").await, Some(1));
    assert_eq!(rows(&server, "new").await, None);
}

#[tokio::test]
async fn kill_during_ingest_leaves_the_table_as_it_was() {
    let mut server = server().await;
    load(&server, "table=t&format=csv", "id,text\n0,x\n").await;
    let body = csv(40);
    for sent in [body.len() / 3, body.len() - 1] {
        let stream = begin(&server, "table=t&format=csv", body.len(), &body[..sent]);
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.kill9();
        drop(stream);
        server.restart().await;
        assert_eq!(rows(&server, "t").await, Some(1));
    }
    load(&server, "table=t&format=csv", "id,text\n1,y\n").await;
    assert_eq!(rows(&server, "t").await, Some(2));
}

#[tokio::test]
async fn a_full_disk_is_said_so_and_nothing_has_changed() {
    let Some(disk) = SmallDisk::mount("24m") else {
        eprintln!("not run: no permission to mount a small filesystem");
        return;
    };
    let server = Server::builder()
        .plugins(&["catalog", "ingest"])
        .data_dir(disk.path().join("data"))
        .start()
        .await;
    load(&server, "table=t&format=csv", "id,text\n0,x\n").await;
    let before = files(&server.store_dir());
    let body = bytes::Bytes::from(csv(96));
    // What comes as Parquet is kept as it is first. It has no more than the host reads
    // on after its answer: a client that cannot send on may not look for one.
    for (format, megabytes) in [("csv", 96), ("parquet", 32)] {
        let query = format!("table=t&format={format}");
        let body = body.slice(..body.len().min(megabytes << 20));
        expect_problem(crate::post(&server, &query, body).await, 507).await;
        settles(&server, &before).await;
    }
    assert_eq!(rows(&server, "t").await, Some(1));
    load(&server, "table=t&format=csv", "id,text\n1,y\n").await;
    assert_eq!(rows(&server, "t").await, Some(2));
    let answer = server
        .get("/v1/catalog/tables/default/t")
        .send()
        .await
        .unwrap();
    assert_eq!(
        answer.json::<serde_json::Value>().await.unwrap()["rows"],
        json!(2)
    );
}
