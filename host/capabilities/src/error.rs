//! The crate's one error type, and the one place that turns it into WIT's.

use std::fmt;
use std::io;

use crate::bindings::types;

/// What went wrong, for programs. One case for each case of the WIT `error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The named thing does not exist.
    NotFound,
    /// A thing of that name exists already.
    AlreadyExists,
    /// The state does not allow it.
    Conflict,
    /// A condition of the request does not hold.
    PreconditionFailed,
    /// The plugin holds no grant for this.
    Denied,
    /// The input is malformed.
    Invalid,
    /// A range starts beyond the end.
    RangeNotSatisfiable,
    /// No room left: disk, memory or quota.
    Exhausted,
    /// Cannot be had now; trying again later may help.
    Unavailable,
    /// Not something that this version or this store does.
    Unsupported,
    /// Stored data is damaged, or a peer broke its contract.
    Internal,
}

impl Kind {
    /// As the WIT `error` names it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::AlreadyExists => "already-exists",
            Self::Conflict => "conflict",
            Self::PreconditionFailed => "precondition-failed",
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::RangeNotSatisfiable => "range-not-satisfiable",
            Self::Exhausted => "exhausted",
            Self::Unavailable => "unavailable",
            Self::Unsupported => "unsupported",
            Self::Internal => "internal",
        }
    }
}

/// Why a call to a capability failed. The text names the thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub struct Error {
    kind: Kind,
    message: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        // An outer layer prints one line, so the cause belongs in it.
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What went wrong, for programs.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// An input/output error met while doing `what` (an infinitive with its object).
    pub(crate) fn io(what: impl fmt::Display, source: io::Error) -> Self {
        use io::ErrorKind as E;
        let kind = match source.kind() {
            E::NotFound => Kind::NotFound,
            E::AlreadyExists => Kind::AlreadyExists,
            E::StorageFull | E::QuotaExceeded | E::FileTooLarge | E::OutOfMemory => Kind::Exhausted,
            E::InvalidFilename => Kind::Invalid,
            E::NotADirectory | E::IsADirectory | E::DirectoryNotEmpty => Kind::Conflict,
            E::TimedOut | E::StaleNetworkFileHandle => Kind::Unavailable,
            _ => Kind::Internal,
        };
        Self::new(kind, format!("cannot {what}")).with_source(source)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self::new(Kind::Denied, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }
}

impl From<tokio::task::JoinError> for Error {
    fn from(source: tokio::task::JoinError) -> Self {
        Self::internal("a background task of the host ended early").with_source(source)
    }
}

impl From<Error> for types::Error {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error.kind {
            Kind::NotFound => Self::NotFound(text),
            Kind::AlreadyExists => Self::AlreadyExists(text),
            Kind::Conflict => Self::Conflict(text),
            Kind::PreconditionFailed => Self::PreconditionFailed(text),
            Kind::Denied => Self::Denied(text),
            Kind::Invalid => Self::Invalid(text),
            Kind::RangeNotSatisfiable => Self::RangeNotSatisfiable(text),
            Kind::Exhausted => Self::Exhausted(text),
            Kind::Unavailable => Self::Unavailable(text),
            Kind::Unsupported => Self::Unsupported(text),
            Kind::Internal => {
                tracing::error!(error = %text, "a capability failed");
                Self::Internal(text)
            }
        }
    }
}

/// What another plugin answered, on its way to the one that asked.
impl From<types::Error> for Error {
    fn from(error: types::Error) -> Self {
        let (kind, text) = match error {
            types::Error::NotFound(text) => (Kind::NotFound, text),
            types::Error::AlreadyExists(text) => (Kind::AlreadyExists, text),
            types::Error::Conflict(text) => (Kind::Conflict, text),
            types::Error::PreconditionFailed(text) => (Kind::PreconditionFailed, text),
            types::Error::Denied(text) => (Kind::Denied, text),
            types::Error::Invalid(text) => (Kind::Invalid, text),
            types::Error::RangeNotSatisfiable(text) => (Kind::RangeNotSatisfiable, text),
            types::Error::Exhausted(text) => (Kind::Exhausted, text),
            types::Error::Unavailable(text) => (Kind::Unavailable, text),
            types::Error::Unsupported(text) => (Kind::Unsupported, text),
            types::Error::Internal(text) => (Kind::Internal, text),
        };
        Self::new(kind, text)
    }
}
