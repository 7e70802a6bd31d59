//! The engines, and which of them a component runs on.
//!
//! Where calls can wait side by side, wasmtime makes a task of every call over a
//! component's boundary. A small request is two dozen such calls, so components that
//! have no use for it get an engine without. Those of them that compute for long have a
//! third, whose code does not look at the clock. A fourth compiles in haste what has to
//! serve before better code is ready. The engines beside the first are set up when the
//! first component needs them.

use std::sync::Arc;

use parking_lot::Mutex;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::cache::Cache;
use crate::compile::Compilers;
use crate::engine::{self, Calls, Compiler, Turns};
use crate::preempt::{self, Preempt};
use crate::state::{State, link_wasi};
use crate::tick::{Pulse, Ticker};
use crate::{Artifact, Code, Error, RuntimeConfig};

/// Bytes of a component from which compiling takes long enough to be hurried.
const WORTH_A_DRAFT: u64 = 64 << 10;

/// An engine with what was prepared for it.
pub(crate) struct Side {
    pub(crate) engine: Engine,
    /// Has all of WASI.
    pub(crate) linker: Linker<State>,
    cache: Cache,
}

impl Side {
    fn new(
        config: &RuntimeConfig,
        calls: Calls,
        turns: Turns,
        compiler: Compiler,
        ticker: &Ticker,
    ) -> Result<Self, Error> {
        let engine = engine::engine(config, calls, turns, compiler, ticker)?;
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

    /// Code of a component that is kept: what is there, or else made now. And whether it
    /// was there.
    fn code(
        &self,
        compilers: &Compilers,
        artifact: &Artifact,
        code: Code,
    ) -> wasmtime::Result<(Component, bool)> {
        let digest = artifact.digest();
        if let Some(component) = self.cache.find(digest) {
            return Ok((component, true));
        }
        let bytes = artifact.bytes()?;
        let made = compilers.run(code, || self.engine.precompile_component(&bytes))?;
        Ok((self.cache.keep(digest, &made)?, false))
    }

    fn compiled(self: &Arc<Self>, component: Component, cached: bool) -> Compiled {
        Compiled {
            component,
            side: Arc::clone(self),
            cached,
            draft: false,
            preempt: None,
        }
    }
}

/// Compiled code and the engine that it is for.
pub(crate) struct Compiled {
    pub(crate) component: Component,
    pub(crate) side: Arc<Side>,
    /// It was in the cache already.
    pub(crate) cached: bool,
    /// It was made in haste.
    pub(crate) draft: bool,
    /// What stops its guests, if they do not give way.
    pub(crate) preempt: Option<Preempt>,
}

/// All engines.
pub(crate) struct Engines {
    config: RuntimeConfig,
    ticker: Ticker,
    in_turn: Arc<Side>,
    side_by_side: Mutex<Option<Arc<Side>>>,
    unchecked: Mutex<Option<Arc<Side>>>,
    drafts: Mutex<Option<Arc<Side>>>,
}

impl Engines {
    pub(crate) fn new(config: RuntimeConfig) -> Result<Self, Error> {
        let ticker = Ticker::new(config.tick)?;
        let first = Side::new(
            &config,
            Calls::InTurn,
            Turns::Short,
            Compiler::Best,
            &ticker,
        )?;
        Ok(Self {
            in_turn: Arc::new(first),
            side_by_side: Mutex::default(),
            unchecked: Mutex::default(),
            drafts: Mutex::default(),
            ticker,
            config,
        })
    }

    /// Compiled code of a component, for the engine that suits it. `heavy` says that it
    /// computes for long, `code` what it is to be if there is none yet.
    ///
    /// # Errors
    /// Those of compiling.
    pub(crate) fn compile(
        &self,
        compilers: &Compilers,
        artifact: &Artifact,
        heavy: bool,
        code: Code,
    ) -> wasmtime::Result<Compiled> {
        let digest = artifact.digest();
        if code == Code::Draft
            && artifact.size() >= WORTH_A_DRAFT
            && !self.in_turn.cache.knows(digest)
            && let Some(draft) = self.draft(compilers, artifact)
        {
            return Ok(draft);
        }
        if heavy && let Some(compiled) = self.compile_unchecked(compilers, artifact, code)? {
            return Ok(compiled);
        }
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
        if let Ok((component, cached)) = side.code(compilers, artifact, code)
            && !side.lacks(&component)
        {
            return Ok(side.compiled(component, cached));
        }
        let side = self.side_by_side()?;
        let (component, cached) = side.code(compilers, artifact, code)?;
        Ok(side.compiled(component, cached))
    }

    /// The same in haste and not to be kept; none if this component or machine is not for
    /// that.
    fn draft(&self, compilers: &Compilers, artifact: &Artifact) -> Option<Compiled> {
        if !cfg!(target_arch = "x86_64") {
            return None;
        }
        let compiled = (|| {
            let side = self.set_up(&self.drafts, Calls::InTurn, Turns::Short, Compiler::Draft)?;
            let bytes = artifact.bytes()?;
            let made = || Component::from_binary(&side.engine, &bytes);
            let component = compilers.run(Code::Draft, made)?;
            wasmtime::ensure!(!side.lacks(&component), "it is for WASI 0.3");
            Ok(Compiled {
                draft: true,
                ..side.compiled(component, false)
            })
        })();
        compiled
            .inspect_err(|reason| tracing::debug!(digest = artifact.digest(), %reason, "no draft"))
            .ok()
    }

    /// The same without checks; none if the component cannot do without.
    fn compile_unchecked(
        &self,
        compilers: &Compilers,
        artifact: &Artifact,
        code: Code,
    ) -> wasmtime::Result<Option<Compiled>> {
        if !preempt::supported() {
            return Ok(None);
        }
        let side = self.set_up(&self.unchecked, Calls::InTurn, Turns::Long, Compiler::Best)?;
        // What is wrong with it is told by the engine that it is tried on next.
        let Ok((component, cached)) = side.code(compilers, artifact, code) else {
            return Ok(None);
        };
        if side.lacks(&component) {
            return Ok(None);
        }
        Ok(preempt::Code::of(&component).map(|code| Compiled {
            preempt: Some(Preempt {
                code: Arc::new(code),
                watch: Arc::clone(&self.ticker.watch),
            }),
            ..side.compiled(component, cached)
        }))
    }

    /// To be told of guests.
    pub(crate) fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.ticker.pulse)
    }

    /// Removes compiled code of a component from the cache.
    pub(crate) fn forget(&self, digest: &str) {
        self.in_turn.cache.forget(digest);
    }

    fn side_by_side(&self) -> wasmtime::Result<Arc<Side>> {
        self.set_up(
            &self.side_by_side,
            Calls::SideBySide,
            Turns::Short,
            Compiler::Best,
        )
    }

    fn set_up(
        &self,
        slot: &Mutex<Option<Arc<Side>>>,
        calls: Calls,
        turns: Turns,
        compiler: Compiler,
    ) -> wasmtime::Result<Arc<Side>> {
        let mut slot = slot.lock();
        if let Some(side) = &*slot {
            return Ok(Arc::clone(side));
        }
        let side = Side::new(&self.config, calls, turns, compiler, &self.ticker)?;
        Ok(Arc::clone(slot.insert(Arc::new(side))))
    }
}
