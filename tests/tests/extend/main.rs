//! Plugins that extend others: SQL functions, formats of bodies, calls between plugins.

mod calls;
mod formats;
mod functions;
mod lies;
mod live;

use lakehouse_tests::{Server, expect_json, expect_text};
use reqwest::Response;
use serde_json::Value;

/// A server that runs SQL, with these plugins beside.
async fn server(more: &[&str], config: &str) -> Server {
    let plugins = [&["catalog", "query"], more].concat();
    Server::builder()
        .plugins(&plugins)
        .config(config)
        .start()
        .await
}

/// The answer to a statement.
async fn send(server: &Server, sql: &str) -> Response {
    server.sql(sql).send().await.expect("an answer")
}

/// The rows of a statement that must succeed.
#[track_caller]
fn rows(server: &Server, sql: &str) -> impl Future<Output = Value> {
    let sent = send(server, sql);
    async move { expect_json(sent.await, 200).await["rows"].take() }
}

/// How often instances of a plugin trapped.
async fn traps(server: &Server, plugin: &str) -> u64 {
    let metrics = expect_text(server.get("/metrics").send().await.unwrap(), 200).await;
    let label = format!("plugin=\"{plugin}\"");
    let traps = metrics
        .lines()
        .filter(|line| line.starts_with("lakehouse_plugin_traps_total") && line.contains(&label))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    traps.sum::<f64>() as u64
}
