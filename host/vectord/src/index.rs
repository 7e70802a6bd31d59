//! One index: what readers see, and how they read it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};

use crate::commit::{Pending, Writer};
use crate::error::{Error, Result};
use crate::kernel;
use crate::rows;
use crate::segment::{Probe, Segment};
use crate::types::{Durability, Engine, Hit, IndexInfo, Query, StoredItem};
use crate::validate::{self, MAX_EF, MAX_K, Spec};
use crate::worker::Worker;

/// Candidates kept when the query does not say.
const DEFAULT_EF: usize = 64;
/// Most components of all vectors in one answer.
const MAX_COMPONENTS: usize = 1 << 23;

/// What stands at one moment. Writers put a new one in its place; readers
/// keep theirs as long as they like.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// The last write in it.
    pub seq: u64,
    /// Sealed segments first, then those whose rows are in the log alone, by
    /// age.
    pub segments: Vec<Arc<Segment>>,
    /// Live items.
    pub count: u64,
}

impl View {
    /// The live row of an item, and its segment.
    pub fn find(&self, id: &str) -> Option<(&Arc<Segment>, usize)> {
        find(&self.segments, id, self.seq)
    }
}

/// The row of an item that a reader at `seq` sees. Of all rows of an id one at
/// most is live at any moment.
pub(crate) fn find<'a>(
    segments: &'a [Arc<Segment>],
    id: &str,
    seq: u64,
) -> Option<(&'a Arc<Segment>, usize)> {
    let hash = rows::hash(id);
    // What is asked for is often young, and that is at the end.
    let mut from_young = segments.iter().rev();
    from_young.find_map(|segment| Some((segment, segment.find(id, hash, seq)?)))
}

/// An open index.
///
/// Locks are taken in this order: `writer`, `view`. Only the holder of
/// `writer` puts a new view in place.
#[derive(Debug)]
pub(crate) struct Index {
    pub spec: Spec,
    pub folder: PathBuf,
    /// Unsealed rows at which a segment is sealed.
    pub seal_rows: usize,
    pub engine: Engine,
    pub durability: Durability,
    pub worker: Arc<Worker>,
    /// The index itself, for the worker's queue.
    pub itself: Weak<Index>,
    pub view: RwLock<Arc<View>>,
    pub queue: Mutex<Vec<Pending>>,
    pub writer: Mutex<Writer>,
    /// Set when background work on it should end.
    pub stop: AtomicBool,
    /// Set while it waits for background work or has some under way.
    pub queued: AtomicBool,
    /// Bytes of the log files.
    pub log_bytes: AtomicU64,
}

impl Index {
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read())
    }

    pub fn info(&self) -> IndexInfo {
        let view = self.view();
        let files = view.segments.iter().filter_map(|s| s.file_bytes);
        IndexInfo {
            name: self.spec.name.clone(),
            dimension: self.spec.space.dimension,
            distance: self.spec.space.distance,
            m: self.spec.m,
            ef_construction: self.spec.ef_construction,
            quantization: self.spec.quantization,
            count: view.count,
            segments: view.segments.len(),
            bytes: files.sum::<u64>() + self.log_bytes.load(Ordering::Relaxed),
        }
    }

    pub fn item(&self, id: &str) -> Result<StoredItem> {
        validate::id(id).map_err(Error::invalid)?;
        let view = self.view();
        let Some((segment, row)) = view.find(id) else {
            return Err(self.no_item(id));
        };
        Ok(StoredItem {
            id: segment.rows.shared_id(row),
            vector: segment.vector(row).to_vec(),
            metadata: segment.rows.metadata.shared(row),
        })
    }

    pub fn no_item(&self, id: &str) -> Error {
        Error::not_found(format!(
            "index {} has no item {:?}",
            self.spec.name,
            validate::short(id)
        ))
    }

    pub fn search(&self, query: &Query) -> Result<Vec<Hit>> {
        let within = |what: &str, value: usize, most: usize| {
            if (1..=most).contains(&value) {
                return Ok(value);
            }
            Err(Error::invalid(format!(
                "{what} must be 1 to {most}, not {value}"
            )))
        };
        let k = within("k", query.k, MAX_K)?;
        let ef = within("ef", query.ef.unwrap_or(DEFAULT_EF), MAX_EF)?;
        validate::vector(self.spec.space, &query.vector)
            .map_err(|why| Error::invalid(format!("the query: {why}")))?;
        let distance = self.spec.space.distance;
        let view = self.view();
        let probe = Probe::new(distance, &query.vector, k, ef, view.seq);
        let mut found = Vec::new();
        for segment in &view.segments {
            let matches = query
                .filter
                .as_ref()
                .map(|filter| move |row: usize| filter.matches(segment.rows.metadata.get(row)));
            let accept = matches.as_ref().map(|f| f as &dyn Fn(usize) -> bool);
            for row in segment.search(&probe, accept) {
                let exact = kernel::exact(distance, &query.vector, segment.vector(row));
                found.push((exact, segment, row));
            }
        }
        found.sort_unstable_by(|a, b| {
            let ids = || a.1.rows.id(a.2).cmp(b.1.rows.id(b.2));
            a.0.total_cmp(&b.0).then_with(ids)
        });
        found.truncate(k);
        let components = found.len() * self.spec.space.dimension;
        if query.with_vectors && components > MAX_COMPONENTS {
            return Err(Error::invalid(format!(
                "{} vectors of {} components are more than one answer carries ({MAX_COMPONENTS} components): ask for fewer, or without vectors",
                found.len(),
                self.spec.space.dimension
            )));
        }
        let hits = found.into_iter().map(|(exact, segment, row)| Hit {
            id: segment.rows.shared_id(row),
            distance: exact as f32,
            metadata: segment.rows.metadata.shared(row),
            vector: query.with_vectors.then(|| segment.vector(row).to_vec()),
        });
        Ok(hits.collect())
    }
}
