//! A running server.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder};

use crate::answer::expect_text;
use crate::builder::{Builder, Until};
use crate::logs::Logs;

/// A server under test. It ends, and its temporary data goes, when this drops.
pub struct Server {
    builder: Builder,
    child: Child,
    base: String,
    client: Client,
    logs: Logs,
    life: usize,
}

impl Server {
    /// Starts a server with all built plugins on an empty data folder.
    ///
    /// # Panics
    /// If a required plugin was not built, or the server does not come up.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// The same for a test that is not async and leaves the requests to others.
    ///
    /// # Panics
    /// As [`Server::start`].
    pub fn start_blocking() -> Self {
        tokio::runtime::Runtime::new()
            .expect("threads")
            .block_on(Self::start())
    }

    /// Settings for a server.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) async fn launch(builder: Builder) -> Self {
        let logs = Logs::default();
        let child = spawn(&builder, &logs);
        let client = Client::builder()
            .no_proxy()
            .build()
            .expect("an HTTP client");
        let mut server = Self {
            builder,
            child,
            base: String::new(),
            client,
            logs,
            life: 0,
        };
        server.wait().await;
        server
    }

    /// Waits until the process answers as the builder asked.
    async fn wait(&mut self) {
        let deadline = Instant::now() + self.builder.patience;
        self.base = loop {
            if let Some(base) = address(&self.logs.text(self.life)) {
                break base;
            }
            self.still_waiting(deadline, "it does not listen");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        loop {
            let (ready, why) = match self.get("/readyz").send().await {
                Ok(answer) => {
                    let ready = answer.status().is_success();
                    let text = answer.text().await;
                    (ready, text.unwrap_or_else(|error| error.to_string()))
                }
                Err(error) => (false, error.to_string()),
            };
            let settled = why.starts_with('{') && !why.contains(r#""state":"loading""#);
            match self.builder.until {
                Until::Ready if ready => return,
                // Plugins that are not required may take longer.
                Until::Loaded if (ready || settled) && self.all_settled().await => return,
                // A plugin that failed stays failed: no need to be patient.
                Until::Ready if settled => {
                    panic!("the server is not ready and will not be: {why}")
                }
                _ => {}
            }
            self.still_waiting(deadline, &why);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn all_settled(&self) -> bool {
        let answer = self.get("/v1/plugins").send().await;
        let text = answer.expect("a server that answers").text().await;
        !text.expect("a whole body").contains(r#""state":"loading""#)
    }

    fn still_waiting(&mut self, deadline: Instant, why: &str) {
        if let Ok(Some(status)) = self.child.try_wait() {
            // Its last words may still be in the pipe.
            thread::sleep(Duration::from_millis(100));
            panic!("the server ended with {status}");
        }
        assert!(
            Instant::now() < deadline,
            "the server does not get ready: {why}"
        );
    }

    /// The base of all URLs, `http://host:port`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The URL of a path, `/v1/...`. Paths are taken as they stand.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    /// The client, for what the short forms do not offer.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// A request of any method.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// A GET.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// A HEAD.
    pub fn head(&self, path: &str) -> RequestBuilder {
        self.request(Method::HEAD, path)
    }

    /// A POST.
    pub fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    /// A PUT.
    pub fn put(&self, path: &str) -> RequestBuilder {
        self.request(Method::PUT, path)
    }

    /// A DELETE.
    pub fn delete(&self, path: &str) -> RequestBuilder {
        self.request(Method::DELETE, path)
    }

    /// The data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.builder.data()
    }

    /// The root of the local object store.
    pub fn store_dir(&self) -> PathBuf {
        self.data_dir().join("store")
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in bytes: now, and the highest so far.
    pub fn resident(&self) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .expect("a process that lives");
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            let kib = line.and_then(|line| line.split_whitespace().nth(1));
            kib.and_then(|kib| kib.parse::<u64>().ok())
                .expect("a number of KiB")
                * 1024
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    /// A statement, as text, for `/v1/sql`.
    pub fn sql(&self, statement: impl Into<String>) -> RequestBuilder {
        self.post("/v1/sql")
            .header("content-type", "text/plain")
            .body(statement.into())
    }

    /// What `/metrics` tells of a plugin, by the metric's whole name.
    ///
    /// # Panics
    /// If there is no such metric of that plugin, or it is no number.
    pub async fn metric(&self, name: &str, plugin: &str) -> f64 {
        let answer = self.get("/metrics").send().await.expect("an answer");
        let text = expect_text(answer, 200).await;
        let row = format!("{name}{{plugin=\"{plugin}\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&row));
        let value = value.unwrap_or_else(|| panic!("no {row} in {text}"));
        value.parse().expect("a number")
    }

    /// Everything the server logged, in all its lives.
    pub fn logs(&self) -> String {
        self.logs.text(0)
    }

    /// Waits until the log holds `text`, and returns all of it. A line reaches the reader
    /// of a pipe some time after the answer that it belongs to.
    ///
    /// # Panics
    /// If it does not within 20 seconds.
    pub async fn logged(&self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let logs = self.logs();
            if logs.contains(text) {
                return logs;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "no {text:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends the process at once, as a power cut would.
    pub fn kill9(&mut self) {
        self.child.kill().expect("SIGKILL can be sent");
        self.child.wait().expect("a killed process ends");
    }

    /// Asks the process to stop (SIGTERM) and goes on.
    pub fn signal_terminate(&self) {
        let status = Command::new("sh")
            .args(["-c", "kill -TERM \"$0\"", &self.pid().to_string()])
            .status()
            .expect("a shell");
        assert!(status.success(), "SIGTERM can be sent");
    }

    /// Waits for the process to end by itself.
    ///
    /// # Panics
    /// If it has not after a minute.
    pub async fn wait_exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not stop");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Asks the process to stop and waits until it has.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal_terminate();
        self.wait_exit().await
    }

    /// Starts it again on the same data and configuration, after `kill9` or
    /// `terminate`; a server that still runs is killed first. The port is a new
    /// one.
    pub async fn restart(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill9();
        }
        self.life = self.logs.len();
        self.child = spawn(&self.builder, &self.logs);
        self.wait().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only for a process that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- the server's log ---\n{}\n--- end ---", self.logs());
        }
    }
}

fn spawn(builder: &Builder, logs: &Logs) -> Child {
    let mut child = builder.command("serve").spawn().expect("the binary starts");
    logs.follow(child.stdout.take().expect("a pipe"));
    logs.follow(child.stderr.take().expect("a pipe"));
    child
}

/// The base URL in the line that says where the server listens.
fn address(log: &str) -> Option<String> {
    let (_, rest) = log.split_once("listening on http://")?;
    let end = rest
        .find(|c: char| c == '"' || c.is_whitespace())
        .unwrap_or(rest.len());
    Some(format!("http://{}", &rest[..end]))
}
