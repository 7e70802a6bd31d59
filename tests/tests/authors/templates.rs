//! Each template of `lakehouse plugin new`, from nothing to a plugin that comes and goes.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use lakehouse_tests::{Server, binary, drop_in, expect_json, expect_problem, tour, until};
use reqwest::Response;
use serde_json::json;
use tempfile::TempDir;

use crate::shell;

/// A crate that was made, and a server for it.
struct Author {
    name: &'static str,
    server: Server,
    /// The folder of the server's plugins.
    plugins: PathBuf,
    tools: TempDir,
    folder: TempDir,
}

impl Author {
    /// Makes a crate, and starts a server with these plugins.
    async fn new(name: &'static str, template: &str, plugins: &[&str]) -> Self {
        let builder = Server::builder().plugins(plugins);
        let plugins = builder.folder().join("plugins");
        let folder = TempDir::new().expect("a folder");
        let made = Command::new(binary())
            .args(["plugin", "new", name, "--template", template, "--path"])
            .arg(folder.path())
            .output();
        succeeded(&made.expect("the binary starts"));
        Self {
            name,
            server: builder.start().await,
            plugins,
            tools: TempDir::new().expect("a folder"),
            folder,
        }
    }

    fn krate(&self) -> PathBuf {
        self.folder.path().join(self.name)
    }

    /// Does what the crate's README says: its test, the build, the deploy and a call.
    fn follow_the_readme(&self) {
        let readme = fs::read_to_string(self.krate().join("README.md")).expect("a README");
        assert!(!readme.contains("{{"), "{readme}");
        let path = shell::path(self.tools.path());
        let env = [
            ("PATH", path.as_str()),
            ("LAKEHOUSE_URL", self.server.base()),
        ];
        let compared = tour(&readme, self.server.base(), &self.krate(), &env);
        assert_eq!(compared, 1, "calls in the README");

        // Cargo repeats what the compiler said.
        let mut again = Command::new("cargo");
        let again = again.args(["build", "--release", "--target", "wasm32-wasip2"]);
        let again = again.current_dir(self.krate()).env("PATH", &path).output();
        let said = succeeded(&again.expect("cargo"));
        assert!(!said.contains("warning"), "{said}");
    }

    fn remove(&self) {
        let removed = Command::new(binary())
            .args(["plugin", "remove", self.name, "--url", self.server.base()])
            .output();
        succeeded(&removed.expect("the binary starts"));
    }

    /// The file in the folder of plugins.
    fn file(&self) -> PathBuf {
        self.plugins.join(format!("{}.wasm", self.name))
    }

    /// Copies the component that was built into the folder of plugins.
    fn drop_in(&self) {
        let built = format!(
            "target/wasm32-wasip2/release/{}.wasm",
            self.name.replace('-', "_")
        );
        let built = fs::read(self.krate().join(built)).expect("a component");
        drop_in(&self.plugins, self.name, &built);
    }

    /// Takes the plugin away, drops it in as a file, and takes that away. `ask` is
    /// answered by the first status with the plugin, and by the second without.
    async fn come_and_go<F: Future<Output = Response>>(
        &self,
        with: u16,
        without: u16,
        ask: impl Fn() -> F,
    ) {
        until(with, &ask).await;
        self.remove();
        until(without, &ask).await;
        self.drop_in();
        until(with, &ask).await;
        fs::remove_file(self.file()).expect("a file");
        until(without, &ask).await;
    }
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    errors
}

#[tokio::test]
async fn an_http_plugin_comes_and_goes() {
    let author = Author::new("well-met", "http", &[]).await;
    author.follow_the_readme();
    let ask = async || {
        let request = author.server.get("/v1/well-met");
        request.send().await.expect("an answer")
    };
    author.come_and_go(200, 404, ask).await;
}

#[tokio::test]
async fn a_sql_function_comes_and_goes() {
    let author = Author::new("word-count", "sql-function", &["catalog", "query"]).await;
    author.follow_the_readme();
    let sql = async |text: &'static str| {
        let request = author.server.sql(text);
        request.send().await.expect("an answer")
    };
    let rows =
        "select word_count(t) from (values ('a b', 1), (null, 2), ('', 3)) v (t, n) order by n";
    let rows = expect_json(sql(rows).await, 200).await["rows"].take();
    assert_eq!(rows, json!([[2], [null], [0]]));
    let ask = || sql("select word_count('a')");
    author.come_and_go(200, 400, ask).await;
}

#[tokio::test]
async fn a_format_comes_and_goes() {
    let plugins = ["catalog", "ingest", "query"];
    let author = Author::new("plain-lines", "ingest-format", &plugins).await;
    author.follow_the_readme();
    let post = async |query: &str, body: &'static [u8]| {
        let path = format!("/v1/ingest?table=verse&format=plain-lines{query}");
        let request = author.server.post(&path).body(body);
        request.send().await.expect("an answer")
    };
    let problem = expect_problem(post("", b"fine\n\xff\n").await, 400).await;
    assert_eq!(problem["line"], 2, "{problem}");
    let problem = expect_problem(post("&width=80", b"fine\n").await, 400).await;
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("'width' is no option"), "{detail}");
    let ask = || post("", b"fine\n");
    author.come_and_go(201, 400, ask).await;
}
