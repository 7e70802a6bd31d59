//! Bodies over the limit, heads that do not end, connections without requests.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use lakehouse_tests::{Server, expect_problem, expect_text};
use reqwest::Body;

use super::bare;
use super::raw::{connect, exchange};

const LIMITS: &str = "[vectors]\nmax_body = \"100KiB\"\n[plugins.hello]\nmax_body = \"100KiB\"\n";

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    let server = Server::builder()
        .config(LIMITS)
        .plugins(&["hello"])
        .start()
        .await;
    for path in ["/v1/vectors/index", "/v1/hello"] {
        for size in [(100 << 10) + 1, 20 << 20] {
            let answer = server
                .post(path)
                .header("content-type", "application/json")
                .body(vec![b' '; size])
                .send()
                .await
                .unwrap();
            let problem = expect_problem(answer, 413).await;
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("102400"), "{detail}");
        }
    }
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_413() {
    let server = bare(LIMITS).start().await;
    let chunks = (0..50).map(|_| Ok::<_, std::io::Error>(vec![b' '; 10_000]));
    let answer = server
        .post("/v1/vectors/index")
        .header("content-type", "application/json")
        .body(Body::wrap_stream(futures::stream::iter(chunks)))
        .send()
        .await
        .unwrap();
    expect_problem(answer, 413).await;
}

#[tokio::test]
async fn a_body_at_the_limit_is_read() {
    let server = Server::builder()
        .config(LIMITS)
        .plugins(&["hello"])
        .start()
        .await;
    let answer = server
        .post("/v1/hello")
        .body(vec![b' '; 100 << 10])
        .send()
        .await
        .unwrap();
    assert_eq!(expect_text(answer, 200).await, "hello, world");
}

#[tokio::test]
async fn a_head_that_does_not_end_is_cut_off() {
    let server = bare("[server]\nheader_timeout = \"200ms\"\nidle_timeout = \"1m\"\n")
        .start()
        .await;
    let begun = Instant::now();
    let mut stream = connect(&server);
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        .unwrap();
    let mut rest = Vec::new();
    let closed = stream.read_to_end(&mut rest);
    assert!(closed.is_ok(), "{closed:?}");
    assert_eq!(String::from_utf8_lossy(&rest), "");
    assert!(begun.elapsed() < Duration::from_secs(25));
}

#[tokio::test]
async fn a_connection_outlives_the_header_timeout_and_not_the_idle_one() {
    let server = bare("[server]\nheader_timeout = \"200ms\"\nidle_timeout = \"2s\"\n")
        .start()
        .await;
    let mut stream = connect(&server);
    let mut buffer = [0; 4096];
    for _ in 0..3 {
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        let length = stream.read(&mut buffer).unwrap();
        assert!(buffer[..length].starts_with(b"HTTP/1.1 200 OK\r\n"));
        std::thread::sleep(Duration::from_millis(500));
    }
    // Now nothing more is asked, and the server closes.
    assert_eq!(stream.read(&mut buffer).unwrap(), 0);
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let server = bare("").start().await;
    assert!(exchange(&server, b"hello?\r\n\r\n").starts_with("HTTP/1.1 400 "));
    let mut head = String::from("GET /healthz HTTP/1.1\r\nHost: x\r\n");
    for number in 0..1000 {
        write!(head, "x-{number}: y\r\n").unwrap();
    }
    head.push_str("\r\n");
    assert!(exchange(&server, head.as_bytes()).starts_with("HTTP/1.1 431 "));
    let answer = exchange(
        &server,
        b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_their_turn() {
    let server = bare("[server]\nmax_connections = 2\nidle_timeout = \"1s\"\n")
        .start()
        .await;
    // The harness holds one, these two hold or wait for the other.
    let _first = connect(&server);
    let mut second = connect(&server);
    second
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    second.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}
