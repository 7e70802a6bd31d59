//! What the binary makes of its flags, environment and file.

use std::fs;
use std::process::{Command, Output};

use lakehouse_tests::{Builder, Server, binary, expect_json, repository};

/// A server that needs no plugins.
fn bare(config: &str) -> Builder {
    let builder = Server::builder().config(config);
    let folder = builder.folder().join("none");
    fs::create_dir(&folder).unwrap();
    builder
        .plugins_dir(folder)
        .env("LAKEHOUSE_PLUGINS_REQUIRED", "")
}

#[track_caller]
fn refused(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    text
}

#[test]
fn an_unknown_key_stops_the_start() {
    let text = refused(&bare("[server]\nbind = \"127.0.0.1:0\"\nspeed = 11\n").run("serve"));
    assert!(
        text.contains("lakehouse.toml:3:1: server.speed: unknown field `speed`"),
        "{text}"
    );

    let text = refused(&bare("[plugins.query.grants]\n[plugins.query]\nmemry = 1\n").run("serve"));
    assert!(
        text.contains("lakehouse.toml:3:1: plugins.query.memry: unknown field `memry`"),
        "{text}"
    );
}

#[test]
fn a_bad_value_stops_the_start() {
    for (config, expected) in [
        (
            "[server]\nheader_timeout = \"soon\"",
            "lakehouse.toml:2:18: server.header_timeout: `soon`",
        ),
        (
            "[plugins.hello]\nmemory = \"lots\"",
            "lakehouse.toml:2:10: plugins.hello.memory: `lots`",
        ),
        (
            "[runtime]\ninstances = 0",
            "runtime.instances: must be more than zero",
        ),
        ("[log]\nfilter = \"lakehouse=loud\"", "log.filter: "),
        ("[store]\nurl = \"somewhere\"", "store.url: `somewhere`"),
        ("[server]\nbind 1", "lakehouse.toml:2:"),
    ] {
        let text = refused(&bare(config).run("serve"));
        assert!(text.contains(expected), "{config}: {text}");
    }
}

#[test]
fn an_upstream_needs_scheme_and_host() {
    for key in [
        "storage_url",
        "catalog_url",
        "ingest_url",
        "query_url",
        "vector_url",
    ] {
        for url in ["localhost:8080", "10.0.0.1", "/storage", "http://"] {
            let text = refused(&bare(&format!("[gateway]\n{key} = \"{url}\"\n")).run("serve"));
            let expected = format!("gateway.{key} must include scheme + host (got {url})");
            assert!(text.contains(&expected), "{text}");
        }
    }
}

#[test]
fn missing_files_stop_the_start() {
    let output = Command::new(binary())
        .args(["serve", "--config", "/nonexistent/lakehouse.toml"])
        .output()
        .unwrap();
    let text = refused(&output);
    assert!(
        text.contains("/nonexistent/lakehouse.toml: there is no such file"),
        "{text}"
    );

    let builder = Server::builder().plugins_dir("/nonexistent/plugins");
    let text = refused(&builder.run("serve"));
    assert!(
        text.contains("plugins.dir: cannot read the folder /nonexistent/plugins"),
        "{text}"
    );
}

#[test]
fn a_bad_environment_variable_stops_the_start() {
    let text = refused(&bare("").env("LAKEHOUSE_SERVER_SPEED", "11").run("serve"));
    assert!(
        text.contains("LAKEHOUSE_SERVER_SPEED (server.speed): there is no such key"),
        "{text}"
    );
    let text = refused(&bare("").env("LAKEHOUSE_RUNTIME_STACK", "tall").run("serve"));
    assert!(
        text.contains("LAKEHOUSE_RUNTIME_STACK (runtime.stack): `tall`"),
        "{text}"
    );
}

#[tokio::test]
async fn flags_beat_the_environment_beats_the_file() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let file = format!("[server]\nbind = \"{taken}\"\n");

    // The file alone: the port is taken.
    let builder = bare(&file).flag("--bind").flag(taken.to_string());
    let text = refused(&builder.run("serve"));
    assert!(
        text.contains(&format!("server.bind: cannot listen on {taken}")),
        "{text}"
    );

    // The environment beats the file, and the flag (which the harness sets) beats it.
    let server = bare(&file)
        .env("LAKEHOUSE_BIND", taken.to_string())
        .start()
        .await;
    let health = expect_json(server.get("/healthz").send().await.unwrap(), 200).await;
    assert_eq!(health["status"], "ok");
}

#[test]
fn two_servers_cannot_share_a_data_folder() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(bare("").start());
    let second = bare("").data_dir(server.data_dir());
    let text = refused(&second.run("serve"));
    assert!(text.contains("another server uses"), "{text}");
}

#[test]
fn the_file_of_the_repository_is_accepted() {
    let text = fs::read_to_string(repository().join("lakehouse.toml")).unwrap();
    let output = bare(&text).run("check");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert!(shown.starts_with("PLUGIN"), "{shown}");
}

#[test]
fn the_version_is_printed() {
    let output = Command::new(binary()).arg("version").output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, format!("lakehouse {}\n", env!("CARGO_PKG_VERSION")));
}
