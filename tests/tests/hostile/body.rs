use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream;
use lakehouse_tests::{expect_problem, expect_text};
use reqwest::Body;

use crate::{broken_off, builder, commit, detail, start, unharmed};

/// What the hostile plugin may send.
const MAX_RESPONSE: usize = 1 << 20;

/// A body of this many times 64 KiB, whose length is not announced.
fn upload(pieces: usize) -> Body {
    let piece = Bytes::from_static(&[b'x'; 64 << 10]);
    let pieces = std::iter::repeat_n(piece, pieces).map(Ok::<_, std::io::Error>);
    Body::wrap_stream(stream::iter(pieces))
}

#[tokio::test]
async fn a_body_that_is_not_read_is_dropped() {
    let server = start().await;
    let answer = server
        .post("/v1/hostile/ignore")
        .body(upload(128))
        .send()
        .await;
    assert_eq!(expect_text(answer.unwrap(), 200).await, "not read");
    unharmed(&server).await;
}

#[tokio::test]
async fn a_body_that_is_held_unread_ends_at_the_deadline() {
    let server = builder("deadline = \"3s\"\n").start().await;
    let begun = Instant::now();
    let stalls = server.post("/v1/hostile/stall").body(upload(128)).send();
    let (answer, ()) = tokio::join!(stalls, unharmed(&server));
    let problem = expect_problem(answer.unwrap(), 504).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("`deadline` of 3s"), "{detail}");
    assert!(begun.elapsed() >= Duration::from_secs(3));
    unharmed(&server).await;
}

#[tokio::test]
async fn a_body_without_end_is_cut_at_its_limit() {
    let server = start().await;
    let answer = commit(&server, "endless").await;
    assert_eq!(answer.status(), 200);
    let received = broken_off(answer).await;
    assert!(received <= MAX_RESPONSE, "{received}");
    server.logged("`max_response`").await;
    unharmed(&server).await;
}

#[tokio::test]
async fn a_body_announced_over_its_limit_is_a_bad_gateway() {
    let server = start().await;
    let detail = detail(&server, "announced", 502).await;
    assert!(
        detail.contains("`max_response` of 1048576 bytes"),
        "{detail}"
    );
    unharmed(&server).await;
}

#[tokio::test]
async fn a_body_shorter_than_announced_breaks_off() {
    let server = start().await;
    // The head may or may not have left when that shows.
    let answer = server.get("/v1/hostile/short").send().await;
    if let Ok(answer) = answer {
        assert!(broken_off(answer).await <= 10);
    }
    unharmed(&server).await;
}

#[tokio::test]
async fn a_body_longer_than_announced_does_not_run_into_the_next_answer() {
    let server = start().await;
    let mut answer = commit(&server, "long").await;
    let mut received = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        received += chunk.len();
    }
    assert!(received <= 10, "{received}");
    unharmed(&server).await;
}
