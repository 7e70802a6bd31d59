use std::fs;
use std::net::TcpListener;

use lakehouse_tests::{Server, expect_text};

use crate::{builder, commit, start, unharmed};

/// What the host shows of the plugin.
async fn shown(server: &Server) -> String {
    let view = server.get("/v1/plugins/hostile").send().await.unwrap();
    expect_text(view, 200).await
}

/// The same of a plugin that is refused for its configuration.
async fn refused(config: &str) -> String {
    let server = builder(config)
        .env("LAKEHOUSE_PLUGINS_REQUIRED", "hello")
        .until_loaded()
        .start()
        .await;
    shown(&server).await
}

#[tokio::test]
async fn the_hosts_files_are_out_of_reach() {
    let server = start().await;
    let got = expect_text(commit(&server, "files").await, 200).await;
    assert_eq!(got, "");
    unharmed(&server).await;
}

#[tokio::test]
async fn the_environment_is_what_was_given_and_no_more() {
    let builder = builder(
        r#"
[plugins.hostile.env]
PLAIN = "text"
SECRET = { env = "HOST_SECRET" }
FILED = { file = "secret.txt" }
"#,
    );
    fs::write(builder.folder().join("secret.txt"), "from a file\n").unwrap();
    let server = builder.env("HOST_SECRET", "from the host").start().await;
    let got = expect_text(commit(&server, "environment").await, 200).await;
    let expected =
        "variable FILED=from a file\nvariable PLAIN=text\nvariable SECRET=from the host\n";
    assert_eq!(got, expected);

    let view = shown(&server).await;
    assert!(
        view.contains(r#""env":["FILED","PLAIN","SECRET"]"#),
        "{view}"
    );
    assert!(!view.contains("from "), "{view}");
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_named() {
    let view = refused("[plugins.hostile.config]\nkey = { env = \"NO_SUCH_SECRET\" }\n").await;
    assert!(
        view.contains("config.key: environment variable `NO_SUCH_SECRET`"),
        "{view}"
    );
}

#[tokio::test]
async fn sockets_do_not_open() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = start().await;
    let got = expect_text(commit(&server, &format!("sockets?{port}")).await, 200).await;
    assert_eq!(got, "");
    unharmed(&server).await;
}

async fn fetch(server: &Server, target: &str) -> String {
    expect_text(commit(server, &format!("fetch?{target}")).await, 200).await
}

#[tokio::test]
async fn other_hosts_are_out_of_reach() {
    let other = Server::builder().plugins(&["hello"]).start().await;
    let server = start().await;
    let got = fetch(&server, &format!("{}/healthz", other.address())).await;
    assert!(got.contains("HttpRequestDenied"), "{got}");
    server.logged("`grants.http` does not cover it").await;
    unharmed(&server).await;
}

#[tokio::test]
async fn a_host_that_is_granted_is_within_reach_and_no_other() {
    let other = Server::builder().plugins(&["hello"]).start().await;
    let third = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = builder(&format!(
        "[plugins.hostile.grants]\nhttp = [\"{}\"]\n",
        other.address()
    ))
    .start()
    .await;
    let got = fetch(&server, &format!("{}/healthz", other.address())).await;
    assert_eq!(got, "fetched: 200");
    let got = fetch(&server, &format!("{}/", third.local_addr().unwrap())).await;
    assert!(got.contains("HttpRequestDenied"), "{got}");

    let view = shown(&server).await;
    let grant = format!(r#""grants":{{"http":["{}"]}}"#, other.address());
    assert!(view.contains(&grant), "{view}");
}

#[tokio::test]
async fn a_grant_that_names_nothing_is_refused_with_its_key() {
    for (grants, expected) in [
        (
            "http = [\"https://example.org\"]",
            "grants.http: `https://example.org` names a scheme",
        ),
        ("http = \"example.org\"", "grants.http: "),
        (
            "htpp = [\"example.org\"]",
            "grants.htpp: there is no such capability",
        ),
        (
            "catalog = [{ namespace = \"\", access = \"read\" }]",
            "grants.catalog: an empty namespace",
        ),
    ] {
        let view = refused(&format!("[plugins.hostile.grants]\n{grants}\n")).await;
        assert!(view.contains(expected), "{view}");
    }
}
