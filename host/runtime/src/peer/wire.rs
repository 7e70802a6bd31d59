//! One imported function on its way to the plugin that exports it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use wasmtime::component::types::ComponentFunc;
use wasmtime::component::{ComponentExportIndex, Func, LinkerInstance, Val};
use wasmtime::{Store, StoreContextMut, format_err};

use super::exports::key;
use super::grant::Grant;
use super::outlet::Outlet;
use super::typed::{self, Params, Returned};
use crate::CallError;
use crate::check::base;
use crate::plugin::Plugin;
use crate::runtime::Inner;
use crate::state::State;

/// A function that a plugin imports from others. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Wire(Arc<Line>);

struct Line {
    runtime: Weak<Inner>,
    /// The interface as imported, with its version.
    interface: String,
    key: String,
    function: String,
    ty: ComponentFunc,
    outlet: Outlet,
    grant: Arc<Grant>,
    /// The plugin whose function was found to be of the imported type.
    fits: Mutex<Weak<Plugin>>,
}

impl Wire {
    pub(crate) fn new(
        runtime: Weak<Inner>,
        interface: &str,
        function: &str,
        ty: ComponentFunc,
        grant: Arc<Grant>,
    ) -> Self {
        Self(Arc::new(Line {
            runtime,
            interface: interface.to_owned(),
            key: key(interface),
            function: function.to_owned(),
            outlet: Outlet::of(&ty),
            ty,
            grant,
            fits: Mutex::default(),
        }))
    }

    /// Defines the function in the linker of the plugin that imports it.
    pub(crate) fn connect(
        &self,
        target: &mut LinkerInstance<'_, State>,
        name: &str,
    ) -> wasmtime::Result<()> {
        if typed::connect(target, name, &self.0.ty, self)? {
            return Ok(());
        }
        let wire = self.clone();
        target.func_new_async(name, move |store, _, params, results| {
            let wire = wire.clone();
            Box::new(async move { wire.call_dynamic(store, params, results).await })
        })
    }

    /// Calls with values typed at run time.
    async fn call_dynamic(
        &self,
        store: StoreContextMut<'_, State>,
        params: &[Val],
        results: &mut [Val],
    ) -> wasmtime::Result<()> {
        let called = self
            .0
            .call(store, async |store, function| {
                let mut returned = vec![Val::Bool(false); results.len()];
                function.call_async(store, params, &mut returned).await?;
                Ok(returned)
            })
            .await;
        match called {
            Ok(returned) => results.clone_from_slice(&returned),
            Err(error) => {
                let text = self.0.text(&error);
                let value = self.0.outlet.value(&error, &text);
                match (value, results) {
                    (Some(value), [result]) => *result = value,
                    _ => return Err(wasmtime::Error::msg(text)),
                }
            }
        }
        Ok(())
    }

    /// Calls with values of types known here.
    pub(crate) async fn call_typed<P: Params, R: Returned>(
        &self,
        store: StoreContextMut<'_, State>,
        params: P,
    ) -> wasmtime::Result<(R,)> {
        let called = self
            .0
            .call(store, async move |store, function| {
                let function = function.typed::<P, (R,)>(&*store)?;
                function.call_async(store, params).await
            })
            .await;
        called.or_else(|error| {
            let text = self.0.text(&error);
            R::failed(&text)
                .map(|result| (result,))
                .ok_or_else(|| wasmtime::Error::msg(text))
        })
    }
}

impl Line {
    /// Runs `f` with the function, in an instance of the plugin that exports it now.
    async fn call<R, F>(&self, store: StoreContextMut<'_, State>, f: F) -> Result<R, CallError>
    where
        F: AsyncFnOnce(&mut Store<State>, Func) -> wasmtime::Result<R> + Send,
    {
        let context = store.data().context();
        let (plugin, index) = self.find(store.data().plugin().name.as_str())?;
        plugin
            .pool
            .call(context, async move |store, instance| {
                let function = instance
                    .get_func(&mut *store, index)
                    .ok_or_else(|| format_err!("the instance lacks an export of its component"))?;
                f(store, function).await
            })
            .await
    }

    /// The first plugin by name that serves the interface and may be called.
    fn find(&self, caller: &str) -> Result<(Arc<Plugin>, ComponentExportIndex), CallError> {
        let runtime = self
            .runtime
            .upgrade()
            .ok_or_else(|| unavailable("the host is shutting down".to_owned()))?;
        let mut denied = None;
        let mut other = None;
        let found = runtime.find(|plugin| {
            let name = plugin.shared.spec.name.as_str();
            let Some(interface) = plugin.exports.interface(&self.key) else {
                let mut interfaces = plugin.exports.interfaces();
                let near = interfaces.find(|near| base(&near.name) == base(&self.interface));
                if let Some(near) = near {
                    other = Some(format!("plugin `{name}` exports {}", near.name));
                }
                return None;
            };
            if !self.grant.covers(name, &self.interface) {
                denied.get_or_insert_with(|| name.to_owned());
                return None;
            }
            let function = interface.function(&self.function);
            if function.is_none() {
                other = Some(format!(
                    "plugin `{name}` exports {} without it",
                    interface.name
                ));
            }
            Some((Arc::clone(plugin), function?.index))
        });
        match (found, denied) {
            (Some((plugin, index)), _) => {
                self.check(&plugin)?;
                Ok((plugin, index))
            }
            (None, Some(name)) => Err(CallError::Refused(format!(
                "plugin `{name}` exports it, which the grant `plugins` of `{caller}` does not cover"
            ))),
            (None, None) => Err(unavailable(match other {
                Some(other) => format!("no plugin that serves exports it; {other}"),
                None => "no plugin that serves exports it".to_owned(),
            })),
        }
    }

    /// Whether the plugin's function is of the type that is imported; looked at once for
    /// each plugin that comes.
    fn check(&self, plugin: &Arc<Plugin>) -> Result<(), CallError> {
        let mut fits = self.fits.lock();
        if fits.as_ptr() == Arc::as_ptr(plugin) {
            return Ok(());
        }
        let interface = plugin.exports.interface(&self.key);
        let exported = interface.and_then(|interface| interface.function(&self.function));
        let same = exported.is_some_and(|exported| {
            let (import, export) = (&self.ty, &exported.ty);
            import.async_() == export.async_()
                && import
                    .params()
                    .map(|(_, ty)| ty)
                    .eq(export.params().map(|(_, ty)| ty))
                && import.results().eq(export.results())
        });
        if !same {
            return Err(CallError::Refused(format!(
                "plugin `{}` exports it with another type",
                plugin.shared.spec.name
            )));
        }
        *fits = Arc::downgrade(plugin);
        Ok(())
    }

    /// Why the call failed, for people.
    fn text(&self, error: &CallError) -> String {
        format!("{} `{}`: {error}", self.interface, self.function)
    }
}

fn unavailable(reason: String) -> CallError {
    CallError::Unavailable {
        reason,
        retry_after: Duration::from_secs(5),
    }
}
