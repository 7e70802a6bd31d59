//! Who waits for a call: the plugins between it and the request that began it.

use std::fmt;
use std::sync::Arc;

use crate::CallError;
use crate::plugin::Shared;

/// Plugins that one call may lead through.
const DEPTH: usize = 16;

/// The plugins that wait for a call, innermost first. A plugin is there once at most:
/// a call that would come back to one of them is refused, since it could wait for
/// itself for ever.
#[derive(Clone, Default)]
pub struct Callers(Option<Arc<Link>>);

struct Link {
    plugin: Arc<Shared>,
    before: Callers,
}

impl Callers {
    /// With one more plugin that waits.
    pub(crate) fn with(&self, plugin: &Arc<Shared>) -> Self {
        Self(Some(Arc::new(Link {
            plugin: Arc::clone(plugin),
            before: self.clone(),
        })))
    }

    /// Whether `plugin` may be called by the innermost of them.
    ///
    /// # Errors
    /// [`CallError::Refused`] with the whole chain if it waits already, or the chain is
    /// too long.
    pub(crate) fn admit(&self, plugin: &str) -> Result<(), CallError> {
        if self.iter().any(|caller| caller == plugin) {
            return Err(CallError::Refused(format!(
                "plugins call each other in a circle: {self} -> {plugin}"
            )));
        }
        if self.iter().count() >= DEPTH {
            return Err(CallError::Refused(format!(
                "plugins call each other more than {DEPTH} deep: {self} -> {plugin}"
            )));
        }
        Ok(())
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(self.0.as_deref(), |link| link.before.0.as_deref())
            .map(|link| link.plugin.spec.name.as_str())
    }
}

impl fmt::Display for Callers {
    /// `outermost -> ... -> innermost`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&str> = self.iter().collect();
        names.reverse();
        f.write_str(&names.join(" -> "))
    }
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Callers({self})")
    }
}
