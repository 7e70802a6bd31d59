//! Why the runtime, or a call into a plugin, failed.

use std::time::Duration;

/// The runtime could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine refused its configuration.
    #[error("cannot set up the WebAssembly engine: {0}")]
    Engine(String),
    /// A capability could not be linked, or two have the same name.
    #[error("capability `{name}`: {reason}")]
    Capability {
        /// The capability.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why a call into a plugin has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No plugin of that name.
    #[error("there is no such plugin")]
    NotFound,
    /// The plugin is there and cannot serve.
    #[error("{reason}")]
    Unavailable {
        /// Why.
        reason: String,
        /// When another try may succeed.
        retry_after: Duration,
    },
    /// All its instances are busy and the queue is full, or the wait was too long.
    #[error("all instances are busy")]
    Saturated {
        /// When another try may succeed.
        retry_after: Duration,
    },
    /// The deadline passed.
    #[error("the plugin took longer than it may")]
    Timeout,
    /// The guest trapped, or answered with an error instead of a response.
    #[error("the plugin failed: {0}")]
    Trapped(String),
    /// Something in the host.
    #[error("{0}")]
    Internal(String),
}
