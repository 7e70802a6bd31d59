//! The `catalog` interface: what one plugin imports is served by another that
//! exports it.
//!
//! The plugin is looked up at each call, so all see a new catalog at once when it
//! is swapped. The types of both sides are those of the import side's bindings:
//! lifted from one component and lowered into the other without a copy between.

use std::sync::Arc;

use lakehouse_runtime::{CallContext, Capability, Extensions, PluginSpec, Runtime, State};
use wasmtime::component::{ComponentNamedList, HasData, Lift, Linker, Lower};

use crate::bindings::{catalog as wit, types};
use crate::grants::{self, Access};
use crate::remote::{Remote, failed};
use crate::{Error, Kind};

/// The interface, without a version.
const INTERFACE: &str = "lakehouse:plugin/catalog";
/// The instance that an exporter exports.
const INSTANCE: &str = "lakehouse:plugin/catalog@0.1.0";

/// Connects plugins to the one that exports the catalog.
#[derive(Clone, Debug, Default)]
pub struct CatalogCapability {
    remote: Remote,
}

impl CatalogCapability {
    /// A capability that answers "unavailable" until [`bind`](Self::bind).
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the runtime whose plugins serve. Later calls change nothing.
    pub fn bind(&self, runtime: Runtime) {
        self.remote.bind(runtime);
    }
}

/// What one plugin may do with the catalog.
struct Context {
    remote: Remote,
    access: Option<Access>,
}

impl Capability for CatalogCapability {
    fn name(&self) -> &'static str {
        "catalog"
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
            access: grants::of_catalog(&spec.grants)?,
        }));
        Ok(())
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        wit::add_to_linker::<State, HasCatalog>(linker, |state| View {
            context: state.extensions().get::<Arc<Context>>().map(Arc::clone),
            call: state.context(),
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
    call: CallContext,
}

impl View {
    /// Calls `function` of the plugin that exports the catalog.
    async fn forward<P, R>(
        &self,
        wanted: Access,
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
        if context.access.is_none()
            || (wanted == Access::ReadWrite && context.access == Some(Access::Read))
        {
            return Err(Error::denied(format!(
                "the plugin's grant `catalog` does not cover `{function}`"
            )));
        }
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
            .call(&plugin, self.call.clone(), INSTANCE, function, params)
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
        Ok(error.into())
    }
}

impl wit::Host for View {
    async fn list_namespaces(&mut self) -> Result<Vec<String>, Error> {
        self.forward(Access::Read, "list-namespaces", ()).await
    }

    async fn create_namespace(&mut self, name: String) -> Result<(), Error> {
        self.forward(Access::ReadWrite, "create-namespace", (name,))
            .await
    }

    async fn drop_namespace(&mut self, name: String) -> Result<(), Error> {
        self.forward(Access::ReadWrite, "drop-namespace", (name,))
            .await
    }

    async fn list_tables(
        &mut self,
        namespace: Option<String>,
    ) -> Result<Vec<wit::TableName>, Error> {
        self.forward(Access::Read, "list-tables", (namespace,))
            .await
    }

    async fn load_table(
        &mut self,
        table: wit::TableName,
        at: wit::Version,
    ) -> Result<wit::TableInfo, Error> {
        self.forward(Access::Read, "load-table", (table, at)).await
    }

    async fn snapshots(&mut self, table: wit::TableName) -> Result<Vec<wit::Snapshot>, Error> {
        self.forward(Access::Read, "snapshots", (table,)).await
    }

    async fn plan_scan(
        &mut self,
        table: wit::TableName,
        at: wit::Version,
        predicates: Vec<wit::Predicate>,
    ) -> Result<wit::ScanPlan, Error> {
        self.forward(Access::Read, "plan-scan", (table, at, predicates))
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
        self.forward(Access::Read, "find-commit", (table, idempotency_key))
            .await
    }

    async fn commit(&mut self, change: wit::CommitRequest) -> Result<wit::CommitResult, Error> {
        self.forward(Access::ReadWrite, "commit", (change,)).await
    }

    async fn create_table(
        &mut self,
        table: wit::TableName,
        schema: Vec<u8>,
        properties: Vec<(String, String)>,
    ) -> Result<wit::TableInfo, Error> {
        self.forward(
            Access::ReadWrite,
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
        self.forward(Access::ReadWrite, "rollback", (table, snapshot_id))
            .await
    }

    async fn drop_table(&mut self, table: wit::TableName) -> Result<(), Error> {
        self.forward(Access::ReadWrite, "drop-table", (table,))
            .await
    }
}
