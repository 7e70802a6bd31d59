//! Versions that were never compiled serve on a draft of their code first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lakehouse_tests::Server;

use super::guest::{padded, version};
use super::{SOON, bench, deploy, toy, view};

const REFINED: &str = "serves on better code";

/// A version so large that it has a draft, and like none before: compiled code is kept
/// from one server to the next.
fn large(letter: char) -> Vec<u8> {
    let mut version = padded(&version(letter), 64 << 10);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let end = version.last_chunk_mut().unwrap();
    *end = now.as_nanos().to_le_bytes();
    version
}

/// Waits until so many versions have been replaced by their better code.
async fn until_refined(server: &Server, times: usize) {
    let begun = Instant::now();
    while server.logs().matches(REFINED).count() < times {
        assert!(begun.elapsed() < SOON, "{}", server.logs());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[cfg(target_arch = "x86_64")]
#[tokio::test(flavor = "multi_thread")]
async fn a_draft_gives_way_to_better_code_and_nobody_notices() {
    const VERSIONS: u8 = 5;
    let (builder, _) = bench("");
    let server = Arc::new(builder.start().await);
    deploy(&server, large('a')).await;
    until_refined(&server, 1).await;
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let answer = server.get("/v1/toy/ok").send().await.unwrap();
                    assert_eq!(answer.status(), 200);
                }
            })
        })
        .collect();
    for at in 1..=VERSIONS {
        let letter = char::from(b'a' + at);
        deploy(&server, large(letter)).await;
        until_refined(&server, 1 + usize::from(at)).await;
        assert_eq!(toy(&server).await, letter.to_string());
        let view = view(&server, "toy").await;
        assert_eq!(view["generation"], 1 + u64::from(at), "{view}");
        assert_eq!(view["draft"], false, "{view}");
        assert_eq!(view["last_attempt"]["outcome"], "serving", "{view}");
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
}

/// Better code of a version that does not serve any more is of no use.
#[tokio::test]
async fn better_code_of_the_past_is_not_taken() {
    let (builder, _) = bench("");
    let server = builder.start().await;
    for letter in 'a'..='h' {
        deploy(&server, large(letter)).await;
    }
    // All of them are compiled well by then, in whatever order.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(toy(&server).await, "h");
        assert_eq!(view(&server, "toy").await["generation"], 8);
    }
}

#[tokio::test]
async fn there_is_no_draft_where_none_is_wanted() {
    let (builder, _) = bench("[plugins.defaults]\ndraft = false\n");
    let server = builder.start().await;
    deploy(&server, large('a')).await;
    let view = view(&server, "toy").await;
    assert_eq!(
        (&view["draft"], &view["cached"]),
        (&false.into(), &false.into())
    );
    assert!(!server.logs().contains(REFINED));
}
