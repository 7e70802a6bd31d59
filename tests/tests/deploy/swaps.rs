//! Swaps under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::guest::version;
use super::{bench, deploy};

const CONNECTIONS: usize = 16;
const SWAPS: u32 = 40;

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_and_none_is_answered_by_the_past() {
    let (builder, _) = bench("");
    let server = Arc::new(builder.start().await);
    let letter = |swap: u32| char::from_u32(0x21 + swap % 90).unwrap();
    deploy(&server, version(letter(0))).await;
    // The latest swap that was over before a request began.
    let latest = Arc::new(AtomicU32::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (server, latest, stop) =
                (Arc::clone(&server), Arc::clone(&latest), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut answers = 0;
                while !stop.load(Ordering::Relaxed) {
                    let before = latest.load(Ordering::SeqCst);
                    let answer = server.get("/v1/toy/ok").send().await.unwrap();
                    assert_eq!(answer.status(), 200);
                    let text = answer.text().await.unwrap();
                    let swap = u32::from(text.chars().next().unwrap()) - 0x21;
                    assert!(swap >= before, "answer of {swap} after {before} was over");
                    answers += 1;
                }
                answers
            })
        })
        .collect();
    for swap in 1..=SWAPS {
        deploy(&server, version(letter(swap))).await;
        latest.store(swap, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut answers = 0;
    for client in clients {
        answers += client.await.unwrap();
    }
    assert!(answers > SWAPS, "{answers} answers");

    // Old generations are gone, instances and all.
    let drained = async {
        while server.logs().matches("drained and freed").count() < SWAPS as usize {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(super::SOON, drained)
        .await
        .expect("all drained");
    let metrics = server
        .get("/metrics")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    // One line for each state that an instance can be in.
    let lines = "lakehouse_plugin_instances{plugin=\"toy\",";
    let counts: Vec<usize> = metrics
        .lines()
        .filter(|line| line.starts_with(lines))
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(!counts.is_empty(), "no count of instances: {metrics}");
    let instances: usize = counts.iter().sum();
    assert!(instances <= CONNECTIONS, "{instances} instances");
}
