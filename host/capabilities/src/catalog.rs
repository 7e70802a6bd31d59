//! The `catalog` interface: what one plugin imports is served by another that
//! exports it.
//!
//! The plugin is looked up at each call, so all see a new catalog at once when it
//! is swapped. The types of both sides are those of the import side's bindings:
//! lifted from one component and lowered into the other without a copy between.

use std::sync::Arc;

use lakehouse_runtime::{CallContext, Capability, Extensions, PluginSpec, State};
use wasmtime::component::{ComponentNamedList, HasData, Lift, Linker, Lower};

use crate::bindings::{catalog as wit, types};
use crate::call::{self, Call};
use crate::grants::{Access, Grants};
use crate::remote::{Remote, failed};
use crate::{Error, Kind};

/// The interface, without a version.
const INTERFACE: &str = "lakehouse:plugin/catalog";
/// The instance that an exporter exports.
const INSTANCE: &str = "lakehouse:plugin/catalog@0.1.0";

/// Connects plugins to the one that exports the catalog.
#[derive(Clone, Debug)]
pub struct CatalogCapability {
    remote: Remote,
}

impl CatalogCapability {
    /// A capability that calls plugins there.
    pub fn new(remote: Remote) -> Self {
        Self { remote }
    }
}

/// What one plugin may do with the catalog.
struct Context {
    remote: Remote,
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
            remote: self.remote.clone(),
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
        let request = call.pass_on(&self.request);
        call.run(self.answer(request, function, params)).await
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
        let Some(context) = &self.context else {
            return Err(Error::denied("the plugin has no grant for the catalog"));
        };
        let runtime = context
            .remote
            .runtime()
            .map_err(|error| failed("the catalog cannot be had", error))?;
        let plugin = runtime.exporter(INTERFACE).ok_or_else(|| {
            Error::new(
                Kind::Unavailable,
                "the catalog cannot be had: no plugin that exports it is loaded",
            )
        })?;
        let called: Result<Result<R, types::Error>, _> = context
            .remote
            .call(&plugin, call, INSTANCE, function, params)
            .await;
        match called {
            Ok(answer) => answer.map_err(Error::from),
            Err(error) => Err(failed(
                format!("the catalog plugin `{plugin}` failed"),
                error,
            )),
        }
    }
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
