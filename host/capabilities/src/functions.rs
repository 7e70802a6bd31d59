//! The `functions` interface: the SQL functions that plugins export.
//!
//! What each plugin says of its functions is asked once for each time that it is
//! loaded. Their batches pass as they are: whoever asked checks what comes back.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use lakehouse_runtime::{CallContext, Capability, Extensions, PluginSpec, State};
use parking_lot::Mutex;
use wasmtime::component::{ComponentNamedList, HasData, Lift, Linker, Lower};

use crate::bindings::sql_types::FunctionSignature;
use crate::bindings::{functions as wit, types};
use crate::call::{self, Call};
use crate::grants::Names;
use crate::remote::{Remote, failed};
use crate::{Error, Kind};

/// The interface that plugins with functions export.
const EXPORT: &str = "lakehouse:plugin/sql-functions@0.1.0";

/// What the plugins said of their functions, by the number of their loading.
type Known = Arc<Mutex<HashMap<u64, Arc<[FunctionSignature]>>>>;

/// Connects the plugin that runs SQL to those that export functions.
#[derive(Clone, Debug)]
pub struct FunctionsCapability {
    remote: Remote,
    known: Known,
}

impl FunctionsCapability {
    /// A capability that calls plugins there.
    pub fn new(remote: Remote) -> Self {
        Self {
            remote,
            known: Known::default(),
        }
    }
}

/// What one plugin may call.
struct Context {
    remote: Remote,
    known: Known,
    granted: Names,
}

impl Capability for FunctionsCapability {
    fn name(&self) -> &'static str {
        "functions"
    }

    fn version(&self) -> Option<&str> {
        Some(crate::version())
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &["lakehouse:plugin/functions"]
    }

    fn example(&self) -> &'static str {
        r#"["*"]"#
    }

    fn prepare(&self, spec: &PluginSpec, ext: &mut Extensions) -> Result<(), String> {
        ext.insert(Arc::new(Context {
            remote: self.remote.clone(),
            known: Arc::clone(&self.known),
            granted: Names::read(&spec.grants, self.name())?,
        }));
        Ok(())
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        wit::add_to_linker::<State, HasFunctions>(linker, |state| View {
            context: state.extensions().get::<Arc<Context>>().map(Arc::clone),
            request: state.context(),
        })
    }
}

struct HasFunctions;

impl HasData for HasFunctions {
    type Data<'a> = View;
}

/// One call of a plugin.
struct View {
    context: Option<Arc<Context>>,
    request: CallContext,
}

impl View {
    /// The plugins that export functions and are granted, with the numbers of their
    /// loading.
    fn exporters(&self) -> Vec<(String, u64)> {
        let Some(context) = &self.context else {
            return Vec::new();
        };
        let Ok(runtime) = context.remote.runtime() else {
            return Vec::new();
        };
        let mut exporters = runtime.exporters(EXPORT);
        exporters.retain(|(plugin, _)| context.granted.covers(plugin));
        exporters
    }

    /// What a plugin says of its functions.
    async fn signatures(
        &self,
        context: &Context,
        plugin: &str,
        loading: u64,
    ) -> Result<Arc<[FunctionSignature]>, Error> {
        if let Some(known) = context.known.lock().get(&loading) {
            return Ok(Arc::clone(known));
        }
        let told: Vec<FunctionSignature> = self
            .ask(context, plugin, "list", (), || {
                format!("plugin `{plugin}` does not list its SQL functions")
            })
            .await?;
        let told: Arc<[FunctionSignature]> = told.into();
        context.known.lock().insert(loading, Arc::clone(&told));
        Ok(told)
    }

    /// Calls a function of a plugin for the bytes that it returns.
    async fn bytes<P>(
        &self,
        plugin: &str,
        function: &'static str,
        name: &str,
        params: P,
    ) -> Result<Vec<u8>, Error>
    where
        P: ComponentNamedList + Lower + Send + Sync + 'static,
    {
        let context = self
            .context
            .as_ref()
            .filter(|context| context.granted.covers(plugin))
            .ok_or_else(|| {
                Error::denied(format!(
                    "the plugin's grant `functions` does not cover plugin `{plugin}`"
                ))
            })?;
        self.ask(context, plugin, function, params, || {
            format!("SQL function `{name}` of plugin `{plugin}`")
        })
        .await
    }

    /// Calls what a plugin exports; `what` says what it is if it has no answer.
    async fn ask<P, R>(
        &self,
        context: &Context,
        plugin: &str,
        function: &'static str,
        params: P,
        what: impl FnOnce() -> String,
    ) -> Result<R, Error>
    where
        P: ComponentNamedList + Lower + Send + Sync + 'static,
        R: Send + Sync + 'static,
        (Result<R, types::Error>,): ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let call = Call::new(self.request.cause.as_ref(), || {
            format!("functions.{function}")
        });
        let request = call.pass_on(&self.request);
        let answer = async {
            let called: Result<Result<R, types::Error>, _> = context
                .remote
                .call(plugin, request, EXPORT, function, params)
                .await;
            called
                .map_err(|error| failed(what(), error))?
                .map_err(Error::from)
        };
        call.run(answer).await
    }
}

impl types::Host for View {
    fn convert_error(&mut self, error: Error) -> wasmtime::Result<types::Error> {
        Ok(call::convert(self.request.cause.as_ref(), error))
    }
}

impl wit::Host for View {
    async fn generation(&mut self) -> wasmtime::Result<u64> {
        Ok(generation(&self.exporters()))
    }

    async fn list(&mut self) -> wasmtime::Result<wit::Listing> {
        let exporters = self.exporters();
        let mut functions = Vec::new();
        let mut generation = generation(&exporters);
        for (plugin, loading) in &exporters {
            let Some(context) = &self.context else { break };
            match self.signatures(context, plugin, *loading).await {
                Ok(signatures) => {
                    functions.extend(signatures.iter().map(|signature| wit::Function {
                        plugin: plugin.clone(),
                        signature: signature.clone(),
                    }));
                }
                // One plugin that cannot say what it has does not take away the others'.
                Err(error) => {
                    tracing::error!(plugin, %error, "its SQL functions cannot be used");
                    if error.kind() == Kind::Unavailable {
                        // Not what `generation` says, so that it is asked again.
                        generation = !generation;
                    }
                }
            }
        }
        if let Some(context) = &self.context {
            let kept = |loading: &u64| exporters.iter().any(|(_, other)| other == loading);
            context.known.lock().retain(|loading, _| kept(loading));
        }
        Ok(wit::Listing {
            generation,
            functions,
        })
    }

    async fn call(
        &mut self,
        plugin: String,
        name: String,
        rows: Vec<u8>,
    ) -> Result<Vec<u8>, Error> {
        let params = (name.clone(), rows);
        self.bytes(&plugin, "call", &name, params).await
    }

    async fn accumulate(
        &mut self,
        plugin: String,
        name: String,
        states: Vec<u8>,
        rows: Vec<u8>,
    ) -> Result<Vec<u8>, Error> {
        let params = (name.clone(), states, rows);
        self.bytes(&plugin, "accumulate", &name, params).await
    }

    async fn merge(
        &mut self,
        plugin: String,
        name: String,
        states: Vec<u8>,
        others: Vec<u8>,
    ) -> Result<Vec<u8>, Error> {
        let params = (name.clone(), states, others);
        self.bytes(&plugin, "merge", &name, params).await
    }

    async fn evaluate(
        &mut self,
        plugin: String,
        name: String,
        states: Vec<u8>,
    ) -> Result<Vec<u8>, Error> {
        let params = (name.clone(), states);
        self.bytes(&plugin, "evaluate", &name, params).await
    }
}

/// One number for a set of loaded plugins.
fn generation(exporters: &[(String, u64)]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (_, loading) in exporters {
        loading.hash(&mut hasher);
    }
    hasher.finish()
}
