//! Generations: kept, gone back to, remembered, forgotten.

use std::fs;
use std::time::{Duration, Instant};

use lakehouse_tests::{Server, SmallDisk, drop_in, expect_json, expect_problem, expect_status};
use serde_json::{Value, json};

use super::guest::{broken, padded, version};
use super::{SOON, bench, deploy, generations, get, put, toy, until_refused, until_toy, view};

async fn rollback(server: &Server, wanted: Value) -> Value {
    let request = server.post("/v1/plugins/toy/rollback").json(&wanted);
    expect_json(request.send().await.unwrap(), 200).await
}

/// Goes back; true if the start is not over yet.
async fn busy(server: &Server) -> bool {
    let answer = server
        .post("/v1/plugins/toy/rollback")
        .send()
        .await
        .unwrap();
    answer.status() == 409
}

async fn remove(server: &Server) {
    let request = server.delete("/v1/plugins/toy");
    expect_status(request.send().await.unwrap(), 204).await;
}

/// The components that are kept.
fn kept(server: &Server) -> usize {
    let files = fs::read_dir(server.data_dir().join("plugins")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".wasm")).count()
}

#[tokio::test]
async fn going_back_is_one_call() {
    let (builder, folder) = bench("");
    let server = builder.start().await;
    for letter in ['a', 'b', 'c'] {
        drop_in(&folder, "toy", &version(letter));
        until_toy(&server, &letter.to_string()).await;
    }
    let answer = server
        .post("/v1/plugins/toy/rollback")
        .send()
        .await
        .unwrap();
    let plugin = expect_json(answer, 200).await;
    assert_eq!(plugin["generation"], 4);
    assert_eq!(plugin["source"], "rollback");
    assert_eq!(toy(&server).await, "b");
    rollback(&server, json!({})).await;
    assert_eq!(toy(&server).await, "a");

    let all = generations(&server).await;
    let outcomes: Vec<_> = all
        .iter()
        .map(|one| one["outcome"].as_str().unwrap())
        .collect();
    let expected = [
        "serving",
        "rolled-back",
        "rolled-back",
        "replaced",
        "replaced",
    ];
    assert_eq!(outcomes, expected);
    let third = all.iter().find(|one| one["generation"] == 3).unwrap();
    rollback(&server, json!({"digest": third["digest"]})).await;
    assert_eq!(toy(&server).await, "c");
    rollback(&server, json!({"generation": 2})).await;
    assert_eq!(toy(&server).await, "b");
}

#[tokio::test]
async fn a_rollback_holds_until_the_file_changes() {
    let (builder, folder) = bench("");
    let mut server = builder.start().await;
    for letter in ['a', 'b'] {
        drop_in(&folder, "toy", &version(letter));
        until_toy(&server, &letter.to_string()).await;
    }
    rollback(&server, json!({})).await;
    assert_eq!(toy(&server).await, "a");
    let serving = view(&server, "toy").await;

    server.kill9();
    server.restart().await;
    until_toy(&server, "a").await;
    let again = view(&server, "toy").await;
    for key in ["generation", "digest", "source", "deployed_at"] {
        assert_eq!(again[key], serving[key], "{key}");
    }
    server.terminate().await;
    server.restart().await;
    until_toy(&server, "a").await;

    // The same content again is no news.
    drop_in(&folder, "toy", &version('b'));
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(toy(&server).await, "a");
    // A call says otherwise, and so does other content.
    let answer = server.post("/v1/plugins/toy/reload").send().await.unwrap();
    expect_status(answer, 200).await;
    assert_eq!(toy(&server).await, "b");
    server.kill9();
    server.restart().await;
    until_toy(&server, "b").await;
    drop_in(&folder, "toy", &version('c'));
    until_toy(&server, "c").await;
}

#[tokio::test]
async fn a_file_that_changed_while_the_host_was_off_is_news() {
    let (builder, folder) = bench("");
    let mut server = builder.start().await;
    drop_in(&folder, "toy", &version('a'));
    until_toy(&server, "a").await;
    deploy(&server, version('b')).await;
    server.kill9();
    server.restart().await;
    until_toy(&server, "b").await;

    server.terminate().await;
    drop_in(&folder, "toy", &version('c'));
    server.restart().await;
    until_toy(&server, "c").await;

    server.terminate().await;
    fs::write(folder.join("toy.wasm"), "no component").unwrap();
    server.restart().await;
    // What is not fit to serve leaves what served, across a restart too.
    until_toy(&server, "c").await;
    until_refused(&server, "is text").await;

    server.terminate().await;
    fs::remove_file(folder.join("toy.wasm")).unwrap();
    server.restart().await;
    until_toy(&server, "503").await;
    // Its generations are there still.
    let begun = Instant::now();
    while view(&server, "toy").await["reason"].as_str().is_none() || busy(&server).await {
        assert!(begun.elapsed() < SOON);
    }
    assert_eq!(toy(&server).await, "c");
}

#[tokio::test]
async fn a_file_that_serves_is_noted_once_whenever_the_host_dies() {
    let (builder, folder) = bench("");
    let mut server = builder.start().await;
    for (number, letter) in (1..).zip('a'..='e') {
        drop_in(&folder, "toy", &version(letter));
        until_toy(&server, &letter.to_string()).await;
        // Its journal may not be on the disk yet.
        server.kill9();
        server.restart().await;
        until_toy(&server, &letter.to_string()).await;
        let all = generations(&server).await;
        assert_eq!(all.len(), number, "{all:?}");
        assert_eq!(all[0]["generation"], number, "{all:?}");
    }
    rollback(&server, json!({"generation": 2})).await;
    assert_eq!(toy(&server).await, "b");
}

#[tokio::test]
async fn what_was_sent_needs_no_file() {
    let (builder, _) = bench("");
    let mut server = builder.start().await;
    let plugin = deploy(&server, version('a')).await;
    assert_eq!(plugin["source"], "api");
    assert_eq!(toy(&server).await, "a");
    server.kill9();
    server.restart().await;
    until_toy(&server, "a").await;
    remove(&server).await;
    assert_eq!(toy(&server).await, "503");
    server.restart().await;
    assert_eq!(toy(&server).await, "503");
    let all = generations(&server).await;
    assert_eq!(all[0]["outcome"], "removed");
}

#[tokio::test]
async fn what_was_removed_stays_away_until_its_file_changes() {
    let (builder, folder) = bench("");
    let mut server = builder.start().await;
    drop_in(&folder, "toy", &version('a'));
    until_toy(&server, "a").await;
    remove(&server).await;
    let reason = view(&server, "toy").await["reason"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(reason.contains("removed through the API"), "{reason}");
    server.kill9();
    server.restart().await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(toy(&server).await, "503");
    drop_in(&folder, "toy", &version('b'));
    until_toy(&server, "b").await;
}

#[tokio::test]
async fn a_generation_that_keeps_failing_is_left_by_itself() {
    let trial = "[plugins.toy.trial]\nrequests = 20\nfailures = 3\n";
    let (builder, folder) = bench(trial);
    let mut server = builder.start().await;
    drop_in(&folder, "toy", &version('a'));
    until_toy(&server, "a").await;
    drop_in(&folder, "toy", &broken('b'));
    let begun = Instant::now();
    // Its first answers, each a 502, bring the old one back.
    let mut failures = 0;
    while view(&server, "toy").await["generation"] != 3 {
        failures += u32::from(toy(&server).await == "502");
        assert!(begun.elapsed() < SOON, "{}", view(&server, "toy").await);
    }
    assert!(failures >= 3, "{failures}");
    assert_eq!(toy(&server).await, "a");
    assert_eq!(view(&server, "toy").await["source"], "auto");
    let all = generations(&server).await;
    assert_eq!(all[1]["outcome"], "rolled-back");
    let reason = all[1]["reason"].as_str().unwrap();
    assert!(reason.contains("3 of its first 20 requests"), "{reason}");

    // And the bad file is not taken again.
    server.restart().await;
    until_toy(&server, "a").await;
    let (status, _) = get(&server, "/v1/toy/ok").await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_few_failures_are_forgiven() {
    let trial = "[plugins.toy.trial]\nrequests = 6\nfailures = 3\n";
    let (builder, _) = bench(trial);
    let server = builder.start().await;
    for letter in ['a', 'b'] {
        deploy(&server, version(letter)).await;
    }
    for path in [
        "trap", "trap", "ok", "ok", "ok", "ok", "trap", "trap", "trap",
    ] {
        get(&server, &format!("/v1/toy/{path}")).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(toy(&server).await, "b");
}

#[tokio::test]
async fn old_generations_are_forgotten() {
    let (builder, _) = bench("[plugins]\nkeep = 2\n");
    let server = builder.start().await;
    for letter in ['a', 'b', 'c', 'd', 'e', 'f'] {
        deploy(&server, version(letter)).await;
    }
    let numbers: Vec<_> = generations(&server)
        .await
        .iter()
        .map(|one| one["generation"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [6, 5, 4]);
    assert_eq!(kept(&server), 3);
    let request = server
        .post("/v1/plugins/toy/rollback")
        .json(&json!({"generation": 1}));
    let problem = expect_problem(request.send().await.unwrap(), 404).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("kept are 4, 5, 6"), "{detail}");
}

#[tokio::test]
async fn a_full_disk_leaves_what_serves() {
    let Some(disk) = SmallDisk::mount("3m") else {
        eprintln!("skipped: no right to mount");
        return;
    };
    let (builder, folder) = bench("");
    let mut server = builder.data_dir(disk.path().join("data")).start().await;
    deploy(&server, version('a')).await;
    let large = padded(&version('b'), 4 << 20);
    let problem = expect_problem(put(&server, large.clone()).await, 507).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("no room to keep it"), "{detail}");
    assert_eq!(toy(&server).await, "a");
    drop_in(&folder, "toy", &large);
    until_refused(&server, "no room to keep it").await;
    assert_eq!(toy(&server).await, "a");
    assert_eq!(generations(&server).await.len(), 1);

    server.restart().await;
    until_toy(&server, "a").await;
    // There is room for another small one.
    deploy(&server, version('c')).await;
    assert_eq!(toy(&server).await, "c");
}
