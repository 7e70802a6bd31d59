//! The vector service: durable nearest-neighbour indexes.
//!
//! An index is a list of segments. A write goes to the write-ahead log, is
//! flushed together with the writes of whoever else waits, and becomes a small
//! segment that searches look through row by row. In the background such
//! segments are sealed: one file with a navigable graph, never changed after.
//! Replaced and deleted rows are marked dead, with the write that killed them;
//! merges leave them out and keep the segments few. Readers take the list as
//! it stands and never wait for writers or builders.
//!
//! On disk, `<name>~<number>/` holds `manifest.json` (parameters, segments,
//! where the log begins), `segment-*.bin` and `log-*.bin`, each with CRC-32C
//! checksums. Opening reads them all, replays the log, drops a torn end with a
//! warning, and refuses damage to acknowledged data: that index is reported,
//! the others serve.

mod across;
mod attributes;
mod budget;
mod build;
mod builders;
mod column;
mod commit;
mod disk;
mod error;
mod field;
mod filter;
mod gathered;
mod graph;
mod halves;
mod index;
mod kernel;
mod link;
mod log;
mod manifest;
mod mapping;
mod matching;
mod nearest;
mod pace;
mod pool;
mod quantizer;
mod record;
mod recover;
mod rows;
mod rowset;
mod seal;
mod search;
mod searchers;
mod segment;
mod segment_file;
mod segment_file_1;
mod service;
mod sketch;
mod snapshot;
mod types;
mod validate;
mod walk;
mod worker;

pub use error::{Error, ErrorKind, Result};
pub use filter::Filter;
pub use service::{Config, Service};
pub use snapshot::{Restore, Snapshot, SnapshotFile};
pub use types::{
    Added, DamagedIndex, Distance, Durability, Engine, Hit, IndexInfo, IndexSpec, Item,
    Quantization, Query, Recovery, Source, SourceTable, StoredItem,
};
pub use validate::{
    MAX_DIMENSION, MAX_EF, MAX_EF_CONSTRUCTION, MAX_HITS, MAX_ID, MAX_K, MAX_M, MAX_METADATA,
    MAX_NAME, MAX_NORM, MAX_QUERIES, MIN_NORM, name as check_name,
};
