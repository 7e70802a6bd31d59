//! Bodies that are cut off, too long, very long, or acknowledged before a crash.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, stream};
use lakehouse_tests::{Server, SmallDisk, expect_json, expect_problem, expect_status};

use crate::{all_keys, get, path, put, raw, storage};

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Waits until the files of the store that hold anything are this many.
async fn wait_for_files(server: &Server, expected: usize) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let mut left = files(&server.store_dir());
        left.retain(|path| fs::metadata(path).is_ok_and(|meta| meta.len() > 0));
        if left.len() == expected {
            return;
        }
        assert!(Instant::now() < deadline, "not {expected} files: {left:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const FRAMINGS: [(&str, &[u8]); 3] = [
    ("Content-Length: 1000", b"half of the announced bytes"),
    ("Transfer-Encoding: chunked", b"10\r\n0123456789abcdef\r\n"),
    ("Transfer-Encoding: chunked", b"10\r\n0123"),
];

#[tokio::test]
async fn a_body_that_is_cut_off_stores_nothing() {
    let server = storage().await;
    put(&server, "there", "before").await;
    for (framing, beginning) in FRAMINGS {
        for key in ["new", "there"] {
            raw::cut(raw::begin_put(
                &server,
                &path("put", key),
                framing,
                beginning,
            ));
        }
    }
    wait_for_files(&server, 1).await;
    assert_eq!(get(&server, "new").await, None);
    assert_eq!(get(&server, "there").await.unwrap(), b"before");
    assert_eq!(all_keys(&server).await, ["there"]);
}

#[tokio::test]
async fn a_client_that_stops_halfway_but_listens_hears_that_nothing_was_stored() {
    let server = storage().await;
    for (framing, beginning) in FRAMINGS {
        let stream = raw::begin_put(&server, &path("put", "new"), framing, beginning);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        // Some servers only close the connection; an answer must not be a success.
        let mut answer = Vec::new();
        let _ = std::io::Read::read_to_end(&mut &stream, &mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{framing}: {answer}"
        );
    }
    wait_for_files(&server, 0).await;
    assert_eq!(get(&server, "new").await, None);
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_and_stores_nothing() {
    let server = Server::builder()
        .plugins(&["storage"])
        .config("[plugins.storage]\nmax_body = \"1KiB\"\n")
        .start()
        .await;
    let exact = vec![7; 1024];
    put(&server, "exact", exact.clone()).await;

    let over = server.put(&path("put", "over")).body(vec![7; 1025]);
    expect_problem(over.send().await.unwrap(), 413).await;
    // Without a length the limit is met only in the middle.
    let chunks = stream::iter((0..64).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![7; 64]))));
    let over = server
        .put(&path("put", "over"))
        .body(reqwest::Body::wrap_stream(chunks));
    expect_problem(over.send().await.unwrap(), 413).await;
    assert_eq!(all_keys(&server).await, ["exact"]);
    assert_eq!(get(&server, "exact").await.unwrap(), exact);
    wait_for_files(&server, 1).await;
}

#[tokio::test]
async fn a_full_disk_is_507_and_what_was_there_stays() {
    let Some(disk) = SmallDisk::mount("8m") else {
        eprintln!("not run: no permission to mount a small filesystem");
        return;
    };
    let server = Server::builder()
        .plugins(&["storage"])
        .data_dir(disk.path().join("data"))
        .start()
        .await;
    put(&server, "there", "before").await;
    for key in ["new", "there"] {
        let over = server.put(&path("put", key)).body(vec![7; 12 << 20]);
        expect_problem(over.send().await.unwrap(), 507).await;
        wait_for_files(&server, 1).await;
    }
    assert_eq!(get(&server, "there").await.unwrap(), b"before");
    assert_eq!(all_keys(&server).await, ["there"]);
    // What fits is taken again.
    put(&server, "new", vec![7; 1 << 20]).await;
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_kill_9() {
    let mut server = storage().await;
    put(&server, "replaced", "old").await;
    for number in 0..20 {
        put(&server, &format!("n/{number}"), format!("content {number}")).await;
    }
    let replaced = put(&server, "replaced", "new").await;
    // One more is under way when the power goes.
    let _open = raw::begin_put(
        &server,
        &path("put", "unfinished"),
        "Content-Length: 1000",
        b"the beginning",
    );
    server.kill9();
    server.restart().await;

    for number in 0..20 {
        let content = get(&server, &format!("n/{number}")).await;
        assert_eq!(content.unwrap(), format!("content {number}").as_bytes());
    }
    assert_eq!(get(&server, "replaced").await.unwrap(), b"new");
    assert_eq!(get(&server, "unfinished").await, None);
    assert_eq!(all_keys(&server).await.len(), 21);
    wait_for_files(&server, 21).await;
    // The version is the same one: a writer from before can go on.
    let answer = server
        .put(&path("put", "replaced"))
        .header(
            "if-match",
            format!("\"{}\"", replaced["etag"].as_str().unwrap()),
        )
        .body("newer")
        .send()
        .await
        .unwrap();
    expect_json(answer, 201).await;
}

/// The bytes of a long body, any chunk of it.
fn chunk(number: u64) -> Bytes {
    let seed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let words = (0..CHUNK as u64 / 8).map(|i| seed.wrapping_mul(i.wrapping_add(3)).to_le_bytes());
    Bytes::from(words.flatten().collect::<Vec<u8>>())
}

const CHUNK: usize = 1 << 16;
const CHUNKS: u64 = 200 * 16;

#[tokio::test]
async fn two_hundred_megabytes_stream_through_in_little_memory() {
    let server = storage().await;
    put(&server, "warm", "up").await;
    get(&server, "warm").await;
    let (_, before) = server.resident();

    let chunks = stream::iter((0..CHUNKS).map(|number| Ok::<_, std::io::Error>(chunk(number))));
    let body = reqwest::Body::wrap_stream(chunks);
    let stored = put(&server, "long", body).await;
    assert_eq!(stored["size"], CHUNKS * CHUNK as u64);

    let answer = server.get(&path("get", "long")).send().await.unwrap();
    let mut body = expect_status(answer, 200).await.bytes_stream();
    let mut pending: Vec<u8> = Vec::new();
    let mut number = 0;
    while let Some(piece) = body.next().await {
        pending.extend_from_slice(&piece.unwrap());
        let whole = pending.len() / CHUNK * CHUNK;
        for found in pending[..whole].chunks(CHUNK) {
            assert!(found == chunk(number), "chunk {number} differs");
            number += 1;
        }
        pending.drain(..whole);
    }
    assert_eq!((number, pending.len()), (CHUNKS, 0));

    let (_, peak) = server.resident();
    let grown = peak.saturating_sub(before) >> 20;
    assert!(grown < 64, "the host grew by {grown} MiB");
}

#[tokio::test]
async fn a_reader_that_goes_away_leaves_the_server_serving() {
    let server = storage().await;
    put(&server, "long", vec![1; 32 << 20]).await;
    for _ in 0..8 {
        let mut answer = server.get(&path("get", "long")).send().await.unwrap();
        answer.chunk().await.unwrap();
        drop(answer);
    }
    assert_eq!(get(&server, "long").await.unwrap().len(), 32 << 20);
}
