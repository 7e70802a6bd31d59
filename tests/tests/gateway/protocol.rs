//! HTTP versions and what they bring.

use lakehouse_tests::{Server, expect_text};
use reqwest::{Client, Version};

use super::bare;
use super::raw::exchange;

#[tokio::test]
async fn http2_without_tls_is_served() {
    let server = Server::builder().plugins(&["hello"]).start().await;
    let client = Client::builder()
        .no_proxy()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let requests = (0..50).map(|number| {
        let client = client.clone();
        let url = server.url(&format!("/v1/hello?name=n{number}"));
        async move {
            let answer = client.get(url).send().await.unwrap();
            assert_eq!(answer.version(), Version::HTTP_2);
            assert!(answer.headers().contains_key("x-request-id"));
            assert_eq!(expect_text(answer, 200).await, format!("hello, n{number}"));
        }
    });
    futures::future::join_all(requests).await;
}

#[tokio::test]
async fn http1_is_served_on_the_same_port() {
    let server = bare("").start().await;
    let answer = exchange(
        &server,
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let answer = exchange(&server, b"GET /healthz HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn requests_can_be_pipelined() {
    let server = Server::builder().plugins(&["hello"]).start().await;
    let answer = exchange(
        &server,
        b"GET /v1/hello?name=a HTTP/1.1\r\nHost: x\r\n\r\n\
          POST /v1/hello?name=b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nxyz\
          GET /v1/hello?name=c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    let order: Vec<_> = ["hello, a", "hello, b", "hello, c"]
        .iter()
        .map(|text| {
            answer
                .find(text)
                .unwrap_or_else(|| panic!("no {text} in {answer}"))
        })
        .collect();
    assert!(order.is_sorted(), "{answer}");
}
