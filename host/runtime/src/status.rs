//! What is known of a plugin, for `/v1/plugins`.

use serde::Serialize;

/// Whether a plugin serves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PluginState {
    /// It answers requests.
    Serving,
    /// It could not be loaded; the reason says why.
    #[default]
    Failed,
}

/// One plugin as it stands.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PluginStatus {
    /// Its name.
    pub name: String,
    /// Its number among the generations of this plugin, as the host counts them.
    pub generation: u64,
    /// Whether it serves.
    pub state: PluginState,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The component's file.
    pub path: String,
    /// SHA-256 of the file, in hexadecimal; empty if it could not be read.
    pub digest: String,
    /// Bytes of the file.
    pub size: u64,
    /// The `wasi:http` version of its handler, `0.2` or `0.3`; none if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<&'static str>,
    /// What the component imports, with versions.
    pub imports: Vec<String>,
    /// What it exports, with versions.
    pub exports: Vec<String>,
    /// What it may use of the host, as configured.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub grants: serde_json::Value,
    /// Names of what it reads through `wasi:config`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub config: Vec<String>,
    /// Names of its environment variables.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Bytes of memory an instance may hold.
    pub memory_limit: u64,
    /// Milliseconds a request may take.
    pub deadline_ms: u64,
    /// Requests at once.
    pub concurrency: usize,
    /// Requests an instance serves.
    pub reuse: u32,
    /// Whether it computes without a pause, on threads of its own.
    pub heavy: bool,
    /// Whether it runs on code that was compiled in haste.
    pub draft: bool,
    /// Whether compiled code came from the cache.
    pub cached: bool,
    /// Milliseconds from reading the file to serving.
    pub load_ms: u64,
    /// When it was loaded, in milliseconds since 1970-01-01T00:00:00Z.
    pub loaded_at: u64,
}
