//! Warm instances for typed calls.

use std::sync::{Arc, Weak};
use std::time::Instant;

use lakehouse_trace::{Kind, Span};
use parking_lot::Mutex;
use tokio::time::timeout_at;
use wasmtime::component::{Instance, InstancePre};
use wasmtime::{Store, Trap, WasmBacktrace};

use crate::plugin::Shared;
use crate::state::{CallContext, State, new_store};
use crate::{CallError, trap};

/// An instance and what it has done so far.
struct Warm {
    store: Store<State>,
    instance: Instance,
    served: u32,
    since: Instant,
}

#[derive(Default)]
struct Shelf {
    idle: Vec<Warm>,
    /// A task looks after those that idle too long.
    swept: bool,
}

/// The instances of one plugin that wait for a typed call.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    pre: InstancePre<State>,
    shelf: Mutex<Shelf>,
}

/// Frees the place of a call however it ends.
struct Place<'a>(&'a Shared);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.calls.release();
    }
}

impl Pool {
    pub(crate) fn new(shared: Arc<Shared>, pre: InstancePre<State>) -> Self {
        Self {
            shared,
            pre,
            shelf: Mutex::default(),
        }
    }

    pub(crate) fn clear(&self) {
        let idle = std::mem::take(&mut self.shelf.lock().idle);
        drop(idle);
    }

    /// Runs `f` with an instance, the one used last or a new one.
    pub(crate) async fn call<R, F>(
        self: &Arc<Self>,
        mut context: CallContext,
        f: F,
    ) -> Result<R, CallError>
    where
        F: AsyncFnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<R> + Send,
    {
        let mut span = match &context.cause {
            Some(cause) => Span::start(Kind::Internal, cause.trace.as_ref(), || {
                format!("plugin {}", self.shared.spec.name)
            }),
            None => Span::default(),
        };
        context.cause = context.cause.map(|cause| cause.within(&span));
        let result = lakehouse_trace::scope(context.cause.clone(), self.run(context, f)).await;
        if let Err(error) = &result {
            span.fail(|| error.to_string());
        }
        result
    }

    async fn run<R, F>(self: &Arc<Self>, mut context: CallContext, f: F) -> Result<R, CallError>
    where
        F: AsyncFnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<R> + Send,
    {
        let shared = &*self.shared;
        context.callers.admit(&shared.spec.name)?;
        let own = Instant::now() + shared.spec.limits.deadline;
        let deadline = context.deadline.map_or(own, |theirs| theirs.min(own));
        context.deadline = Some(deadline);
        shared.stats.call();
        shared
            .calls
            .admit(deadline, &shared.stats)
            .await
            .inspect_err(|error| match error {
                CallError::Timeout => shared.stats.timeout(),
                _ => shared.stats.rejected(),
            })?;
        let _place = Place(shared);

        let mut warm = match self.take() {
            Some(warm) => warm,
            None => timeout_at(deadline.into(), self.make())
                .await
                .map_err(|_| self.timed_out())?
                .map_err(|error| self.failed(&error))?,
        };
        let _busy = shared.stats.busy();
        warm.store.data_mut().set_context(context);
        let result = timeout_at(deadline.into(), f(&mut warm.store, &warm.instance))
            .await
            .map_err(|_| self.timed_out())?
            .map_err(|error| self.failed(&error))?;
        self.put(warm);
        shared.trial.ended(false);
        Ok(result)
    }

    fn take(&self) -> Option<Warm> {
        self.shelf.lock().idle.pop()
    }

    async fn make(&self) -> wasmtime::Result<Warm> {
        let mut store = new_store(&self.shared)?;
        let instance = self.pre.instantiate_async(&mut store).await?;
        Ok(Warm {
            store,
            instance,
            served: 0,
            since: Instant::now(),
        })
    }

    fn put(self: &Arc<Self>, mut warm: Warm) {
        warm.served += 1;
        if warm.served >= self.shared.spec.limits.reuse {
            return;
        }
        warm.store.data_mut().set_context(CallContext::default());
        warm.since = Instant::now();
        let mut shelf = self.shelf.lock();
        // Under the lock: `clear` comes after the plugin was closed and takes it too.
        if self.shared.is_closed() {
            drop(shelf);
            return;
        }
        shelf.idle.push(warm);
        if !shelf.swept {
            shelf.swept = true;
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    fn timed_out(&self) -> CallError {
        self.shared.stats.timeout();
        self.shared.trial.ended(true);
        CallError::Timeout
    }

    fn failed(&self, error: &wasmtime::Error) -> CallError {
        let plugin = self.shared.spec.name.as_str();
        let text = trap::describe(error);
        if error.is::<Trap>() || error.is::<WasmBacktrace>() {
            tracing::error!(plugin, trap = text, "trapped in a call");
            self.shared.stats.trap(trap::Kind::of(error));
            self.shared.trial.ended(true);
            CallError::Trapped(text)
        } else {
            tracing::error!(plugin, error = text, "a call failed");
            CallError::Internal(text)
        }
    }
}

/// Drops instances that have idled for too long, until none is left.
async fn sweep(pool: Weak<Pool>) {
    loop {
        let Some(idle) = pool.upgrade().map(|pool| pool.shared.spec.limits.idle) else {
            return;
        };
        tokio::time::sleep(idle).await;
        let Some(pool) = pool.upgrade() else { return };
        let old: Vec<Warm> = {
            let mut shelf = pool.shelf.lock();
            let old = shelf
                .idle
                .extract_if(.., |warm| warm.since.elapsed() >= idle)
                .collect();
            if shelf.idle.is_empty() {
                shelf.swept = false;
                drop(shelf);
                return;
            }
            old
        };
        drop(old);
    }
}
