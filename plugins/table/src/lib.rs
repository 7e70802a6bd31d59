//! Writing Arrow batches as an Iceberg table's Parquet data files.
//!
//! Three steps, in the order a writer takes them:
//! 1. [`normalise_schema`] turns any Arrow schema into one that Iceberg v2 can
//!    hold; it goes to `catalog.prepare-write` as the bytes of [`schema_to_ipc`].
//! 2. [`TableWriter`] takes the schema that comes back and batches of any
//!    schema that fits it, aligns and casts them by column name ([`align`]),
//!    and streams Parquet files into the store.
//! 3. [`TableWriter::finish`] returns the [`DataFile`](lakehouse_sdk::catalog::DataFile)
//!    records, with column statistics, for `catalog.commit`.
//!
//! [`ipc`] is how schemas and batches travel.
//! Readers find the columns of a data file with [`ColumnsById`].
//!
//! Whoever links this crate into a component has the host decompress zstd, and must
//! say so to the linker in its build script:
//! `cargo::rustc-link-arg-cdylib=--wrap=ZSTD_decompressDCtx`.

mod align;
mod by_id;
mod error;
pub mod ipc;
mod name_mapping;
mod normalise;
mod sink;
mod stats;
mod writer;
#[cfg(target_family = "wasm")]
mod zstd;

pub use align::align;
pub use by_id::{ColumnsById, field_id};
pub use error::Error;
pub use ipc::{schema_from_ipc, schema_to_ipc};
pub use normalise::{normalise_batch, normalise_schema, normalise_type};
pub use sink::{FileSink, Files, StoreFiles};
pub use writer::{TableWriter, WriteOptions};
