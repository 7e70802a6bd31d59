//! What is wrong with a stream.

use std::io;

use arrow::error::ArrowError;

/// Why a stream cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IpcFault {
    /// Its bytes cannot be had.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// It is not what it says.
    #[error("{detail}")]
    Broken {
        /// The column that is wrong, if it is one alone.
        column: Option<String>,
        /// What is wrong.
        detail: String,
    },
    /// Arrow found the fault.
    #[error("{0}")]
    Arrow(#[from] ArrowError),
}

impl IpcFault {
    pub(super) fn new(detail: impl Into<String>) -> Self {
        Self::Broken {
            column: None,
            detail: detail.into(),
        }
    }
}

/// What stands wrong in a message.
pub(super) fn broken(what: &str) -> IpcFault {
    IpcFault::new(format!("the Arrow stream is broken: {what}"))
}
