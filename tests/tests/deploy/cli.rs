//! `lakehouse plugin`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use lakehouse_tests::{Server, binary, plugin};
use serde_json::Value;

use super::guest::version;
use super::{bench, toy};

fn lakehouse(arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LAKEHOUSE_") {
            command.env_remove(name);
        }
    }
    command.arg("plugin").args(arguments).output().unwrap()
}

#[track_caller]
fn said(output: &Output, code: i32) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    let text = if code == 0 {
        &output.stdout
    } else {
        &output.stderr
    };
    String::from_utf8_lossy(text).into_owned()
}

/// A command to this host.
async fn ask(server: &Server, arguments: &[&str]) -> Output {
    let mut all: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    all.extend(["--url".to_owned(), server.base().to_owned()]);
    tokio::task::spawn_blocking(move || {
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        lakehouse(&all)
    })
    .await
    .unwrap()
}

fn write(folder: &Path, name: &str, letter: char) -> String {
    let file = folder.join(name);
    fs::write(&file, version(letter)).unwrap();
    file.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_plugin_is_deployed_listed_rolled_back_and_removed() {
    let (builder, _) = bench("");
    let files = builder.folder().to_owned();
    let server = builder.start().await;
    for letter in ['a', 'b'] {
        let file = write(&files, "toy.wasm", letter);
        let text = said(&ask(&server, &["deploy", &file]).await, 0);
        assert!(
            text.starts_with("toy serves /v1/toy with generation "),
            "{text}"
        );
    }
    assert_eq!(toy(&server).await, "b");
    let other = write(&files, "any name.wasm", 'o');
    said(
        &ask(&server, &["deploy", &other, "--name", "other"]).await,
        0,
    );

    let table = said(&ask(&server, &["list"]).await, 0);
    let line = table.lines().find(|line| line.starts_with("toy ")).unwrap();
    assert!(line.contains("serving") && line.contains("api"), "{line}");
    let list: Value =
        serde_json::from_str(&said(&ask(&server, &["list", "--json"]).await, 0)).unwrap();
    assert!(list["plugins"].is_array());

    said(&ask(&server, &["rollback", "toy"]).await, 0);
    assert_eq!(toy(&server).await, "a");
    said(
        &ask(&server, &["rollback", "toy", "--generation", "2"]).await,
        0,
    );
    assert_eq!(toy(&server).await, "b");
    let table = said(&ask(&server, &["generations", "toy"]).await, 0);
    assert_eq!(table.lines().count(), 5, "{table}");
    said(&ask(&server, &["reload", "toy"]).await, 0);
    let text = said(&ask(&server, &["remove", "toy"]).await, 0);
    assert_eq!(text, "toy is removed\n");
    assert_eq!(toy(&server).await, "503");

    let text = said(&ask(&server, &["rollback", "nobody"]).await, 1);
    assert!(
        text.contains("there is no plugin `nobody` (404 Not Found)"),
        "{text}"
    );
    let text = said(&ask(&server, &["remove", "../x"]).await, 1);
    assert!(text.contains("cannot be a plugin"), "{text}");
}

#[tokio::test]
async fn a_token_is_sent() {
    let (builder, _) = bench("[admin]\ntoken = \"secret\"\n");
    let file = write(builder.folder(), "toy.wasm", 'a');
    let server = builder.start().await;
    let text = said(&ask(&server, &["deploy", &file]).await, 1);
    assert!(text.contains("401"), "{text}");
    said(
        &ask(&server, &["deploy", &file, "--token", "secret"]).await,
        0,
    );
    assert_eq!(toy(&server).await, "a");
}

#[test]
fn a_host_that_is_not_there_is_named() {
    let text = said(&lakehouse(&["list", "--url", "http://127.0.0.1:1"]), 1);
    assert!(text.contains("cannot ask http://127.0.0.1:1"), "{text}");
    let text = said(&lakehouse(&["list", "--url", "127.0.0.1:1"]), 1);
    assert!(text.contains("must begin with http://"), "{text}");
}

#[test]
fn a_file_is_inspected_without_a_host() {
    let storage = plugin("storage");
    let storage = storage.to_str().unwrap();
    let text = said(&lakehouse(&["inspect", storage]), 0);
    for expected in [
        "sha-256  ",
        "http     0.2",
        "lakehouse:plugin/store@0.1.0    needs a grant",
        "[plugins.storage.grants]",
        "store = [",
    ] {
        assert!(text.contains(expected), "no {expected} in {text}");
    }
    let json: Value =
        serde_json::from_str(&said(&lakehouse(&["inspect", storage, "--json"]), 0)).unwrap();
    assert_eq!(json["http"], "0.2");
    assert!(json["size"].as_u64().unwrap() > 10_000);

    let folder = tempfile::tempdir().unwrap();
    let text_file = folder.path().join("x.wasm");
    fs::write(&text_file, "no component").unwrap();
    let text = said(&lakehouse(&["inspect", text_file.to_str().unwrap()]), 1);
    assert!(text.contains("is text"), "{text}");
    let text = said(&lakehouse(&["inspect", "/nonexistent.wasm"]), 1);
    assert!(text.contains("/nonexistent.wasm"), "{text}");
}

#[test]
fn a_file_is_checked_against_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("lakehouse.toml");
    let none = folder.path().join("none");
    fs::create_dir(&none).unwrap();
    fs::write(&config, format!("[plugins]\ndir = {none:?}\n")).unwrap();
    let config = config.to_str().unwrap();
    let check = |file: &Path, name: &str| {
        lakehouse(&[
            "check",
            file.to_str().unwrap(),
            "--name",
            name,
            "--config",
            config,
        ])
    };
    let storage = plugin("storage");
    let text = said(&check(&storage, "storage"), 0);
    assert_eq!(text, "storage would serve /v1/storage\n");
    let output = check(&storage, "other");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("[plugins.other.grants]"), "{text}");
    let output = check(&storage, "vectors");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("the host serves /v1/vectors itself"),
        "{text}"
    );
}
