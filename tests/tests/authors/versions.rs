//! Plugins of other versions of `lakehouse:plugin` than the host's.
//!
//! The plugin is one that was built against the first release, and never again. Those of
//! versions that are still to come are made of it, by writing another name into it that is
//! as long.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_ipc::writer::StreamWriter;
use lakehouse_tests::{
    Server, binary, expect_json, expect_problem, expect_status, expect_text, repository,
};
use serde_json::{Value, json};

/// What the plugin was built against.
const FIRST: &str = "@0.1.0";

const CONFIG: &str = r#"
    [plugins.first.config]
    word = "kept"
    [plugins.first.grants]
    store = [{ prefix = "first/", access = "read-write" }]
    catalog = "write"
    vectors = [{ index = "first", access = "read-write" }]
    functions = ["*"]
    formats = ["*"]
"#;

/// The plugin, as it was committed.
fn first() -> Vec<u8> {
    let file = repository().join("tests/fixtures/first-release/first.wasm");
    fs::read(file).expect("the fixture")
}

/// The version that this host has.
fn ours() -> String {
    let file = repository().join("wit/types.wit");
    let text = fs::read_to_string(file).expect("the interfaces");
    let mut lines = text.lines();
    let version = lines.find_map(|line| line.strip_prefix("package lakehouse:plugin@"));
    version.expect("a version").trim_end_matches(';').to_owned()
}

/// The plugin with another text in each place of one.
fn edited(mut plugin: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "{from} {to}");
    let places: Vec<usize> = plugin
        .windows(from.len())
        .enumerate()
        .filter_map(|(at, bytes)| (bytes == from.as_bytes()).then_some(at))
        .collect();
    assert!(!places.is_empty(), "no {from}");
    for at in places {
        plugin[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    plugin
}

/// The plugin as if it had been built against another version.
fn of_version(version: &str) -> Vec<u8> {
    edited(first(), FIRST, &format!("@{version}"))
}

/// A server with the plugin, beside these.
async fn server(plugins: &[&str]) -> Server {
    let builder = Server::builder().config(CONFIG).plugins(plugins);
    let server = builder.start().await;
    let put = server.put("/v1/plugins/first").body(first());
    expect_status(put.send().await.unwrap(), 201).await;
    server
}

/// What it answers when it has called everything there is.
async fn all(server: &Server) -> Value {
    expect_json(server.get("/v1/first/all").send().await.unwrap(), 200).await
}

fn expected() -> Value {
    json!({
        "config": "kept",
        "store": {
            "base_url": true,
            "again": {"error": "AlreadyExists"},
            "updated": 10,
            "size": 10,
            "whole": "9876543210",
            "ranges": ["765"],
            "read": ["765"],
            "spliced": 3,
            "uploaded": 9,
            "joined": "begun 765",
            "keys": ["first/a", "first/b"],
            "outside": {"error": "Denied"},
        },
        "catalog": {
            "rows": 0,
            "exists": true,
            "changed": true,
            "found": true,
            "files": 0,
            "same": true,
            "snapshots": 1,
            "tables": ["verse"],
            "namespace": true,
            "gone": {"error": "NotFound"},
        },
        "vectors": {
            "dimension": 2,
            "added": [2, 0],
            "hits": [["b", 25.0]],
            "deleted": 1,
            "count": 1,
        },
        "functions": {
            "generation": true,
            "names": [
                "text.slug: FunctionKind::Scalar",
                "text.words: FunctionKind::Scalar",
                "text.longest: FunctionKind::Aggregate",
            ],
            "call": {"error": "Unavailable"},
            "accumulate": {"error": "Unavailable"},
            "merge": {"error": "Unavailable"},
            "evaluate": {"error": "Unavailable"},
        },
        "formats": {"names": ["first"], "opened": {"Err": ""}},
        "compression": "works",
        "log": true,
        "metrics": true,
    })
}

#[tokio::test]
async fn a_plugin_of_the_first_release_has_all_that_it_was_promised() {
    let server = server(&["catalog", "text"]).await;
    let mut answer = all(&server).await;
    let opened = answer["formats"]["opened"]["Err"].take();
    let opened = opened.as_str().expect("an error");
    assert!(opened.contains("nobody"), "{opened}");
    answer["formats"]["opened"]["Err"] = "".into();
    assert_eq!(answer, expected());

    let echo = server.post("/v1/first/echo").body("a body");
    let text = expect_text(echo.send().await.unwrap(), 200).await;
    assert_eq!(text, "a body");

    let logs = server.logged("the first release speaks").await;
    let line = logs.lines().find(|line| line.contains("speaks")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["plugin"], "first", "{line}");
    assert_eq!(line["fields"], "release=first", "{line}");

    let metrics = expect_text(server.get("/metrics").send().await.unwrap(), 200).await;
    for number in [
        "lakehouse_plugin_first_calls{plugin=\"first\"} 2",
        "lakehouse_plugin_first_level{plugin=\"first\"} 1.5",
        "lakehouse_plugin_first_seconds_sum{plugin=\"first\"} 0.25",
    ] {
        assert!(metrics.contains(number), "{number}\n{metrics}");
    }
}

#[tokio::test]
async fn a_plugin_cannot_report_under_a_name_of_the_host() {
    let server = server(&["catalog", "text"]).await;
    let plugin = edited(first(), "first_calls", "calls_total");
    let put = server.put("/v1/plugins/first").body(plugin);
    expect_status(put.send().await.unwrap(), 200).await;
    all(&server).await;
    server
        .logged("`lakehouse_plugin_calls_total` is the host's own")
        .await;
    let metrics = expect_text(server.get("/metrics").send().await.unwrap(), 200).await;
    let is_type = |line: &&str| line.starts_with("# TYPE lakehouse_plugin_calls_total ");
    assert_eq!(metrics.lines().filter(is_type).count(), 1, "{metrics}");
    // What else it reports is kept.
    assert!(metrics.contains("lakehouse_plugin_first_level{plugin=\"first\"} 1.5"));
}

#[tokio::test]
async fn what_a_plugin_of_the_first_release_exports_is_used() {
    let server = server(&["catalog", "ingest", "query"]).await;
    let rows = async |sql: &'static str| {
        let answer = server.sql(sql).send().await.unwrap();
        expect_json(answer, 200).await["rows"].take()
    };
    let found = rows("select first_same('a'), first_same(null)").await;
    assert_eq!(found, json!([["a", null]]));
    let sql = "select g, first_state(x) from (values (1, X'61'), (2, X'62'), (1, X'63')) v (g, x) \
               group by g order by g";
    assert_eq!(rows(sql).await, json!([[1, null], [2, null]]));

    let texts: ArrayRef = Arc::new(StringArray::from(vec!["to be", "or not"]));
    let batch = RecordBatch::try_from_iter([("text", texts)]).unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    let body = writer.into_inner().unwrap();
    let request = server.post("/v1/ingest?table=verse&format=first");
    let loaded = expect_json(request.body(body).send().await.unwrap(), 201).await;
    assert_eq!(loaded["rows"], 2, "{loaded}");
    let found = rows("select text from verse order by text").await;
    assert_eq!(found, json!([["or not"], ["to be"]]));
}

#[tokio::test]
async fn a_plugin_of_another_version_is_refused_and_the_one_before_serves_on() {
    let server = server(&[]).await;
    let ours = ours();
    let advice =
        format!("this host has {ours}: update the host, or build the plugin against {ours}");
    let refused = async |plugin: Vec<u8>| {
        let put = server.put("/v1/plugins/first").body(plugin);
        let problem = expect_problem(put.send().await.unwrap(), 422).await;
        let echo = server.post("/v1/first/echo").body("here").send();
        assert_eq!(expect_text(echo.await.unwrap(), 200).await, "here");
        problem["detail"].as_str().unwrap().to_owned()
    };

    // Another major, and before 1.0 another minor.
    for version in ["9.0.0", "1.0.0", "0.9.0"] {
        let detail = refused(of_version(version)).await;
        for (verb, interface) in [("imports", "store"), ("exports", "sql-functions")] {
            let expected = format!("{verb} lakehouse:plugin/{interface}@{version}; {advice}");
            assert!(detail.contains(&expected), "{version}: {detail}");
        }
    }
    // A single interface of it.
    let one = "lakehouse:plugin/ingest-format";
    let plugin = edited(first(), &format!("{one}{FIRST}"), &format!("{one}@0.9.0"));
    let detail = refused(plugin).await;
    let expected = format!("exports {one}@0.9.0; {advice}");
    assert!(detail.ends_with(&expected), "{detail}");

    // What a later patch may have added.
    let plugin = edited(of_version("0.1.9"), "base-url", "base-uri");
    let detail = refused(plugin).await;
    let expected = format!("the plugin was built against 0.1.9 and {advice}");
    assert!(detail.contains("`base-uri`"), "{detail}");
    assert!(detail.ends_with(&expected), "{detail}");
    let plugin = edited(of_version("0.1.9"), "plugin/metrics@", "plugin/numbers@");
    let detail = refused(plugin).await;
    let expected = format!(
        "imports lakehouse:plugin/numbers@0.1.9, which this host with {ours} does not have: \
         update the host, or build the plugin against {ours}"
    );
    assert!(detail.contains(&expected), "{detail}");
}

#[tokio::test]
async fn a_plugin_of_a_later_patch_that_uses_nothing_new_is_served() {
    let server = server(&["catalog", "query"]).await;
    let put = server.put("/v1/plugins/first").body(of_version("0.1.9"));
    expect_status(put.send().await.unwrap(), 200).await;
    let answer = all(&server).await;
    assert_eq!(answer["store"], expected()["store"]);
    assert_eq!(answer["vectors"], expected()["vectors"]);
    let answer = server.sql("select first_same('a')").send().await.unwrap();
    assert_eq!(expect_json(answer, 200).await["rows"], json!([["a"]]));
}

#[test]
fn the_version_is_told_of_a_file_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, config) = (
        folder.path().join("first.wasm"),
        folder.path().join("lakehouse.toml"),
    );
    fs::write(&file, of_version("9.0.0")).expect("a file");
    fs::write(&config, CONFIG).expect("a file");
    let mut check = Command::new(binary());
    check.args(["plugin", "check"]).arg(&file);
    check.arg("--config").arg(&config).current_dir(&folder);
    let output = check.output().expect("the binary starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let expected = format!(
        "first would not serve: imports lakehouse:plugin/store@9.0.0; this host has {}",
        ours()
    );
    assert!(said.starts_with(&expected), "{said}");
}
