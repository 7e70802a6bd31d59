//! How a server is to be started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::place::{binary, plugin, plugins};
use crate::server::Server;

/// What the harness waits for before it hands out a server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// Every required plugin serves.
    Ready,
    /// No plugin is being loaded any more.
    Loaded,
}

/// Settings of a server under test. Without any: all built plugins, an empty
/// configuration file, an empty data folder.
pub struct Builder {
    config: String,
    flags: Vec<String>,
    env: Vec<(String, String)>,
    data: Option<PathBuf>,
    plugins: Option<PathBuf>,
    pub(crate) until: Until,
    pub(crate) patience: Duration,
    pub(crate) folder: TempDir,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            config: String::new(),
            flags: Vec::new(),
            env: Vec::new(),
            data: None,
            plugins: None,
            until: Until::Ready,
            // The first start on a machine compiles the plugins.
            patience: Duration::from_secs(300),
            folder: TempDir::with_prefix("lakehouse-test-").expect("a temporary folder"),
        }
    }
}

impl Builder {
    /// The text of the configuration file.
    pub fn config(mut self, text: impl Into<String>) -> Self {
        self.config = text.into();
        self
    }

    /// One more argument after `serve`. Call it twice for a flag with a value.
    pub fn flag(mut self, flag: impl Into<String>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// One more environment variable.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The data folder, instead of a temporary one that goes with the server.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data = Some(path.into());
        self
    }

    /// The plugins folder as it is. What is required stays as configured.
    pub fn plugins_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.plugins = Some(path.into());
        self
    }

    /// Only these of the built plugins, in a folder of their own, and all of
    /// them required: a test of storage need not load SQL.
    ///
    /// # Panics
    /// If one was not built.
    pub fn plugins(mut self, names: &[&str]) -> Self {
        let folder = self.folder.path().join("plugins");
        fs::create_dir_all(&folder).expect("a plugins folder");
        for name in names {
            let link = folder.join(format!("{name}.wasm"));
            std::os::unix::fs::symlink(plugin(name), link).expect("a link to the plugin");
        }
        self.env
            .push(("LAKEHOUSE_PLUGINS_REQUIRED".into(), names.join(",")));
        self.plugins = Some(folder);
        self
    }

    /// Waits until every plugin is loaded or has failed to, whether required ones
    /// are among these or not.
    pub fn until_loaded(mut self) -> Self {
        self.until = Until::Loaded;
        self
    }

    /// Where the data is or will be.
    pub(crate) fn data(&self) -> PathBuf {
        self.data
            .clone()
            .unwrap_or_else(|| self.folder.path().join("data"))
    }

    fn config_file(&self) -> PathBuf {
        self.folder.path().join("lakehouse.toml")
    }

    /// The command with everything but its subcommand's own flags.
    pub(crate) fn command(&self, subcommand: &str) -> Command {
        let config = self.config_file();
        fs::write(&config, &self.config).expect("a configuration file");
        let mut command = Command::new(binary());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("LAKEHOUSE_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .arg(subcommand)
            .args(["--config".as_ref(), config.as_os_str()])
            .args(["--data".as_ref(), self.data().as_os_str()])
            .args([
                "--plugins".as_ref(),
                self.plugins.clone().unwrap_or_else(plugins).as_os_str(),
            ]);
        if subcommand == "serve" && !self.flags.iter().any(|flag| flag == "--bind") {
            command.args(["--bind", "127.0.0.1:0"]);
        }
        command.args(&self.flags);
        command
    }

    /// Runs a subcommand, or a `serve` that is expected to refuse, to its end.
    pub fn run(&self, subcommand: &str) -> Output {
        self.command(subcommand)
            .output()
            .expect("the binary starts")
    }

    /// The folder that holds this server's files, for more of them.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the server and waits for it.
    ///
    /// # Panics
    /// If it does not come up; the message holds its log.
    pub async fn start(self) -> Server {
        Server::launch(self).await
    }
}
