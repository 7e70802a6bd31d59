//! The catalog plugin: Iceberg tables over the store.
//!
//! - One object a table, its pointer, says which metadata file is the newest;
//!   replacing it by a conditional put is a commit ([`commit`]). So any number
//!   of hosts can share a store, and a crash leaves the old table or the new.
//! - Everything else is Iceberg as its specification says, readable by other
//!   engines from the metadata files.
//! - Metadata files are immutable, so a warm instance keeps them decoded
//!   ([`files`]); a pointer is read anew for each call.
//!
//! The logic needs a [`store::Store`] and no host, so unit tests run natively.

pub mod avro_header;
pub mod cache;
pub mod commit;
pub mod external;
pub mod files;
pub mod fit;
pub mod http;
pub mod location;
pub mod manifests;
pub mod names;
pub mod namespaces;
pub mod orphans;
pub mod plan;
pub mod pointer;
pub mod prune;
pub mod retry;
pub mod schema;
pub mod snapshot;
pub mod stats;
pub mod store;
pub mod table;
pub mod table_ops;

#[cfg(target_family = "wasm")]
mod plugin;

#[cfg(test)]
mod tests;
