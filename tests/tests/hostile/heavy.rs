//! The same plugin with `heavy`: its code is compiled without checks, and it is stopped
//! all the same.

use std::time::{Duration, Instant};

use lakehouse_tests::{Server, expect_json, expect_text};

use crate::compute::{spin_late, spin_many};
use crate::start::{SPINS, does_not_start};
use crate::{builder, detail, unharmed, unhurried};

async fn start() -> Server {
    let server = builder("heavy = true\n").start().await;
    let view = server.get("/v1/plugins/hostile").send().await.unwrap();
    let alone = cfg!(all(target_os = "linux", target_arch = "x86_64"));
    assert_eq!(expect_json(view, 200).await["heavy"], alone);
    server
}

/// Instances that work.
async fn busy(server: &Server) -> u64 {
    let metrics = server.get("/metrics").send().await.unwrap();
    let metrics = expect_text(metrics, 200).await;
    let line = r#"lakehouse_plugin_instances{plugin="hostile",state="busy"} "#;
    let count = metrics.lines().find_map(|text| text.strip_prefix(line));
    count.expect("a gauge").parse().expect("a number")
}

async fn nothing_runs(server: &Server) {
    let begun = Instant::now();
    while busy(server).await > 0 {
        assert!(begun.elapsed() < Duration::from_secs(5), "it still runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn spinning_ends_when_the_processor_time_is_up() {
    let server = start().await;
    for _ in 0..5 {
        let detail = detail(&server, "spin", 504).await;
        assert!(detail.contains("`cpu` limit of 500ms"), "{detail}");
    }
    unharmed(&server).await;
}

#[tokio::test]
async fn spinning_ends_at_the_deadline() {
    let server = builder("heavy = true\ndeadline = \"400ms\"\n")
        .start()
        .await;
    let detail = detail(&server, "spin", 504).await;
    assert!(detail.contains("`deadline` of 400ms"), "{detail}");
    unharmed(&server).await;
    nothing_runs(&server).await;
}

#[tokio::test]
async fn spinning_ends_when_the_client_goes_away() {
    let server = unhurried("heavy = true\n").await;
    let asked = server
        .get("/v1/hostile/spin")
        .timeout(Duration::from_millis(300));
    assert!(asked.send().await.unwrap_err().is_timeout());
    nothing_runs(&server).await;
    unharmed(&server).await;
}

#[tokio::test]
async fn spinning_after_the_head_breaks_the_answer_off() {
    let server = start().await;
    spin_late(&server).await;
    nothing_runs(&server).await;
}

#[tokio::test]
async fn what_traps_by_itself_says_so() {
    let server = unhurried("heavy = true\n").await;
    let text = detail(&server, "recurse", 502).await;
    assert!(text.contains("hostile::compute::recurse <"), "{text}");
    let text = detail(&server, "allocate", 502).await;
    assert!(text.contains("`memory` of 268435456 bytes"), "{text}");
    unharmed(&server).await;
}

#[tokio::test]
async fn many_that_spin_leave_room_for_others() {
    let server = start().await;
    spin_many(&server).await;
    unharmed(&server).await;
}

/// Computes for ever in calls in tail position, which keep their checks.
const CALLS: &str = r#"(component
    (core module $m
        (func $spin (param i32 i32 i32 i32 i32 i32 i32 i32)
            (return_call $spin (local.get 7) (local.get 6) (local.get 5) (local.get 4)
                (local.get 3) (local.get 2) (local.get 1) (local.get 0)))
        (func $start
            (call $spin (i32.const 0) (i32.const 1) (i32.const 2) (i32.const 3)
                (i32.const 4) (i32.const 5) (i32.const 6) (i32.const 7))
            unreachable)
        (start $start)
        (func (export "run")))
    (core instance $i (instantiate $m))
    (func $run (canon lift (core func $i "run")))
    (export "run" (func $run)))"#;

#[tokio::test]
async fn spinning_at_the_start_is_found_when_it_is_loaded() {
    let heavy = "heavy = true\ncpu = \"300ms\"\n";
    let config = format!("[plugins.spins]\n{heavy}[plugins.calls]\n{heavy}");
    does_not_start(&config, &[("spins", SPINS), ("calls", CALLS)]).await;
}
