//! Typed calls, and the warm instances for them.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use lakehouse_trace::{Kind, Span};
use wasmtime::component::{Instance, InstancePre};
use wasmtime::{Store, Trap, WasmBacktrace};

use crate::clock::{Clock, bounded};
use crate::metrics::Busy;
use crate::plugin::Shared;
use crate::shelf::{Shelf, Warm};
use crate::state::{CallContext, State, new_store};
use crate::{CallError, trap};

/// The instances of one plugin that serve typed calls.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    pre: InstancePre<State>,
    pub(crate) shelf: Arc<Shelf<Instance>>,
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
            shelf: Arc::new(Shelf::new(Arc::clone(&shared))),
            shared,
            pre,
        }
    }

    /// Makes the instances that are missing of those that are to be there always.
    pub(crate) async fn fill(&self) -> wasmtime::Result<()> {
        self.shelf.fill(|| self.make()).await
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
        let limits = &shared.spec.limits;
        let own = Instant::now() + limits.deadline;
        let deadline = context.deadline.map_or(own, |theirs| theirs.min(own));
        context.deadline = Some(deadline);
        shared.stats.call();
        shared
            .backoff
            .admit()
            .inspect_err(|_| shared.stats.rejected())?;
        shared
            .calls
            .admit(deadline, &shared.stats)
            .await
            .inspect_err(|error| match error {
                CallError::Timeout(_) => shared.stats.timeout(),
                _ => shared.stats.rejected(),
            })?;
        let _place = Place(shared);

        let mut spent = shared.clock(deadline, None);
        let mut warm = match self.shelf.take() {
            Some(warm) => warm,
            None => bounded(limits, deadline, &mut spent, pin!(self.make()))
                .await
                .map_err(|clock| self.timed_out(clock))?
                .map_err(|error| self.failed(&error, trap::describe(&error)))?,
        };
        let _busy = Busy::new(&*shared.stats);
        warm.begin(context);
        let ended = {
            let called = pin!(f(&mut warm.store, &warm.instance));
            bounded(limits, deadline, &mut spent, called).await
        };
        let result = ended
            .map_err(|clock| self.timed_out(clock))?
            .map_err(|error| {
                let text = trap::describe_in(&error, warm.store.data());
                self.failed(&error, text)
            })?;
        shared.backoff.succeeded();
        self.shelf.put(warm);
        shared.trial.ended(false);
        Ok(result)
    }

    async fn make(&self) -> wasmtime::Result<Warm<Instance>> {
        let mut store = new_store(&self.shared)?;
        let instance = self.pre.instantiate_async(&mut store).await?;
        Ok(self.shelf.warm(store, instance))
    }

    fn timed_out(&self, clock: Clock) -> CallError {
        let plugin = self.shared.spec.name.as_str();
        tracing::warn!(plugin, "a call was stopped: its {clock} is over");
        self.shared.stats.timeout();
        self.shared.trial.ended(true);
        CallError::Timeout(clock)
    }

    fn failed(&self, error: &wasmtime::Error, text: String) -> CallError {
        let plugin = self.shared.spec.name.as_str();
        if error.is::<Trap>() || error.is::<WasmBacktrace>() {
            tracing::error!(plugin, trap = text, "trapped in a call");
            self.shared.trapped(trap::Kind::of(error), &text);
            self.shared.trial.ended(true);
            CallError::Trapped(text)
        } else {
            tracing::error!(plugin, error = text, "a call failed");
            CallError::Internal(text)
        }
    }
}
