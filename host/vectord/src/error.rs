//! The one error type of the crate.

use std::fmt;
use std::io;
use std::path::Path;

/// What kind of failure it is; each maps to one HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The index or the item does not exist. HTTP 404.
    NotFound,
    /// An index of that name exists already. HTTP 409.
    AlreadyExists,
    /// The input breaks a rule; nothing was changed. HTTP 400.
    Invalid,
    /// No room left on the disk; nothing was changed. HTTP 507.
    Exhausted,
    /// The service cannot take this now. HTTP 503.
    Unavailable,
    /// Stored data is damaged or the system failed. HTTP 500.
    Internal,
}

/// Why a call failed. The text names what is wrong and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The kind, for programs.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// An input or output error, with what was being done to which file.
    pub(crate) fn io(error: &io::Error, doing: &str, path: &Path) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => ErrorKind::Exhausted,
            _ => ErrorKind::Internal,
        };
        Self::new(kind, format!("{doing} {}: {error}", path.display()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
