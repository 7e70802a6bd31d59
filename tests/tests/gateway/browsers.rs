//! CORS and compression, when the configuration asks for them.

use lakehouse_tests::{Server, expect_status};
use reqwest::Method;

use super::bare;

const ORIGIN: &str = "https://app.example.org";

#[tokio::test]
async fn nothing_is_said_to_browsers_by_default() {
    let server = bare("").start().await;
    let answer = server
        .get("/healthz")
        .header("origin", ORIGIN)
        .send()
        .await
        .unwrap();
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn allowed_origins_may_call() {
    let config = format!("[server.cors]\norigins = [\"{ORIGIN}\"]\ncredentials = false\n");
    let server = Server::builder()
        .config(config)
        .plugins(&["hello"])
        .start()
        .await;

    let answer = server
        .get("/v1/hello")
        .header("origin", ORIGIN)
        .send()
        .await
        .unwrap();
    let answer = expect_status(answer, 200).await;
    assert_eq!(answer.headers()["access-control-allow-origin"], ORIGIN);
    assert!(
        answer.headers()["access-control-expose-headers"]
            .to_str()
            .unwrap()
            .contains("x-request-id")
    );
    assert!(answer.headers().contains_key("x-request-id"));

    let answer = server
        .request(Method::OPTIONS, "/v1/hello")
        .header("origin", ORIGIN)
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", "content-type")
        .send()
        .await
        .unwrap();
    let answer = expect_status(answer, 200).await;
    assert_eq!(answer.headers()["access-control-allow-origin"], ORIGIN);
    assert!(
        answer.headers()["access-control-allow-methods"]
            .to_str()
            .unwrap()
            .contains("PUT")
    );
    assert_eq!(answer.headers()["access-control-max-age"], "3600");

    let other = server
        .get("/v1/hello")
        .header("origin", "https://evil.example")
        .send()
        .await
        .unwrap();
    assert!(!other.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn text_is_compressed_when_that_is_on() {
    let server = bare("[server.compression]\nenabled = true\n").start().await;
    let get = |path: &str, accept: &str| server.get(path).header("accept-encoding", accept).send();

    for coding in ["gzip", "zstd"] {
        let answer = expect_status(get("/openapi.json", coding).await.unwrap(), 200).await;
        assert_eq!(answer.headers()["content-encoding"], coding);
        assert_eq!(answer.headers()["vary"], "accept-encoding");
        assert!(answer.headers().contains_key("x-request-id"));
        let bytes = answer.bytes().await.unwrap();
        let magic: &[u8] = if coding == "gzip" {
            &[0x1f, 0x8b]
        } else {
            &[0x28, 0xb5, 0x2f, 0xfd]
        };
        assert!(bytes.starts_with(magic));
    }
    // Small ones are not, nor those that nobody asked to.
    let small = get("/healthz", "gzip").await.unwrap();
    assert!(!small.headers().contains_key("content-encoding"));
    let plain = server.get("/openapi.json").send().await.unwrap();
    assert!(!plain.headers().contains_key("content-encoding"));
}

#[tokio::test]
async fn binary_objects_and_parts_are_not_compressed() {
    let server = Server::builder()
        .config("[server.compression]\nenabled = true\n")
        .plugins(&["storage"])
        .start()
        .await;
    for (key, media) in [
        ("a.arrow", "application/vnd.apache.arrow.stream"),
        ("a.parquet", "application/vnd.apache.parquet"),
    ] {
        let put = server
            .put(&format!("/v1/storage/put/{key}"))
            .header("content-type", media);
        expect_status(put.body("x".repeat(10_000)).send().await.unwrap(), 201).await;
        let get = server
            .get(&format!("/v1/storage/get/{key}"))
            .header("accept-encoding", "gzip, zstd");
        let answer = expect_status(get.send().await.unwrap(), 200).await;
        assert!(!answer.headers().contains_key("content-encoding"), "{key}");
        let part = server
            .get(&format!("/v1/storage/get/{key}"))
            .header("accept-encoding", "gzip, zstd")
            .header("range", "bytes=0-4999");
        let answer = expect_status(part.send().await.unwrap(), 206).await;
        assert!(!answer.headers().contains_key("content-encoding"), "{key}");
        assert_eq!(answer.bytes().await.unwrap().len(), 5000);
    }
}
