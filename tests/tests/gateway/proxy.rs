//! Services that another host serves.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures::StreamExt;
use lakehouse_tests::{Builder, expect_json, expect_problem, expect_status, expect_text};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::bare;

/// Says what it was asked.
async fn mirror(request: Request) -> Response {
    let (head, body) = request.into_parts();
    let headers: Value = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let seen = json!({
        "method": head.method.as_str(),
        "uri": head.uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    Response::builder()
        .status(207)
        .header("content-type", "application/json")
        .header("connection", "x-private")
        .header("x-private", "1")
        .header("keep-alive", "timeout=5")
        .header("x-upstream", "yes")
        .body(Body::from(seen.to_string()))
        .unwrap()
}

/// Sends back what comes, as it comes.
async fn echo(request: Request) -> Response {
    Response::new(Body::from_stream(request.into_body().into_data_stream()))
}

async fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/base/ingest/echo", axum::routing::post(echo))
        .fallback(mirror);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn all_to(address: &str) -> Builder {
    bare(&format!(
        "[gateway]\nstorage_url = \"http://{address}\"\ncatalog_url = \"http://{address}/\"\n\
         ingest_url = \"http://{address}/base\"\nquery_url = \"http://{address}/base/\"\n\
         vector_url = \"http://{address}\"\ntimeout = \"2s\"\n"
    ))
}

#[tokio::test]
async fn a_service_can_be_on_another_host() {
    let server = all_to(&upstream().await.to_string()).start().await;
    for (path, seen) in [
        (
            "/v1/storage/get/a%2Fb%20c?x=1&y=%20",
            "/storage/get/a%2Fb%20c?x=1&y=%20",
        ),
        ("/v1/catalog/tables", "/catalog/tables"),
        ("/v1/ingest?table=a.b", "/base/ingest?table=a.b"),
        ("/v1/sql", "/base/sql"),
        ("/v1/vectors/index", "/vectors/index"),
    ] {
        let answer = server
            .post(path)
            .header("x-forwarded-for", "203.0.113.9")
            .body("the body")
            .send()
            .await
            .unwrap();
        let request_id = answer.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(answer.headers()["x-upstream"], "yes");
        for name in ["x-private", "keep-alive", "connection"] {
            assert!(!answer.headers().contains_key(name), "{name}");
        }
        let mirrored = expect_json(answer, 207).await;
        assert_eq!(mirrored["uri"], seen);
        assert_eq!(mirrored["method"], "POST");
        assert_eq!(mirrored["body"], "the body");
        assert_eq!(mirrored["headers"]["x-request-id"], request_id);
        assert_eq!(mirrored["headers"]["x-forwarded-host"], server.address());
        assert_eq!(
            mirrored["headers"]["x-forwarded-for"],
            "203.0.113.9, 127.0.0.1"
        );
    }
}

#[tokio::test]
async fn headers_of_one_connection_stay_there() {
    let address = upstream().await.to_string();
    let server = all_to(&address).start().await;
    let answer = server
        .get("/v1/sql")
        .header("connection", "x-secret, close")
        .header("x-secret", "1")
        .header("te", "trailers")
        .header("proxy-authorization", "Basic x")
        .header("x-kept", "1")
        .send()
        .await
        .unwrap();
    let mirrored = expect_json(answer, 207).await;
    for name in ["x-secret", "te", "proxy-authorization", "connection"] {
        assert_eq!(mirrored["headers"][name], Value::Null, "{name}");
    }
    assert_eq!(mirrored["headers"]["x-kept"], "1");
    assert_eq!(mirrored["headers"]["host"], address);
}

#[tokio::test]
async fn bodies_stream_both_ways() {
    let server = all_to(&upstream().await.to_string()).start().await;
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let body = futures::stream::unfold(receiver, |mut receiver| async move {
        let chunk: Vec<u8> = receiver.recv().await?;
        Some((Ok::<_, std::io::Error>(chunk), receiver))
    });
    let request = server
        .post("/v1/ingest/echo")
        .body(reqwest::Body::wrap_stream(body));
    sender.send(b"one".to_vec()).unwrap();
    // The head and the first part come back before the body has ended.
    let answer = expect_status(request.send().await.unwrap(), 200).await;
    let mut parts = answer.bytes_stream();
    assert_eq!(parts.next().await.unwrap().unwrap(), "one");
    sender.send(b"two".to_vec()).unwrap();
    assert_eq!(parts.next().await.unwrap().unwrap(), "two");
    drop(sender);
    assert!(parts.next().await.is_none());
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_502() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let server = all_to(&address).start().await;
    let problem = expect_problem(server.get("/v1/sql").send().await.unwrap(), 502).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(&address), "{detail}");
}

#[tokio::test]
async fn an_upstream_that_says_nothing_is_504() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = all_to(&listener.local_addr().unwrap().to_string())
        .start()
        .await;
    expect_problem(server.get("/v1/sql").send().await.unwrap(), 504).await;
    drop(listener);
}

#[tokio::test]
async fn what_is_not_configured_stays_here() {
    let address = upstream().await;
    let server = bare(&format!("[gateway]\nquery_url = \"http://{address}\"\n"))
        .start()
        .await;
    expect_json(server.get("/v1/sql").send().await.unwrap(), 207).await;
    expect_text(server.get("/v1/vectors/index").send().await.unwrap(), 200).await;
    expect_problem(server.get("/v1/storage/list").send().await.unwrap(), 503).await;
}
