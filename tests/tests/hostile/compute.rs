use std::time::Duration;

use futures::future::join_all;
use lakehouse_tests::Server;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::{broken_off, commit, detail, start, unharmed, unhurried};

/// Spins once the answer has begun.
pub async fn spin_late(server: &Server) {
    let answer = commit(server, "spin-late").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(broken_off(answer).await, "begun".len());
    unharmed(server).await;
}

/// Spins in many requests at once.
pub async fn spin_many(server: &Server) {
    let spinning = join_all((0..16).map(|_| detail(server, "spin", 504)));
    let beside = async {
        for _ in 0..5 {
            unharmed(server).await;
        }
    };
    tokio::join!(spinning, beside);
}

#[tokio::test]
async fn spinning_ends_when_the_processor_time_is_up() {
    let server = start().await;
    let detail = detail(&server, "spin", 504).await;
    assert!(detail.contains("`cpu` limit of 500ms"), "{detail}");
    unharmed(&server).await;
}

#[tokio::test]
async fn spinning_after_the_head_breaks_the_answer_off() {
    spin_late(&start().await).await;
}

#[tokio::test]
async fn recursion_traps() {
    let server = start().await;
    let detail = detail(&server, "recurse", 502).await;
    // The guest's own stack, which is in its memory, ends before the machine's.
    assert!(detail.contains("hostile::compute::recurse <"), "{detail}");
    unharmed(&server).await;
}

#[tokio::test]
async fn many_that_spin_leave_room_for_others() {
    spin_many(&start().await).await;
}

/// Has all processors answer short requests, until the server ends or this is dropped:
/// many at once on each connection cost a client much less than the server.
async fn saturate(server: &Server) {
    let requests = "GET /v1/hello HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(64);
    let connection = async || {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let (mut answers, mut asks) = stream.split();
        let asking = async { while asks.write_all(requests.as_bytes()).await.is_ok() {} };
        let mut nowhere = tokio::io::sink();
        let _ended = tokio::join!(asking, tokio::io::copy(&mut answers, &mut nowhere));
    };
    let processors = std::thread::available_parallelism().unwrap().get();
    join_all((0..8 * processors).map(|_| connection())).await;
}

/// Seconds for which the hostile plugin was held back.
async fn held_back(server: &Server) -> f64 {
    let name = "lakehouse_plugin_held_back_seconds_total";
    server.metric(name, "hostile").await
}

#[tokio::test]
async fn spinning_is_held_back_while_short_requests_wait() {
    let server = unhurried("").await;
    assert_eq!(held_back(&server).await, 0.0);
    let spins = async {
        loop {
            commit(&server, "spin").await;
        }
    };
    let is_held_back = async {
        while held_back(&server).await == 0.0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = is_held_back => {}
        () = saturate(&server) => panic!("the load ended"),
        () = spins => {}
        () = tokio::time::sleep(Duration::from_secs(60)) => panic!("never held back"),
    }
    unharmed(&server).await;
}
