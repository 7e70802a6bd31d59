//! Input that is wrong: each gets a clear answer and changes nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use lakehouse_tests::{Server, expect_problem, expect_status};
use serde_json::json;

use super::guest::{SelfTest, version, with_self_test};
use super::{bench, deploy, generations, put, toy};

/// SHA-256 of no bytes.
const EMPTY: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

async fn detail(answer: reqwest::Response, status: u16) -> String {
    let problem = expect_problem(answer, status).await;
    problem["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn digests_are_compared() {
    let (builder, _) = bench("");
    let server = builder.start().await;
    let digest = {
        let plugin = deploy(&server, version('a')).await;
        let hex = plugin["digest"].as_str().unwrap().to_owned();
        let bytes: Vec<u8> = (0..64)
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect();
        base64(&bytes)
    };
    for (name, value) in [
        ("content-digest", format!("sha-256=:{digest}:")),
        ("repr-digest", format!("sha-512=:AAAA:, sha-256=:{digest}:")),
        ("digest", format!("SHA-256={digest}")),
    ] {
        let put = server.put("/v1/plugins/toy").header(name, value);
        expect_status(put.body(version('a')).send().await.unwrap(), 200).await;
    }
    for (name, value, expected) in [
        (
            "content-digest",
            format!("sha-256=:{EMPTY}:"),
            "the body has the SHA-256",
        ),
        (
            "digest",
            format!("sha-256={EMPTY}"),
            "the body has the SHA-256",
        ),
        ("digest", "md5=AAAA".to_owned(), "no sha-256"),
        ("content-digest", "sha-256=:%%:".to_owned(), "not base64"),
    ] {
        let put = server.put("/v1/plugins/toy").header(name, &value);
        let said = detail(put.body(version('b')).send().await.unwrap(), 400).await;
        assert!(said.contains(name) && said.contains(expected), "{said}");
    }
    assert_eq!(toy(&server).await, "a");
    assert_eq!(generations(&server).await.len(), 1);
}

/// As RFC 4648 has it.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut bits = 0;
        for at in 0..3 {
            bits = bits << 8 | u32::from(group.get(at).copied().unwrap_or(0));
        }
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at > group.len() {
                '='
            } else {
                char::from(letter)
            });
        }
    }
    text
}

#[tokio::test]
async fn names_are_checked() {
    let (builder, _) = bench("");
    let server = builder.start().await;
    for (name, status) in [
        ("a/b", 404),
        ("a%2Fb", 400),
        ("..%2Ftoy", 400),
        ("Toy", 400),
        ("a.wasm", 400),
        ("%00", 400),
        ("-toy", 400),
        (&*"x".repeat(65), 400),
        ("vectors", 400),
        ("sql", 400),
    ] {
        let put = server.put(&format!("/v1/plugins/{name}"));
        let said = detail(put.body(version('a')).send().await.unwrap(), status).await;
        assert!(!said.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn what_is_no_component_is_refused() {
    let (builder, _) = bench("[plugins]\nmax_size = \"64KiB\"\n");
    let server = builder.start().await;
    deploy(&server, version('a')).await;
    let whole = version('b');
    for (body, expected) in [
        (Vec::new(), "empty"),
        (b"some text".to_vec(), "is text"),
        (b"\0asm\x01\0\0\0".to_vec(), "core WebAssembly module"),
        (whole[..whole.len() / 2].to_vec(), "cut off"),
    ] {
        let said = detail(put(&server, body).await, 400).await;
        assert!(said.contains(expected), "{said}");
    }
    let said = detail(put(&server, vec![0; 65 << 10]).await, 413).await;
    assert!(said.contains("65536 bytes"), "{said}");
    let json = server.put("/v1/plugins/toy").json(&json!({}));
    detail(json.send().await.unwrap(), 415).await;
    let packed = server
        .put("/v1/plugins/toy")
        .header("content-encoding", "gzip");
    detail(packed.body(version('b')).send().await.unwrap(), 415).await;
    assert_eq!(toy(&server).await, "a");
}

#[tokio::test]
async fn an_upload_that_breaks_off_changes_nothing() {
    let (builder, _) = bench("");
    let server = builder.start().await;
    deploy(&server, version('a')).await;
    let whole = version('b');
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let head = format!(
        "PUT /v1/plugins/toy HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
        server.address(),
        whole.len() + 1000
    );
    stream.write_all(head.as_bytes()).unwrap();
    // All of the component, and still not all that was announced.
    stream.write_all(&whole).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    // The server may answer or just hang up.
    let _ = stream.read_to_string(&mut answer);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
        "{answer}"
    );
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(toy(&server).await, "a");
    assert_eq!(generations(&server).await.len(), 1);
}

#[tokio::test]
async fn what_never_was_cannot_come_back() {
    let (builder, _) = bench("");
    let server = builder.start().await;
    for rest in ["/rollback", "/reload"] {
        let call = server.post(&format!("/v1/plugins/nobody{rest}"));
        detail(call.send().await.unwrap(), 404).await;
    }
    for call in [
        server.delete("/v1/plugins/nobody"),
        server.get("/v1/plugins/nobody/generations"),
        server.get("/v1/plugins/nobody"),
    ] {
        detail(call.send().await.unwrap(), 404).await;
    }
    deploy(&server, version('a')).await;
    for (wanted, status) in [
        (json!({}), 404),
        (json!({"generation": 7}), 404),
        (json!({"digest": "00"}), 404),
        (json!({"generation": 1, "digest": "00"}), 400),
        (json!({"generation": "one"}), 400),
        (json!({"number": 1}), 400),
    ] {
        let call = server.post("/v1/plugins/toy/rollback").json(&wanted);
        detail(call.send().await.unwrap(), status).await;
    }
    let text = server.post("/v1/plugins/toy/rollback").body("1");
    detail(text.send().await.unwrap(), 415).await;
    assert_eq!(toy(&server).await, "a");
}

#[tokio::test]
async fn one_deploy_at_a_time() {
    let (builder, _) = bench("[plugins]\ncheck_timeout = \"2s\"\n");
    let server = builder.start().await;
    deploy(&server, version('a')).await;
    let slow = server
        .put("/v1/plugins/toy")
        .body(with_self_test('b', SelfTest::Spins));
    let slow = tokio::spawn(slow.send());
    tokio::time::sleep(Duration::from_millis(400)).await;
    let said = detail(put(&server, version('c')).await, 409).await;
    assert!(said.contains("being deployed already"), "{said}");
    // The others are not kept waiting.
    let other = server.put("/v1/plugins/other").body(version('o'));
    expect_status(other.send().await.unwrap(), 201).await;
    expect_problem(slow.await.unwrap().unwrap(), 422).await;
    expect_status(put(&server, version('d')).await, 200).await;
    assert_eq!(toy(&server).await, "d");
}

#[tokio::test]
async fn a_client_that_leaves_does_not_leave_it_half_done() {
    let (builder, _) = bench("");
    let server: Server = builder.start().await;
    deploy(&server, version('a')).await;
    let request = server.put("/v1/plugins/toy").body(version('b'));
    // Gone before the answer, mostly.
    let _ = tokio::time::timeout(Duration::from_millis(20), request.send()).await;
    let begun = Instant::now();
    while toy(&server).await != "b" {
        if begun.elapsed() > Duration::from_secs(3) {
            // The body may not have been sent at all.
            assert_eq!(generations(&server).await.len(), 1);
            return;
        }
    }
    assert_eq!(generations(&server).await.len(), 2);
}
