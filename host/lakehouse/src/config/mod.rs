//! The configuration: built-in defaults, then `lakehouse.toml`, then the
//! environment, then flags.
//!
//! `lakehouse.toml` at the root of the repository documents every key; a test
//! keeps the two equal.

mod load;
mod plugins;
mod validate;
mod value;

use std::collections::BTreeMap;
use std::path::PathBuf;

use lakehouse_vectord::Durability;
use serde::{Deserialize, Serialize};

pub use load::{ConfigError, Overrides, load};
pub use plugins::{PluginSection, Plugins, Probe};
pub(crate) use validate::{NAME_RULE, NATIVE_ROUTES, covers, is_plugin_name};
pub use value::{Size, Span};

/// All settings.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The HTTP server.
    pub server: Server,
    /// What is logged.
    pub log: Log,
    /// Where traces go.
    pub telemetry: Telemetry,
    /// Where this host keeps what is its own.
    pub data: Data,
    /// Where objects and tables are.
    pub store: Store,
    /// Native vectors.
    pub vectors: Vectors,
    /// What all plugins share.
    pub runtime: Runtime,
    /// Other hosts that serve instead of plugins.
    pub gateway: Gateway,
    /// The plugins.
    pub plugins: Plugins,
    /// Who may change plugins.
    pub admin: Admin,
}

/// `[admin]`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// The bearer token of calls that change plugins; empty for none.
    pub token: String,
    /// A file that holds it instead.
    pub token_file: PathBuf,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// `host:port` to listen on; port 0 takes a free one.
    pub bind: String,
    /// Longest wait for the rest of a request's head.
    pub header_timeout: Span,
    /// How long a connection is kept without a request.
    pub idle_timeout: Span,
    /// How long requests may still run after SIGTERM.
    pub drain_timeout: Span,
    /// Connections at once; more wait to be accepted.
    pub max_connections: usize,
    /// Who may call from a browser.
    pub cors: Cors,
    /// Whether answers are compressed.
    pub compression: Compression,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            bind: "127.0.0.1:3210".into(),
            header_timeout: Span::secs(15),
            idle_timeout: Span::secs(90),
            drain_timeout: Span::secs(30),
            max_connections: 10_000,
            cors: Cors::default(),
            compression: Compression::default(),
        }
    }
}

/// `[server.cors]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cors {
    /// Origins that may call; `["*"]` is every one, none switches CORS off.
    pub origins: Vec<String>,
    /// Methods that they may use.
    pub methods: Vec<String>,
    /// Request headers that they may send; `["*"]` is every one.
    pub headers: Vec<String>,
    /// Response headers that they may read.
    pub expose: Vec<String>,
    /// Whether cookies and authorization may be sent.
    pub credentials: bool,
    /// How long a browser may remember the answer.
    pub max_age: Span,
}

impl Default for Cors {
    fn default() -> Self {
        let list = |items: &[&str]| items.iter().map(ToString::to_string).collect();
        Self {
            origins: Vec::new(),
            methods: list(&["GET", "HEAD", "POST", "PUT", "DELETE"]),
            headers: list(&["*"]),
            expose: list(&["etag", "x-request-id"]),
            credentials: false,
            max_age: Span::secs(3600),
        }
    }
}

/// `[server.compression]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Compression {
    /// Whether answers are compressed for clients that ask for it.
    pub enabled: bool,
    /// Answers known to be smaller stay as they are.
    pub min_size: Size,
}

impl Default for Compression {
    fn default() -> Self {
        Self {
            enabled: false,
            min_size: Size(1024),
        }
    }
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// What to log, in the syntax of `tracing_subscriber::EnvFilter`.
    pub filter: String,
    /// How it looks.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            filter: "info".into(),
            format: LogFormat::Auto,
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[telemetry]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// Base URL of an OTLP collector; empty sends no traces.
    pub otlp_endpoint: String,
    /// What the collector knows this host by.
    pub service_name: String,
    /// Share of the traces begun here that are recorded, 0 to 1.
    pub sample: f64,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            otlp_endpoint: String::new(),
            service_name: "lakehouse".into(),
            sample: 1.0,
        }
    }
}

/// `[data]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// The folder; one server at a time.
    pub dir: PathBuf,
}

impl Default for Data {
    fn default() -> Self {
        Self { dir: "data".into() }
    }
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// URL of the store; empty is the folder `store` in the data folder.
    pub url: String,
    /// Options of the store, named as the `object_store` crate names them.
    pub options: BTreeMap<String, String>,
}

/// `[vectors]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Vectors {
    /// Largest request body.
    pub max_body: Size,
    /// What an acknowledged write survives.
    pub durability: Durability,
    /// What all indexes may hold in memory beside mapped files.
    pub memory: Size,
    /// What each of them may.
    pub index_memory: Size,
}

impl Default for Vectors {
    fn default() -> Self {
        Self {
            max_body: Size::mib(64),
            durability: Durability::Fsync,
            memory: Size::gib(4),
            index_memory: Size::UNLIMITED,
        }
    }
}

/// `[runtime]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Runtime {
    /// Folder of compiled plugins; empty is `lakehouse/compiled` in the user's
    /// cache folder.
    pub cache_dir: PathBuf,
    /// Compiled code kept there.
    pub cache_size: Size,
    /// Instances of all plugins together, running and idle.
    pub instances: u32,
    /// Memory of all instances together.
    pub total_memory: Size,
    /// Stack of a guest; deeper recursion traps.
    pub stack: Size,
    /// How often running guests give way to others.
    pub tick: Span,
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            cache_dir: PathBuf::new(),
            cache_size: Size::gib(2),
            instances: 1000,
            total_memory: Size::gib(16),
            stack: Size::mib(8),
            tick: Span::millis(2),
        }
    }
}

/// `[gateway]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// Base URL that serves storage.
    pub storage_url: String,
    /// Base URL that serves the catalog.
    pub catalog_url: String,
    /// Base URL that serves ingest.
    pub ingest_url: String,
    /// Base URL that serves SQL.
    pub query_url: String,
    /// Base URL that serves vectors.
    pub vector_url: String,
    /// Longest wait for the head of an upstream's answer.
    pub timeout: Span,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            storage_url: String::new(),
            catalog_url: String::new(),
            ingest_url: String::new(),
            query_url: String::new(),
            vector_url: String::new(),
            timeout: Span::secs(600),
        }
    }
}
