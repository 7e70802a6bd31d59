//! The two engines, and which of them a component runs on.
//!
//! Where calls can wait side by side, wasmtime makes a task of every call over a
//! component's boundary. A small request is two dozen such calls, so components that
//! have no use for it get an engine without. The other engine is set up when the first
//! component needs it.

use std::sync::Arc;

use parking_lot::Mutex;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::cache::Cache;
use crate::compile::Compilers;
use crate::engine::{self, Calls, Ticker};
use crate::state::{State, link_wasi};
use crate::{Artifact, Error, RuntimeConfig};

/// An engine with what was prepared for it.
pub(crate) struct Side {
    pub(crate) engine: Engine,
    /// Has all of WASI.
    pub(crate) linker: Linker<State>,
    cache: Cache,
}

impl Side {
    fn new(config: &RuntimeConfig, calls: Calls, ticker: &Ticker) -> Result<Self, Error> {
        let engine = engine::engine(config, calls, ticker)?;
        let mut linker = Linker::new(&engine);
        link_wasi(&mut linker, calls).map_err(|error| Error::Engine(format!("{error:#}")))?;
        Ok(Self {
            cache: Cache::new(&config.cache_dir, config.cache_size, &engine),
            linker,
            engine,
        })
    }

    /// Whether a component uses interfaces of WASI 0.3, which this engine has not.
    fn lacks(&self, component: &Component) -> bool {
        let ty = component.component_type();
        let imports = ty.imports(&self.engine).map(|(name, _)| name);
        let exports = ty.exports(&self.engine).map(|(name, _)| name);
        imports
            .chain(exports)
            .any(|name| name.starts_with("wasi:") && name.contains("@0.3."))
    }

    fn compiled(self: &Arc<Self>, component: Component, cached: bool) -> Compiled {
        Compiled {
            component,
            side: Arc::clone(self),
            cached,
        }
    }
}

/// Compiled code and the engine that it is for.
pub(crate) struct Compiled {
    pub(crate) component: Component,
    pub(crate) side: Arc<Side>,
    /// It was in the cache already.
    pub(crate) cached: bool,
}

/// Both engines.
pub(crate) struct Engines {
    config: RuntimeConfig,
    ticker: Ticker,
    in_turn: Arc<Side>,
    side_by_side: Mutex<Option<Arc<Side>>>,
}

impl Engines {
    pub(crate) fn new(config: RuntimeConfig) -> Result<Self, Error> {
        let ticker = Ticker::new(config.tick)?;
        Ok(Self {
            in_turn: Arc::new(Side::new(&config, Calls::InTurn, &ticker)?),
            side_by_side: Mutex::default(),
            ticker,
            config,
        })
    }

    /// Compiled code of a component, for the engine that suits it.
    ///
    /// # Errors
    /// Those of compiling.
    pub(crate) fn compile(
        &self,
        compilers: &Compilers,
        artifact: &Artifact,
    ) -> wasmtime::Result<Compiled> {
        let (bytes, digest) = (artifact.bytes(), artifact.digest());
        let side = &self.in_turn;
        if let Some(component) = side.cache.find(digest).filter(|found| !side.lacks(found)) {
            return Ok(side.compiled(component, true));
        }
        // Code of another make is for the other engine, or left by another version.
        if side.cache.has_other(digest) {
            let other = self.side_by_side()?;
            if let Some(component) = other.cache.find(digest).filter(|found| other.lacks(found)) {
                return Ok(other.compiled(component, true));
            }
        }
        // Its types come first and are checked first: one that needs the other engine
        // fails before any of its code is compiled.
        if let Ok(code) = compilers.run(|| side.engine.precompile_component(bytes)) {
            let component = side.cache.keep(digest, &code)?;
            if !side.lacks(&component) {
                return Ok(side.compiled(component, false));
            }
        }
        let side = self.side_by_side()?;
        if let Some(component) = side.cache.find(digest) {
            return Ok(side.compiled(component, true));
        }
        let code = compilers.run(|| side.engine.precompile_component(bytes))?;
        let component = side.cache.keep(digest, &code)?;
        Ok(side.compiled(component, false))
    }

    /// Removes compiled code of a component from the cache.
    pub(crate) fn forget(&self, digest: &str) {
        self.in_turn.cache.forget(digest);
    }

    fn side_by_side(&self) -> wasmtime::Result<Arc<Side>> {
        let mut slot = self.side_by_side.lock();
        if let Some(side) = &*slot {
            return Ok(Arc::clone(side));
        }
        let side = Side::new(&self.config, Calls::SideBySide, &self.ticker)?;
        Ok(Arc::clone(slot.insert(Arc::new(side))))
    }
}
