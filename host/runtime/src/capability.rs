//! What the host offers to guests beside WASI.

use std::any::{Any, TypeId};
use std::collections::HashMap;

use wasmtime::component::Linker;

use crate::{PluginSpec, State};

/// What the host offers to guests, most of it behind a grant.
pub trait Capability: Send + Sync + 'static {
    /// Its name, and its key in a plugin's `grants`: `store`.
    fn name(&self) -> &'static str;

    /// The interfaces it provides, without versions: `["lakehouse:plugin/store"]`.
    fn interfaces(&self) -> &'static [&'static str];

    /// The version of these interfaces that the host has. Without one, a guest's is not
    /// compared, and what does not fit shows when it is linked.
    fn version(&self) -> Option<&str> {
        None
    }

    /// Whether a plugin must be granted it; logging, say, needs no grant.
    fn needs_grant(&self) -> bool {
        true
    }

    /// A grant as TOML, for the message that says it is missing.
    fn example(&self) -> &'static str {
        "..."
    }

    /// Reads a plugin's grants, once for each plugin, and puts what calls will need
    /// into `ext`. Called when the plugin has a grant of this name or none is needed.
    ///
    /// # Errors
    /// A text for people refuses the plugin with that reason.
    fn prepare(&self, spec: &PluginSpec, ext: &mut Extensions) -> Result<(), String>;

    /// Adds the interfaces to the linker of a plugin that may use them.
    ///
    /// # Errors
    /// Those of the linker.
    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()>;
}

/// Values by type: what capabilities know of one plugin.
#[derive(Default)]
pub struct Extensions(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

impl Extensions {
    /// Puts a value in, in place of one of the same type.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.0.insert(TypeId::of::<T>(), Box::new(value));
    }

    /// The value of this type.
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref()
    }
}

impl std::fmt::Debug for Extensions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Extensions").field(&self.0.len()).finish()
    }
}
