//! What capabilities have other plugins do.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lakehouse_runtime::{CallContext, CallError, Runtime, State};
use wasmtime::Store;
use wasmtime::component::{ComponentNamedList, Instance, Lift, Lower, TypedFunc};

use crate::{Error, Kind};

/// The runtime whose plugins are called; none until it is bound. Capabilities come before
/// the runtime that is made with them, so all that call plugins share a clone of one.
#[derive(Clone, Debug, Default)]
pub struct Remote(Arc<OnceLock<Runtime>>);

impl Remote {
    /// Names the runtime. Later calls change nothing.
    pub fn bind(&self, runtime: Runtime) {
        // A second runtime would be a mistake of the host, not of its input.
        let _ = self.0.set(runtime);
    }

    /// The runtime.
    pub(crate) fn runtime(&self) -> Result<&Runtime, CallError> {
        self.0.get().ok_or_else(|| CallError::Unavailable {
            reason: "the host is still starting".to_owned(),
            retry_after: Duration::from_secs(1),
        })
    }

    /// Calls `function` of an interface that the plugin exports.
    pub(crate) async fn call<P, R>(
        &self,
        plugin: &str,
        context: CallContext,
        interface: &'static str,
        function: &'static str,
        params: P,
    ) -> Result<R, CallError>
    where
        P: ComponentNamedList + Lower + Send + Sync + 'static,
        R: Send + Sync + 'static,
        (R,): ComponentNamedList + Lift + Send + Sync + 'static,
    {
        self.runtime()?
            .call_with(plugin, context, async move |store, instance| {
                let function = export::<P, R>(store, instance, interface, function)?;
                let (answer,) = function.call_async(store, params).await?;
                Ok(answer)
            })
            .await
    }
}

/// A function of an interface that an instance exports.
///
/// # Errors
/// If it exports none of that name and type.
pub(crate) fn export<P, R>(
    store: &mut Store<State>,
    instance: &Instance,
    interface: &str,
    function: &str,
) -> wasmtime::Result<TypedFunc<P, (R,)>>
where
    P: ComponentNamedList + Lower,
    (R,): ComponentNamedList + Lift,
{
    let index = instance
        .get_export_index(&mut *store, None, interface)
        .and_then(|at| instance.get_export_index(&mut *store, Some(&at), function))
        .ok_or_else(|| wasmtime::format_err!("`{interface}` lacks the function `{function}`"))?;
    instance.get_typed_func(store, index)
}

/// What a call that has no answer is to the plugin that asked for it.
pub(crate) fn failed(what: impl Into<String>, error: CallError) -> Error {
    let kind = match error {
        CallError::NotFound
        | CallError::Unavailable { .. }
        | CallError::Saturated { .. }
        | CallError::Timeout(_) => Kind::Unavailable,
        CallError::Refused(_) => Kind::Denied,
        CallError::Trapped(_) | CallError::TooLong { .. } | CallError::Internal(_) => {
            Kind::Internal
        }
    };
    Error::new(kind, what).with_source(error)
}
