//! What goes in and comes out of the service.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::filter::Filter;

/// How far two vectors are apart. Smaller is nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Distance {
    /// 1 - cos of the angle, 0 to 2.
    Cosine,
    /// Squared Euclidean.
    L2,
    /// Negative inner product.
    Dot,
}

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cosine => "cosine",
            Self::L2 => "l2",
            Self::Dot => "dot",
        })
    }
}

/// In what form vectors are held beside the one they came in, to be searched
/// by. Answers are always computed from the vectors as they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantization {
    /// In no other.
    #[default]
    None,
    /// As 16-bit floats: about half as much memory and disk again, and faster where
    /// the vectors do not fit the processor's caches.
    F16,
    /// As 8-bit integers: about a quarter more memory and disk, and faster yet.
    Int8,
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The end of the process and of the machine: the log is flushed before
    /// a write is acknowledged, once for all writes that wait.
    #[default]
    Fsync,
    /// The end of the process: the system flushes the log in its own time. A
    /// machine that fails may lose the last writes, never whole segments.
    Os,
}

/// What builds the graphs of sealed segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// This crate.
    #[default]
    Own,
    /// The crate `hnsw_rs`.
    HnswRs,
}

/// An index to make.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexSpec {
    /// 1 to 128 of `A-Z a-z 0-9 _ . -`, not starting with a dot.
    pub name: String,
    /// Components of every vector, 1 to [`MAX_DIMENSION`](crate::MAX_DIMENSION).
    pub dimension: usize,
    /// How vectors compare.
    pub distance: Distance,
    /// Links of a graph node, 2 to [`MAX_M`](crate::MAX_M); 16 when left out.
    #[serde(default)]
    pub m: Option<usize>,
    /// Candidates looked at for a new graph node, 1 to
    /// [`MAX_EF_CONSTRUCTION`](crate::MAX_EF_CONSTRUCTION); 200 when left out.
    #[serde(default)]
    pub ef_construction: Option<usize>,
    /// In what form vectors are searched; none when left out.
    #[serde(default)]
    pub quantization: Quantization,
}

impl IndexSpec {
    /// One with what is taken where nothing is said.
    pub fn new(name: impl Into<String>, dimension: usize, distance: Distance) -> Self {
        Self {
            name: name.into(),
            dimension,
            distance,
            m: None,
            ef_construction: None,
            quantization: Quantization::default(),
        }
    }
}

/// An index as it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IndexInfo {
    /// Its name.
    pub name: String,
    /// Components of every vector in it.
    pub dimension: usize,
    /// How vectors compare.
    pub distance: Distance,
    /// Links of a graph node.
    pub m: usize,
    /// Candidates looked at for a new graph node.
    pub ef_construction: usize,
    /// In what form vectors are searched.
    pub quantization: Quantization,
    /// Live items.
    pub count: u64,
    /// Segments, those without a graph included.
    pub segments: usize,
    /// Bytes on disk: log and segment files.
    pub bytes: u64,
    /// Bytes that lie in memory alone: rows in no segment file yet, and what
    /// finds rows by id.
    pub memory: u64,
    /// Rows whose graph was built since it was opened.
    pub built_rows: u64,
    /// Seconds that this took.
    pub build_seconds: f64,
    /// What opening it found.
    pub recovery: Recovery,
    /// The query that it was last filled from, if it ever was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// The query that an index was last filled from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The query.
    pub sql: String,
    /// The tables that it read, and the snapshots that they were at.
    pub tables: Vec<SourceTable>,
    /// Rows that it gave.
    pub rows: u64,
    /// Milliseconds since 1970-01-01T00:00:00Z at which filling ended, or
    /// began if it did not end.
    pub loaded_at: u64,
    /// Whether all of the rows were added. If not, some of them may be there.
    pub complete: bool,
}

/// A table as a query read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceTable {
    /// Its namespace and name, with a dot between them.
    pub table: String,
    /// Its snapshot.
    pub snapshot_id: i64,
}

/// What opening an index found in its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// Writes that were replayed: those that no segment file holds.
    pub replayed: u64,
    /// Bytes of the log's torn end, which were dropped: a write that was
    /// never acknowledged, or the last one, if its record was damaged since.
    pub dropped_bytes: u64,
}

/// An index that could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DamagedIndex {
    /// Its name.
    pub name: String,
    /// What is wrong with which file.
    pub detail: String,
}

/// One item to add or replace.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// 1 to [`MAX_ID`](crate::MAX_ID) bytes.
    pub id: String,
    /// As many finite numbers as the index has dimensions.
    pub vector: Vec<f32>,
    /// A JSON object as text; `None` keeps what was there, `{}` clears it.
    pub metadata: Option<String>,
}

/// What an addition did, counting every id once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Added {
    /// Ids that were new.
    pub added: u64,
    /// Ids that were there and got a new vector.
    pub updated: u64,
}

/// What to search for.
#[derive(Clone, Debug)]
pub struct Query {
    /// As many finite numbers as the index has dimensions.
    pub vector: Vec<f32>,
    /// Results wanted, 1 to [`MAX_K`](crate::MAX_K). All of them come back
    /// whenever that many live items match.
    pub k: usize,
    /// Candidates kept while walking a graph, 1 to
    /// [`MAX_EF`](crate::MAX_EF); more finds more of the true nearest.
    /// At least `k` is used. So many that looking at every item is less work
    /// have that done.
    pub ef: Option<usize>,
    /// Only items whose metadata match.
    pub filter: Option<Filter>,
    /// Whether the hits carry their vectors.
    pub with_vectors: bool,
}

impl Query {
    /// One for the nearest `k` of all items.
    pub fn new(vector: impl Into<Vec<f32>>, k: usize) -> Self {
        Self {
            vector: vector.into(),
            k,
            ef: None,
            filter: None,
            with_vectors: false,
        }
    }
}

/// One item found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The item.
    pub id: Arc<str>,
    /// Its distance from the query, computed from the stored vector in
    /// double precision and then rounded.
    pub distance: f32,
    /// Its metadata as it came, a JSON object as text.
    pub metadata: Option<Arc<str>>,
    /// Its vector, if the query asked for it.
    pub vector: Option<Vec<f32>>,
}

/// One item as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredItem {
    /// Its id.
    pub id: Arc<str>,
    /// Its vector as it came.
    pub vector: Vec<f32>,
    /// Its metadata as it came, a JSON object as text.
    pub metadata: Option<Arc<str>>,
}
