//! One index: what readers see, and how they read it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};

use crate::commit::{Pending, Writer};
use crate::error::{Error, Result};
use crate::kernel;
use crate::segment::{Probe, Segment};
use crate::types::{Hit, IndexInfo, Query, StoredItem};
use crate::validate::{self, MAX_EF, MAX_K, Spec};
use crate::worker::Worker;

/// Candidates kept when the query does not say.
const DEFAULT_EF: usize = 64;
/// Most components of all vectors in one answer.
const MAX_COMPONENTS: usize = 1 << 23;
/// Candidates taken beyond `k` of each segment: single precision ranks them,
/// double precision decides.
const SLACK: usize = 4;

/// What stands at one moment. Writers put a new one in its place; readers
/// keep theirs as long as they like.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// The last write in it.
    pub seq: u64,
    /// Sealed segments first, then those whose rows are in the log alone, by
    /// age.
    pub segments: Vec<Arc<Segment>>,
}

impl View {
    pub fn segment(&self, id: u64) -> Option<&Arc<Segment>> {
        self.segments.iter().find(|segment| segment.id == id)
    }
}

/// Where an item's live row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub segment: u64,
    pub row: u32,
}

/// An open index.
///
/// Locks are taken in this order: `writer`, `locator`, `view`. Only the
/// holder of `writer` changes the other two, and publishes a view while
/// holding `locator`, so that a location read always fits the view read after
/// it.
#[derive(Debug)]
pub(crate) struct Index {
    pub spec: Spec,
    pub folder: PathBuf,
    /// Unsealed rows at which a segment is sealed.
    pub seal_rows: usize,
    pub worker: Arc<Worker>,
    /// The index itself, for the worker's queue.
    pub itself: Weak<Index>,
    pub locator: RwLock<HashMap<Arc<str>, Location>>,
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
            count: self.locator.read().len() as u64,
            segments: view.segments.len(),
            bytes: files.sum::<u64>() + self.log_bytes.load(Ordering::Relaxed),
        }
    }

    pub fn item(&self, id: &str) -> Result<StoredItem> {
        validate::id(id).map_err(Error::invalid)?;
        let locator = self.locator.read();
        let place = locator.get(id).copied();
        let view = self.view();
        drop(locator);
        let found = place.and_then(|place| Some((view.segment(place.segment)?, place.row)));
        let Some((segment, row)) = found else {
            return Err(self.no_item(id));
        };
        let row = row as usize;
        Ok(StoredItem {
            id: Arc::clone(&segment.rows.ids[row]),
            vector: segment.vector(row).to_vec(),
            metadata: segment.rows.metadata[row].clone(),
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
        let probe = Probe::new(distance, &query.vector);
        let view = self.view();
        let mut found = Vec::new();
        for segment in &view.segments {
            let matches = query.filter.as_ref().map(|filter| {
                move |row: usize| filter.matches(segment.rows.metadata[row].as_deref())
            });
            let accept = matches.as_ref().map(|f| f as &dyn Fn(usize) -> bool);
            for candidate in segment.search(&probe, k + SLACK, ef, view.seq, accept) {
                let row = candidate.row as usize;
                let exact = kernel::exact(distance, &query.vector, segment.vector(row));
                found.push((exact, segment, row));
            }
        }
        found.sort_unstable_by(|a, b| {
            let ids = || a.1.rows.ids[a.2].cmp(&b.1.rows.ids[b.2]);
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
            id: Arc::clone(&segment.rows.ids[row]),
            distance: exact as f32,
            metadata: segment.rows.metadata[row].clone(),
            vector: query.with_vectors.then(|| segment.vector(row).to_vec()),
        });
        Ok(hits.collect())
    }
}
