//! Generations of a plugin before and after they serve.

use std::sync::Arc;

use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::plugin::Plugin;
use crate::trial::{Trial, Verdict};
use crate::{Body, CallContext, CallError, Cause, PluginStatus, State};

/// A plugin that is compiled, linked and started once, and does not serve yet. It can
/// be asked what one that serves is asked; dropping it undoes everything.
pub struct Staged {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) status: PluginStatus,
}

impl Staged {
    /// What it is.
    #[must_use]
    pub fn status(&self) -> &PluginStatus {
        &self.status
    }

    /// Has it answer an HTTP request, as [`Runtime::handle`](crate::Runtime::handle).
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn handle(
        &self,
        request: http::Request<Body>,
        cause: impl Into<Cause>,
    ) -> Result<http::Response<Body>, CallError> {
        self.plugin.handle(request, cause.into()).await
    }

    /// Runs a typed export, as [`Runtime::call_with`](crate::Runtime::call_with).
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call<R, F>(&self, context: CallContext, f: F) -> Result<R, CallError>
    where
        F: AsyncFnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<R> + Send,
    {
        self.plugin.pool.call(context, f).await
    }
}

impl Drop for Staged {
    /// Nothing to do for one that serves now: somebody else holds it as well.
    fn drop(&mut self) {
        if Arc::strong_count(&self.plugin) == 1 {
            self.plugin.close();
        }
    }
}

impl std::fmt::Debug for Staged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Staged").field(&self.status).finish()
    }
}

/// What a swap leaves behind.
#[derive(Debug)]
pub struct Swapped {
    /// The generation that served before.
    pub retired: Option<Retired>,
    /// The one that serves now.
    pub watch: Watch,
}

/// A generation that takes no new request.
#[derive(Debug)]
pub struct Retired(oneshot::Receiver<()>);

impl Retired {
    /// Takes a plugin out of service. None if that was done before.
    pub(crate) fn new(plugin: &Plugin) -> Option<Self> {
        plugin.close();
        plugin.gone.lock().take().map(Self)
    }

    /// Waits until its last request is through, and its instances and code are freed.
    pub async fn drained(self) {
        // Nothing is ever sent: the sender goes with the generation.
        let _ = self.0.await;
    }
}

/// The requests of one generation, without keeping it.
#[derive(Debug, Clone)]
pub struct Watch(pub(crate) Arc<Trial>);

impl Watch {
    /// Watches the next `requests` requests and calls until `failures` of them have
    /// trapped or timed out, or all have ended.
    pub async fn verdict(&self, requests: u64, failures: u64) -> Verdict {
        self.0.watch(requests, failures).await
    }
}
