//! The numbers in `/metrics` that need a plugin at work.

use std::time::Instant;

use lakehouse_tests::{Server, expect_status};

async fn cpu_seconds(server: &Server, plugin: &str) -> f64 {
    server
        .metric("lakehouse_plugin_cpu_seconds_total", plugin)
        .await
}

#[tokio::test]
async fn what_a_plugin_computes_is_counted_in_seconds() {
    let server = Server::builder().plugins(&["hello", "probe"]).start().await;
    let before = cpu_seconds(&server, "probe").await;
    let begun = Instant::now();
    for _ in 0..3 {
        let answer = server.get("/v1/probe/compute").send().await.unwrap();
        expect_status(answer, 200).await;
    }
    let took = begun.elapsed().as_secs_f64();
    let computed = cpu_seconds(&server, "probe").await - before;
    // 300 million steps, on one thread at a time.
    assert!(
        (0.03..=took).contains(&computed),
        "{computed} s of {took} s"
    );
    let other = cpu_seconds(&server, "hello").await;
    assert!(other < 0.03, "{other} s of one that was asked nothing");
}
