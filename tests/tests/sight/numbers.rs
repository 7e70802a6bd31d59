//! The numbers in `/metrics` that need a plugin at work.

use std::time::Instant;

use lakehouse_tests::{Server, expect_status, expect_text};

async fn cpu_seconds(server: &Server, plugin: &str) -> f64 {
    let text = expect_text(server.get("/metrics").send().await.unwrap(), 200).await;
    let name = format!("lakehouse_plugin_cpu_seconds_total{{plugin=\"{plugin}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&name));
    let value = value.unwrap_or_else(|| panic!("no {name} in {text}"));
    value.parse().unwrap()
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
