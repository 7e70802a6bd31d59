//! What a warm instance keeps between requests: the function registry, the
//! optimizer rules, the memory pool and the cache of Parquet footers.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::catalog::Lakehouse;
use crate::functions;
use crate::objects::host_store;
use crate::settings::Settings;
use crate::spill;
use crate::vector_search::{self, VectorSearch};

/// The name of the one catalog.
pub const CATALOG: &str = "lakehouse";

/// The namespace of a table named without one.
pub const DEFAULT_SCHEMA: &str = "default";

/// Where the host preopens the scratch folder.
const SCRATCH: &str = "/tmp";

/// Consumers named when memory runs out.
const NAMED_CONSUMERS: NonZeroUsize = NonZeroUsize::new(3).unwrap();

/// A context for one request, over what the instance has kept.
///
/// # Errors
/// Settings that cannot be used.
pub fn session() -> Result<SessionContext> {
    static TEMPLATE: OnceLock<SessionState> = OnceLock::new();
    let state = match TEMPLATE.get() {
        Some(state) => state,
        None => {
            let state = build(&Settings::load()?)?;
            TEMPLATE.get_or_init(|| state)
        }
    };
    Ok(SessionContext::new_with_state(functions::add_to(state)))
}

/// The URL under which the engine finds the store.
#[must_use]
pub fn store_url() -> ObjectStoreUrl {
    static URL: OnceLock<ObjectStoreUrl> = OnceLock::new();
    URL.get_or_init(|| {
        ObjectStoreUrl::parse("lakehouse://store")
            .unwrap_or_else(|_| ObjectStoreUrl::local_filesystem())
    })
    .clone()
}

fn build(settings: &Settings) -> Result<SessionState> {
    let pool = TrackConsumersPool::new(FairSpillPool::new(settings.memory_limit), NAMED_CONSUMERS);
    let scratch = spill::mode(Path::new(SCRATCH), settings.spill_limit);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(scratch))
        .with_metadata_cache_limit(settings.metadata_cache)
        .build_arc()?;
    runtime.register_object_store(store_url().as_ref(), host_store());

    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, DEFAULT_SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true)
        // One thread: more partitions would only take turns on it.
        .with_target_partitions(1)
        .with_batch_size(settings.batch_size)
        // A sort's last merge needs room; the default is a sixth of a small pool.
        .with_sort_spill_reservation_bytes(settings.memory_limit.min(160 << 20) / 16);
    let options = config.options_mut();
    options.execution.planning_concurrency = 1;
    // Iceberg's timestamps with a zone are all in UTC.
    options.execution.time_zone = Some("UTC".to_owned());
    options.execution.parquet.pushdown_filters = settings.pushdown_filters;
    options.execution.parquet.reorder_filters = settings.pushdown_filters;
    options.sql_parser.collect_spans = true;

    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .build();
    state.register_udtf(vector_search::NAME, Arc::new(VectorSearch));
    state
        .catalog_list()
        .register_catalog(CATALOG.to_owned(), Arc::new(Lakehouse))
        .map_or(Ok(state), |_| {
            Err(DataFusionError::Internal(
                "the catalog was registered before".to_owned(),
            ))
        })
}
