//! The plugins folder is followed.

use std::fs;
use std::io::Write;
use std::time::Duration;

use lakehouse_tests::{drop_in, expect_json, expect_status};

use super::guest::{padded, version};
use super::{bench, first, get, toy, until_refused, until_toy, view};

#[tokio::test]
async fn a_file_is_added_replaced_and_removed() {
    let (builder, folder) = bench("");
    let server = builder.start().await;
    assert_eq!(toy(&server).await, "503");
    let (_, list) = get(&server, "/v1/plugins").await;
    assert!(list.contains("toy.wasm"), "{list}");

    drop_in(&folder, "toy", &version('a'));
    let answer = first(&server, "/v1/toy/ok").await;
    assert_eq!(answer, (200, "a".to_owned()), "who asks at once waits");
    until_toy(&server, "a").await;
    let first = view(&server, "toy").await;
    assert_eq!(first["generation"], 1);
    assert_eq!(first["source"], "folder");
    assert_eq!(first["last_attempt"]["outcome"], "serving");

    // Written in place, as `cp` does.
    fs::write(folder.join("toy.wasm"), version('b')).unwrap();
    until_toy(&server, "b").await;
    let second = view(&server, "toy").await;
    assert_eq!(second["generation"], 2);
    assert_ne!(second["digest"], first["digest"]);

    fs::remove_file(folder.join("toy.wasm")).unwrap();
    until_toy(&server, "503").await;
    let gone = view(&server, "toy").await;
    assert_eq!(gone["state"], "absent");
}

#[tokio::test]
async fn a_name_that_nobody_configured_comes_and_goes() {
    let (builder, folder) = bench("");
    let server = builder.start().await;
    let path = "/v1/oats/ok";
    assert_eq!(get(&server, path).await.0, 404);
    drop_in(&folder, "oats", &version('a'));
    let (status, text) = first(&server, path).await;
    assert_eq!(status, 200, "who asks at once waits: {text}");
    let (_, metrics) = get(&server, "/metrics").await;
    let counted = "lakehouse_http_requests_total{route=\"oats\",status=\"2xx\"} 1";
    assert!(metrics.contains(counted), "{metrics}");

    fs::remove_file(folder.join("oats.wasm")).unwrap();
    let go = async {
        while get(&server, path).await.0 != 404 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(super::SOON, go).await.unwrap();
    let answer = server.get("/v1/plugins/oats").send().await.unwrap();
    expect_status(answer, 404).await;
}

#[tokio::test]
async fn who_asks_at_once_hears_why_a_new_file_does_not_serve() {
    let (builder, folder) = bench("");
    let server = builder.start().await;
    drop_in(&folder, "rye", b"no component");
    let (status, text) = first(&server, "/v1/rye").await;
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("plugin `rye` does not serve"), "{text}");
}

#[tokio::test]
async fn a_half_written_file_is_waited_for() {
    let (builder, folder) = bench("");
    let server = builder.start().await;
    drop_in(&folder, "toy", &version('a'));
    until_toy(&server, "a").await;

    let whole = padded(&version('b'), 100_000);
    let mut file = fs::File::create(folder.join("toy.wasm")).unwrap();
    for part in whole.chunks(whole.len() / 6 + 1) {
        // Each part is closed, so that only its content tells that more is to come.
        file.write_all(part).unwrap();
        drop(file);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let path = folder.join("toy.wasm");
        file = fs::File::options().append(true).open(path).unwrap();
        if fs::metadata(folder.join("toy.wasm")).unwrap().len() < whole.len() as u64 {
            assert_eq!(toy(&server).await, "a");
            let view = view(&server, "toy").await;
            assert_eq!(view["last_attempt"]["outcome"], "serving", "{view}");
        }
    }
    drop(file);
    until_toy(&server, "b").await;
}

#[tokio::test]
async fn a_file_that_stays_half_is_refused_in_the_end() {
    let (builder, folder) = bench("");
    let server = builder.start().await;
    drop_in(&folder, "toy", &version('a'));
    until_toy(&server, "a").await;
    let whole = version('b');
    drop_in(&folder, "toy", &whole[..whole.len() / 2]);
    let reason = until_refused(&server, "cut off").await;
    assert_eq!(toy(&server).await, "a", "{reason}");
}

#[tokio::test]
async fn what_is_no_component_leaves_the_old_one_serving() {
    let (builder, folder) = bench("");
    let server = builder.start().await;
    drop_in(&folder, "toy", &version('a'));
    until_toy(&server, "a").await;
    let before = view(&server, "toy").await;

    drop_in(&folder, "toy", b"this is no component\n");
    let reason = until_refused(&server, "is text").await;
    assert_eq!(toy(&server).await, "a");
    let after = view(&server, "toy").await;
    assert_eq!(after["state"], "serving");
    assert_eq!(after["last_attempt"]["source"], "folder");
    for key in ["digest", "generation", "deployed_at"] {
        assert_eq!(after[key], before[key], "{key}");
    }
    server.logged(&reason).await;

    // The next file is as good as any.
    drop_in(&folder, "toy", &version('b'));
    until_toy(&server, "b").await;
}

#[tokio::test]
async fn a_tool_that_removes_before_it_writes_leaves_no_gap() {
    let (builder, folder) = bench("");
    let server = builder.start().await;
    drop_in(&folder, "toy", &version('a'));
    until_toy(&server, "a").await;
    let file = folder.join("toy.wasm");
    fs::remove_file(&file).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    fs::write(&file, version('b')).unwrap();
    loop {
        match toy(&server).await.as_str() {
            "a" => tokio::time::sleep(Duration::from_millis(5)).await,
            answer => break assert_eq!(answer, "b"),
        }
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_read_is_named_and_all_serve_on() {
    let (builder, folder) = bench("");
    let mut server = builder.start().await;
    drop_in(&folder, "toy", &version('a'));
    until_toy(&server, "a").await;

    let away = folder.with_file_name("away");
    fs::rename(&folder, &away).unwrap();
    let named = async {
        loop {
            let ready = expect_json(server.get("/readyz").send().await.unwrap(), 200).await;
            if let Some(trouble) = ready["trouble"].as_str() {
                break trouble.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let trouble = tokio::time::timeout(super::SOON, named).await.unwrap();
    assert!(trouble.contains("cannot read the folder"), "{trouble}");
    assert!(trouble.contains("live"), "{trouble}");
    server.logged(&trouble).await;
    assert_eq!(toy(&server).await, "a");

    // Another folder of the name is followed as well.
    fs::create_dir(&folder).unwrap();
    drop_in(&folder, "toy", &version('b'));
    until_toy(&server, "b").await;
    let ready = expect_json(server.get("/readyz").send().await.unwrap(), 200).await;
    assert_eq!(ready["status"], "ready");
    server.terminate().await;
}
