//! What the host offers to plugins: store, catalog, vectors, the functions and formats
//! of other plugins, log, metrics and compression.
//!
//! Each capability implements the runtime's [`Capability`](lakehouse_runtime::Capability)
//! over the interfaces of the `lakehouse:plugin` WIT package. Every call is
//! checked against the grants of the plugin that makes it; failures are one
//! [`Error`], which becomes the WIT `error` variant in one place.

mod bindings;
mod call;
mod catalog;
mod compression;
mod error;
mod formats;
mod functions;
mod grants;
mod log;
mod metrics;
mod remote;
mod self_test;
pub mod store;
mod vectors;

pub use catalog::CatalogCapability;
pub use compression::CompressionCapability;
pub use error::{Error, Kind};
pub use formats::FormatsCapability;
pub use functions::FunctionsCapability;
pub use log::LogCapability;
pub use metrics::MetricsCapability;
pub use remote::Remote;
pub use self_test::self_test;
pub use store::{Store, StoreCapability};
pub use vectors::VectorsCapability;

/// The version of the `lakehouse:plugin` WIT package that this host has.
#[must_use]
pub fn version() -> &'static str {
    // The file that says it is the one that the bindings are made from.
    let package = include_str!("../../../wit/types.wit")
        .lines()
        .find_map(|line| line.strip_prefix("package lakehouse:plugin@"));
    package.map_or("", |version| version.trim_end_matches(';'))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_package_has_a_version() {
        let numbers = super::version().split('.').map(str::parse::<u32>);
        assert_eq!(numbers.filter_map(Result::ok).count(), 3);
    }
}
