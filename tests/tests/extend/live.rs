//! Functions and formats that come and go while the host runs.

use std::fs;
use std::path::PathBuf;

use lakehouse_tests::{Server, drop_in, expect_json, plugin, until};

use crate::{rows, send};

/// A server, and the folder of its plugins.
async fn server() -> (Server, PathBuf) {
    let builder = Server::builder().plugins(&["catalog", "ingest", "query"]);
    let folder = builder.folder().join("plugins");
    (builder.start().await, folder)
}

#[tokio::test]
async fn functions_are_there_as_long_as_their_plugin() {
    let (server, folder) = server().await;
    let slug = || send(&server, "select slug('a')");
    let same = || send(&server, "select same(1)");
    until(400, slug).await;
    drop_in(&folder, "text", &fs::read(plugin("text")).unwrap());
    until(200, slug).await;
    let found = rows(&server, "select slug('Hello, World!'), longest('a')").await;
    assert_eq!(found, serde_json::json!([["hello-world", "a"]]));

    // Another version has other functions.
    drop_in(&folder, "text", &fs::read(plugin("liar")).unwrap());
    until(200, same).await;
    until(400, slug).await;

    fs::remove_file(folder.join("text.wasm")).unwrap();
    until(400, same).await;

    // A rollback, or a deploy, has the same effect as a file.
    let bytes = fs::read(plugin("text")).unwrap();
    let put = server.put("/v1/plugins/text").body(bytes);
    expect_json(put.send().await.unwrap(), 201).await;
    until(200, slug).await;
}

#[tokio::test]
async fn a_format_is_there_as_long_as_its_plugin() {
    let (server, folder) = server().await;
    let load = || async {
        let request = server.post("/v1/ingest?table=t&mode=overwrite&format=lines");
        request.body("a=1\n").send().await.unwrap()
    };
    until(400, load).await;
    // The name of the file is that of the format.
    drop_in(&folder, "lines", &fs::read(plugin("logfmt")).unwrap());
    until(201, load).await;
    fs::remove_file(folder.join("lines.wasm")).unwrap();
    until(400, load).await;
}
