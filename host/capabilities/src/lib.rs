//! What the host offers to plugins: store, catalog, vectors, the functions and formats
//! of other plugins, log, metrics and compression.
//!
//! Each capability implements the runtime's [`Capability`](lakehouse_runtime::Capability)
//! over the interfaces of the `lakehouse:plugin` WIT package. Every call is
//! checked against the grants of the plugin that makes it; failures are one
//! [`Error`], which becomes the WIT `error` variant in one place.

mod bindings;
mod catalog;
mod compression;
mod error;
mod formats;
mod functions;
mod grants;
mod log;
mod metrics;
mod self_test;
mod remote;
pub mod store;
mod vectors;

pub use catalog::CatalogCapability;
pub use compression::CompressionCapability;
pub use error::{Error, Kind};
pub use formats::FormatsCapability;
pub use functions::FunctionsCapability;
pub use log::LogCapability;
pub use metrics::MetricsCapability;
pub use self_test::self_test;
pub use store::{Store, StoreCapability};
pub use vectors::VectorsCapability;
