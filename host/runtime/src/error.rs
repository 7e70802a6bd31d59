//! Why the runtime, or a call into a plugin, failed.

use std::time::Duration;

use crate::{Clock, PluginStatus};

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

/// The steps on which a component becomes a plugin that serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Its file is read.
    Read,
    /// It is told from other files.
    Validate,
    /// It is validated whole and compiled.
    Compile,
    /// What it imports is granted and connected.
    Link,
    /// A first instance is made.
    Start,
}

/// A component was not taken. What served before goes on.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// Where it failed.
    pub step: Step,
    /// Why, for people: what is wrong and what to do.
    pub reason: String,
    /// As much as was learned of it, with the reason.
    pub status: Box<PluginStatus>,
}

impl Refusal {
    pub(crate) fn new(step: Step, reason: String, mut status: PluginStatus) -> Self {
        status.reason = Some(reason.clone());
        Self {
            step,
            reason,
            status: Box::new(status),
        }
    }
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
    /// All its instances are busy and the queue is full, or the wait was too long, or
    /// the host has no room for one more.
    #[error("all instances are busy: {reason}")]
    Saturated {
        /// The limit that was met, with its name.
        reason: String,
        /// When another try may succeed.
        retry_after: Duration,
    },
    /// The call may not be made: it would go in a circle or too deep, or is not granted.
    #[error("{0}")]
    Refused(String),
    /// One of the plugin's clocks ran out.
    #[error("the plugin took longer than it may: its {0} is over")]
    Timeout(Clock),
    /// The answer has more bytes than the plugin may send, which shows before the first
    /// of them was sent.
    #[error("the plugin's answer is longer than its `max_response` of {limit} bytes")]
    TooLong {
        /// Bytes that it may send.
        limit: u64,
    },
    /// The guest trapped, or answered with an error instead of a response.
    #[error("the plugin failed: {0}")]
    Trapped(String),
    /// Something in the host.
    #[error("{0}")]
    Internal(String),
}
