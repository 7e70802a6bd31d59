//! Files in the plugins folder that are no plugins, and the plugins beside them.

use std::fs;
use std::path::Path;

use lakehouse_tests::{Builder, Server, expect_json, expect_problem, expect_text, plugin};
use serde_json::Value;

/// A folder with `hello` and one of each thing that is wrong.
fn zoo(folder: &Path) {
    fs::create_dir(folder).unwrap();
    let hello = fs::read(plugin("hello")).unwrap();
    fs::write(folder.join("hello.wasm"), &hello).unwrap();
    fs::write(folder.join("text.wasm"), "this is no component\n").unwrap();
    fs::write(folder.join("empty.wasm"), "").unwrap();
    fs::write(folder.join("core.wasm"), b"\0asm\x01\0\0\0").unwrap();
    fs::write(folder.join("half.wasm"), &hello[..hello.len() / 2]).unwrap();
    // The storage plugin under another name, which holds no grants.
    fs::copy(plugin("storage"), folder.join("poor.wasm")).unwrap();
    fs::write(folder.join("Bad Name.wasm"), &hello).unwrap();
    fs::write(folder.join("vectors.wasm"), &hello).unwrap();
    fs::write(folder.join("sql.wasm"), &hello).unwrap();
    fs::write(folder.join("notes.txt"), "not a plugin at all").unwrap();
}

fn builder() -> Builder {
    let builder = Server::builder().until_loaded();
    let folder = builder.folder().join("zoo");
    zoo(&folder);
    builder.plugins_dir(folder)
}

async fn view(server: &Server, name: &str) -> Value {
    expect_json(
        server
            .get(&format!("/v1/plugins/{name}"))
            .send()
            .await
            .unwrap(),
        200,
    )
    .await
}

#[tokio::test]
async fn what_cannot_serve_is_reported_and_the_rest_serves() {
    let server = builder()
        .env("LAKEHOUSE_PLUGINS_REQUIRED", "hello,text,storage")
        .start()
        .await;

    let text = expect_text(server.get("/v1/hello?name=you").send().await.unwrap(), 200).await;
    assert_eq!(text, "hello, you");

    let list = expect_json(server.get("/v1/plugins").send().await.unwrap(), 200).await;
    let state = |name: &str| {
        let plugins = list["plugins"].as_array().unwrap();
        let plugin = plugins.iter().find(|plugin| plugin["name"] == name);
        plugin.map(|plugin| plugin["state"].as_str().unwrap().to_owned())
    };
    assert_eq!(state("hello").as_deref(), Some("serving"));
    assert_eq!(state("storage").as_deref(), Some("absent"));
    assert_eq!(state("notes"), None);
    for name in [
        "text", "empty", "core", "half", "poor", "Bad Name", "vectors", "sql",
    ] {
        assert_eq!(state(name).as_deref(), Some("failed"), "{name}");
    }

    for (name, expected) in [
        ("text", "WebAssembly"),
        ("empty", "empty"),
        ("core", "not a component"),
        ("poor", "store"),
        ("vectors", "/v1/vectors"),
        ("sql", "`query`"),
    ] {
        let reason = view(&server, name).await["reason"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(reason.contains(expected), "{name}: {reason}");
    }

    let problem = expect_problem(server.get("/readyz").send().await.unwrap(), 503).await;
    let missing: Vec<&str> = problem["plugins"]
        .as_array()
        .unwrap()
        .iter()
        .map(|plugin| plugin["name"].as_str().unwrap())
        .collect();
    assert_eq!(missing, ["storage", "text"]);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("`text` is failed"), "{detail}");
    assert!(detail.contains("storage.wasm"), "{detail}");
}

#[tokio::test]
async fn a_plugin_that_does_not_serve_answers_503() {
    let server = builder().start().await;
    for path in ["/v1/text", "/v1/poor/x", "/v1/storage/get/a", "/v1/sql"] {
        let answer = server.get(path).send().await.unwrap();
        assert!(answer.headers().contains_key("retry-after"), "{path}");
        expect_problem(answer, 503).await;
    }
    let answer = server.get("/v1/plugins/nobody").send().await.unwrap();
    expect_problem(answer, 404).await;
}

#[tokio::test]
async fn a_plugin_shows_what_it_is() {
    let server = Server::builder().plugins(&["hello"]).start().await;
    let plugin = view(&server, "hello").await;
    assert_eq!(plugin["state"], "serving");
    assert_eq!(plugin["route"], "/v1/hello");
    assert_eq!(plugin["required"], true);
    assert_eq!(plugin["digest"].as_str().unwrap().len(), 64);
    let exports = plugin["exports"].as_array().unwrap();
    let handler = exports.iter().any(|export| {
        export
            .as_str()
            .unwrap()
            .starts_with("wasi:http/incoming-handler@0.2")
    });
    assert!(handler, "{exports:?}");
}

#[tokio::test]
async fn a_route_can_be_another_one() {
    let config = "[plugins.hello]\nroute = \"/v1/greet/deep\"\nstrip_prefix = true\n";
    let server = Server::builder()
        .config(config)
        .plugins(&["hello"])
        .start()
        .await;
    let text = expect_text(server.get("/v1/greet/deep/x").send().await.unwrap(), 200).await;
    assert_eq!(text, "hello, world");
    for path in ["/v1/hello", "/v1/greet", "/v1/greet/deeper"] {
        expect_problem(server.get(path).send().await.unwrap(), 404).await;
    }
}

#[test]
fn check_says_what_would_fail() {
    let output = builder()
        .env("LAKEHOUSE_PLUGINS_REQUIRED", "hello")
        .run("check");
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{table}");
    let line = |name: &str| {
        let found = table.lines().find(|line| line.starts_with(name));
        found
            .unwrap_or_else(|| panic!("no {name} in {table}"))
            .to_owned()
    };
    assert!(line("hello").contains("serving"));
    assert!(line("text").contains("failed"));
    assert!(line("storage").contains("absent"));

    let builder = Server::builder().plugins(&["hello"]);
    let output = builder.run("check");
    assert!(output.status.success(), "{output:?}");
}
