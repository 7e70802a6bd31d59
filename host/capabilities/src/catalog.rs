//! The `catalog` interface: what one plugin imports is served by another that
//! exports it.
//!
//! The plugin is looked up at each call, so all see a new catalog at once when it
//! is swapped. The types of both sides are those of the import side's bindings:
//! lifted from one component and lowered into the other without a copy between.

use std::sync::{Arc, OnceLock};

use lakehouse_runtime::{
    CallContext, CallError, Capability, Extensions, PluginSpec, Runtime, State,
};
use wasmtime::component::{ComponentNamedList, HasData, Lift, Linker, Lower};

use crate::bindings::{catalog as wit, types};
use crate::call::{self, Call};
use crate::grants::{Access, Grants};
use crate::{Error, Kind};

/// The interface, without a version.
const INTERFACE: &str = "lakehouse:plugin/catalog";
/// The instance that an exporter exports.
const INSTANCE: &str = "lakehouse:plugin/catalog@0.1.0";

/// Connects plugins to the one that exports the catalog.
#[derive(Clone, Debug, Default)]
pub struct CatalogCapability {
    runtime: Arc<OnceLock<Runtime>>,
}

impl CatalogCapability {
    /// A capability that answers "unavailable" until [`bind`](Self::bind).
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the runtime whose plugins serve. Later calls change nothing.
    pub fn bind(&self, runtime: Runtime) {
        // A second runtime would be a mistake of the host, not of its input.
        let _ = self.runtime.set(runtime);
    }
}

/// What one plugin may do with the catalog.
struct Context {
    runtime: Arc<OnceLock<Runtime>>,
    grants: Grants,
}

impl Capability for CatalogCapability {
    fn name(&self) -> &'static str {
        "catalog"
    }

    fn version(&self) -> Option<&str> {
        Some(crate::version())
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[INTERFACE]
    }

    fn example(&self) -> &'static str {
        r#""read""#
    }

    fn prepare(&self, spec: &PluginSpec, ext: &mut Extensions) -> Result<(), String> {
        ext.insert(Arc::new(Context {
            runtime: Arc::clone(&self.runtime),
            grants: Grants::of_catalog(&spec.grants)?,
        }));
        Ok(())
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        wit::add_to_linker::<State, HasCatalog>(linker, |state| View {
            context: state.extensions().get::<Arc<Context>>().map(Arc::clone),
            request: state.context(),
        })
    }
}

struct HasCatalog;

impl HasData for HasCatalog {
    type Data<'a> = View;
}

/// One call of a plugin.
struct View {
    context: Option<Arc<Context>>,
    request: CallContext,
}

impl View {
    fn allows(&self, namespace: &str) -> bool {
        let context = self.context.as_ref();
        context.is_some_and(|context| context.grants.allow(namespace, Access::Read))
    }

    /// Calls `function` about one namespace of the plugin that exports the catalog.
    async fn forward<P, R>(
        &self,
        wanted: Access,
        namespace: &str,
        function: &'static str,
        params: P,
    ) -> Result<R, Error>
    where
        P: ComponentNamedList + Lower + Send + Sync + 'static,
        R: Send + Sync + 'static,
        (Result<R, types::Error>,): ComponentNamedList + Lift + Send + Sync + 'static,
    {
        if let Some(context) = &self.context {
            context
                .grants
                .check("the catalog's namespace", namespace, wanted)?;
        }
        self.call(function, params).await
    }

    /// Calls `function` of the plugin that exports the catalog.
    async fn call<P, R>(&self, function: &'static str, params: P) -> Result<R, Error>
    where
        P: ComponentNamedList + Lower + Send + Sync + 'static,
        R: Send + Sync + 'static,
        (Result<R, types::Error>,): ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let call = Call::new(self.request.cause.as_ref(), || {
            format!("catalog.{function}")
        });
        let context = CallContext {
            cause: call.cause().cloned(),
            ..self.request.clone()
        };
        call.run(self.answer(context, function, params)).await
    }

    async fn answer<P, R>(
        &self,
        call: CallContext,
        function: &'static str,
        params: P,
    ) -> Result<R, Error>
    where
        P: ComponentNamedList + Lower + Send + Sync + 'static,
        R: Send + Sync + 'static,
        (Result<R, types::Error>,): ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let context = self.context.as_ref();
        let runtime = context
            .and_then(|context| context.runtime.get())
            .ok_or_else(|| unavailable("the host is still starting"))?;
        let plugin = runtime
            .exporter(INTERFACE)
            .ok_or_else(|| unavailable("no plugin that exports it is loaded"))?;
        let called = runtime
            .call_with(&plugin, call, async move |store, instance| {
                let interface = instance.get_export_index(&mut *store, None, INSTANCE);
                let index = interface.and_then(|interface| {
                    instance.get_export_index(&mut *store, Some(&interface), function)
                });
                let index = index.ok_or_else(|| {
                    wasmtime::format_err!("`{INSTANCE}` lacks the function `{function}`")
                })?;
                let function = instance
                    .get_typed_func::<P, (Result<R, types::Error>,)>(&mut *store, &index)?;
                let (answer,) = function.call_async(store, params).await?;
                Ok(answer)
            })
            .await;
        match called {
            Ok(answer) => answer.map_err(Error::from),
            Err(error) => Err(failed(&plugin, error)),
        }
    }
}

fn unavailable(reason: &str) -> Error {
    Error::new(
        Kind::Unavailable,
        format!("the catalog cannot be had: {reason}"),
    )
}

fn failed(plugin: &str, error: CallError) -> Error {
    let kind = match error {
        CallError::NotFound | CallError::Unavailable { .. } | CallError::Saturated { .. } => {
            Kind::Unavailable
        }
        CallError::Timeout(_) => Kind::Unavailable,
        CallError::Refused(_) => Kind::Denied,
        CallError::Trapped(_) | CallError::TooLong { .. } | CallError::Internal(_) => {
            Kind::Internal
        }
    };
    Error::new(kind, format!("the catalog plugin `{plugin}` failed")).with_source(error)
}

impl types::Host for View {
    fn convert_error(&mut self, error: Error) -> wasmtime::Result<types::Error> {
        Ok(call::convert(self.request.cause.as_ref(), error))
    }
}

impl wit::Host for View {
    async fn list_namespaces(&mut self) -> Result<Vec<String>, Error> {
        let mut all: Vec<String> = self.call("list-namespaces", ()).await?;
        all.retain(|namespace| self.allows(namespace));
        Ok(all)
    }

    async fn create_namespace(&mut self, name: String) -> Result<(), Error> {
        self.forward(
            Access::ReadWrite,
            &name.clone(),
            "create-namespace",
            (name,),
        )
        .await
    }

    async fn drop_namespace(&mut self, name: String) -> Result<(), Error> {
        self.forward(Access::ReadWrite, &name.clone(), "drop-namespace", (name,))
            .await
    }

    async fn list_tables(
        &mut self,
        namespace: Option<String>,
    ) -> Result<Vec<wit::TableName>, Error> {
        if let Some(namespace) = &namespace {
            let params = (Some(namespace.clone()),);
            return self
                .forward(Access::Read, namespace, "list-tables", params)
                .await;
        }
        let mut all: Vec<wit::TableName> = self.call("list-tables", (namespace,)).await?;
        all.retain(|table| self.allows(&table.namespace));
        Ok(all)
    }

    async fn load_table(
        &mut self,
        table: wit::TableName,
        at: wit::Version,
    ) -> Result<wit::TableInfo, Error> {
        self.forward(
            Access::Read,
            &table.namespace.clone(),
            "load-table",
            (table, at),
        )
        .await
    }

    async fn snapshots(&mut self, table: wit::TableName) -> Result<Vec<wit::Snapshot>, Error> {
        self.forward(
            Access::Read,
            &table.namespace.clone(),
            "snapshots",
            (table,),
        )
        .await
    }

    async fn plan_scan(
        &mut self,
        table: wit::TableName,
        at: wit::Version,
        predicates: Vec<wit::Predicate>,
    ) -> Result<wit::ScanPlan, Error> {
        self.forward(
            Access::Read,
            &table.namespace.clone(),
            "plan-scan",
            (table, at, predicates),
        )
        .await
    }

    async fn prepare_write(
        &mut self,
        table: wit::TableName,
        mode: wit::WriteMode,
        schema: Vec<u8>,
        evolve: bool,
    ) -> Result<wit::WriteTarget, Error> {
        self.forward(
            Access::ReadWrite,
            &table.namespace.clone(),
            "prepare-write",
            (table, mode, schema, evolve),
        )
        .await
    }

    async fn find_commit(
        &mut self,
        table: wit::TableName,
        idempotency_key: String,
    ) -> Result<Option<wit::CommitResult>, Error> {
        self.forward(
            Access::Read,
            &table.namespace.clone(),
            "find-commit",
            (table, idempotency_key),
        )
        .await
    }

    async fn commit(&mut self, change: wit::CommitRequest) -> Result<wit::CommitResult, Error> {
        self.forward(
            Access::ReadWrite,
            &change.table.namespace.clone(),
            "commit",
            (change,),
        )
        .await
    }

    async fn create_table(
        &mut self,
        table: wit::TableName,
        schema: Vec<u8>,
        properties: Vec<(String, String)>,
    ) -> Result<wit::TableInfo, Error> {
        self.forward(
            Access::ReadWrite,
            &table.namespace.clone(),
            "create-table",
            (table, schema, properties),
        )
        .await
    }

    async fn rollback(
        &mut self,
        table: wit::TableName,
        snapshot_id: i64,
    ) -> Result<wit::TableInfo, Error> {
        self.forward(
            Access::ReadWrite,
            &table.namespace.clone(),
            "rollback",
            (table, snapshot_id),
        )
        .await
    }

    async fn drop_table(&mut self, table: wit::TableName) -> Result<(), Error> {
        self.forward(
            Access::ReadWrite,
            &table.namespace.clone(),
            "drop-table",
            (table,),
        )
        .await
    }
}
