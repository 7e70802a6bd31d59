//! What a hostile plugin does to the host, crime by crime as in `plugins/hostile`, and
//! what `plugins/liar` does to SQL: each costs its own request, and a plugin beside it
//! keeps answering.

mod arrow;
mod body;
mod compute;
mod end;
mod head;
mod heavy;
mod hold;
mod log;
mod memory;
mod reach;
mod start;

use std::time::{Duration, Instant};

use lakehouse_tests::{Builder, Server, expect_problem, expect_text};
use reqwest::Response;

/// What the hostile plugin may use.
const LIMITS: &str = r#"
[plugins.hostile]
memory = "256MiB"
handles = 1000
hostcall = "1MiB"
cpu = "500ms"
max_response = "1MiB"
max_log = "64KiB"
"#;

/// The longest that a request to the plugin beside it may take, on a machine that may
/// be busy with other things too.
const PATIENCE: Duration = Duration::from_secs(5);

fn builder(more: &str) -> Builder {
    Server::builder()
        .config(format!("{LIMITS}{more}"))
        .plugins(&["hello", "hostile"])
}

async fn start() -> Server {
    builder("").start().await
}

/// With so much processor time that another limit is met before.
async fn unhurried(more: &str) -> Server {
    let limits = LIMITS.replace("500ms", "1h");
    Server::builder()
        .config(format!("{limits}{more}"))
        .plugins(&["hello", "hostile"])
        .start()
        .await
}

/// Commits a crime.
async fn commit(server: &Server, crime: &str) -> Response {
    let answer = server.get(&format!("/v1/hostile/{crime}")).send().await;
    answer.expect("an answer's head")
}

/// Commits a crime that is answered with a problem; returns what it says.
async fn detail(server: &Server, crime: &str, status: u16) -> String {
    let problem = expect_problem(commit(server, crime).await, status).await;
    problem["detail"].as_str().expect("a detail").to_owned()
}

/// The plugin beside it answers, and it itself if it behaves.
async fn unharmed(server: &Server) {
    for _ in 0..5 {
        let begun = Instant::now();
        let answer = server.get("/v1/hello").send().await.expect("an answer");
        assert_eq!(expect_text(answer, 200).await, "hello, world");
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    }
    assert_eq!(expect_text(commit(server, "ok").await, 200).await, "ok");
}

/// Whether the answer's body is cut off; how much of it came.
async fn broken_off(mut answer: Response) -> usize {
    let mut received = 0;
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => received += chunk.len(),
            Ok(None) => panic!("a body that ends as if it were whole, after {received} bytes"),
            Err(_) => return received,
        }
    }
}
