//! Why a plugin was not deployed, rolled back or removed.

use lakehouse_runtime::{PluginStatus, Refusal, Step};

use super::prepare::Unfit;
use super::vault::VaultError;

/// Why not. What served before serves on.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No plugin can have this name.
    #[error("{0}")]
    Name(String),
    /// There is nothing of this kind.
    #[error("{0}")]
    NotFound(String),
    /// Another deploy of the same plugin is under way.
    #[error("{0}")]
    Busy(String),
    /// Its file cannot be read.
    #[error("{0}")]
    Read(String),
    /// It is no component, or a damaged one.
    #[error("{0}")]
    Malformed(Refusal),
    /// It is a component that cannot serve here, or failed its tests.
    #[error("{0}")]
    Unfit(Unfit),
    /// There is no room for it.
    #[error("no room to keep it: {0}")]
    Full(VaultError),
    /// What is kept cannot be read or written.
    #[error("{0}")]
    Vault(VaultError),
    /// Something in the host.
    #[error("{0}")]
    Internal(String),
}

impl Fault {
    /// Somebody else deploys this plugin.
    pub(super) fn busy(name: &str) -> Self {
        Self::Busy(format!(
            "plugin `{name}` is being deployed already: try again when that is done"
        ))
    }

    /// There is no plugin of this name.
    pub(super) fn unknown(name: &str) -> Self {
        Self::NotFound(format!("there is no plugin `{name}`"))
    }

    /// What was learned of the component.
    pub(super) fn status(&self) -> Option<&PluginStatus> {
        match self {
            Self::Malformed(refusal) | Self::Unfit(Unfit::Refused(refusal)) => {
                Some(&*refusal.status)
            }
            _ => None,
        }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        match refusal.step {
            Step::Read | Step::Validate | Step::Compile => Self::Malformed(refusal),
            Step::Link | Step::Start => Self::Unfit(refusal.into()),
        }
    }
}

impl From<Unfit> for Fault {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Refused(refusal) => refusal.into(),
            failed => Self::Unfit(failed),
        }
    }
}

impl From<VaultError> for Fault {
    fn from(error: VaultError) -> Self {
        if error.is_full() {
            Self::Full(error)
        } else {
            Self::Vault(error)
        }
    }
}
