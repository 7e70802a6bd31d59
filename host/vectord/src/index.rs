//! One index: what readers see, and how they read it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use crate::across::Across;
use crate::budget::{Budget, Held};
use crate::builders::Builders;
use crate::commit::{Pending, Writer};
use crate::error::{Error, Result};
use crate::pace::Pace;
use crate::rows::IdHash;
use crate::search::Probe;
use crate::searchers::Searchers;
use crate::segment::Segment;
use crate::types::{Durability, Engine, Hit, IndexInfo, Query, Recovery, Source, StoredItem};
use crate::validate::{self, MAX_EF, MAX_HITS, MAX_K, MAX_QUERIES, Spec};
use crate::worker::Worker;

/// Candidates kept when the query does not say.
const DEFAULT_EF: usize = 64;
/// Most components of all vectors in one answer.
const MAX_COMPONENTS: usize = 1 << 23;

/// What stands at one moment. Writers put a new one in its place; readers
/// keep theirs as long as they like.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// The last write in it.
    pub seq: u64,
    /// Sealed segments first, then those whose rows are in the log alone, by
    /// age.
    pub segments: Vec<Arc<Segment>>,
    /// Live items.
    pub count: u64,
    /// Unsealed segments up to this one are being sealed.
    pub sealing: u64,
    /// Unsealed segments up to this one stay as they are: they are being sealed or
    /// linked.
    pub fixed: u64,
}

impl View {
    /// Segments whose rows are in the log alone, by age.
    pub fn unsealed(&self) -> impl Iterator<Item = &Arc<Segment>> {
        let segments = self.segments.iter();
        segments.filter(|segment| segment.file_bytes.is_none())
    }

    /// Those that are not being sealed.
    pub fn tail(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.unsealed().filter(|segment| segment.id > self.sealing)
    }

    /// How many rows are in the log alone, and how many bytes of memory they hold.
    pub fn backlog(&self) -> (usize, u64) {
        self.unsealed().fold((0, 0), |(rows, bytes), segment| {
            (rows + segment.len(), bytes + segment.memory() as u64)
        })
    }

    /// The live row of an item, and its segment.
    pub fn find(&self, id: &str) -> Option<(&Arc<Segment>, usize)> {
        find(&self.segments, id, self.seq)
    }

    /// What [`View::find`] gives for each of some ids, whose hashes are given too.
    pub fn find_each(&self, ids: &[(&str, IdHash)]) -> Vec<Option<(&Arc<Segment>, usize)>> {
        let mut found = vec![None; ids.len()];
        let mut missing: Vec<usize> = (0..ids.len()).collect();
        // One segment after the other, for its table to be at hand.
        for segment in self.segments.iter().rev() {
            missing.retain(|at| {
                let (id, hash) = ids[*at];
                let row = segment.find(id, hash, self.seq);
                found[*at] = row.map(|row| (segment, row));
                row.is_none()
            });
        }
        found
    }
}

/// The row of an item that a reader at `seq` sees. Of all rows of an id one at
/// most is live at any moment.
pub(crate) fn find<'a>(
    segments: &'a [Arc<Segment>],
    id: &str,
    seq: u64,
) -> Option<(&'a Arc<Segment>, usize)> {
    let hash = IdHash::of(id);
    // What is asked for is often young, and that is at the end.
    let mut from_young = segments.iter().rev();
    from_young.find_map(|segment| Some((segment, segment.find(id, hash, seq)?)))
}

/// What works for an index in the background.
#[derive(Debug)]
pub(crate) struct Threads {
    /// Seals and merges.
    pub worker: Arc<Worker>,
    /// Links rows that are in the log alone.
    pub linker: Arc<Worker>,
    pub builders: Arc<Builders>,
}

/// An open index.
///
/// Locks are taken in this order: `linking`, `writer`, `view`. Only the holder of
/// `writer` puts a new view in place.
#[derive(Debug)]
pub(crate) struct Index {
    pub spec: Spec,
    pub folder: PathBuf,
    /// Unsealed rows at which a segment is sealed.
    pub seal_rows: usize,
    /// Rows up to which segments are merged.
    pub merge_rows: usize,
    pub engine: Engine,
    pub durability: Durability,
    pub threads: Threads,
    /// The index itself, for their queues.
    pub itself: Weak<Index>,
    pub view: RwLock<Arc<View>>,
    pub queue: Mutex<Vec<Pending>>,
    pub writer: Mutex<Writer>,
    /// Set when background work on it should end.
    pub stop: AtomicBool,
    /// Set when what is built patiently should be given up.
    pub halt: AtomicBool,
    /// Set when links that are made patiently should be given up.
    pub halt_links: AtomicBool,
    /// Set while it waits for background work or has some under way.
    pub queued: AtomicBool,
    /// Held while rows are being linked, and when it is chosen which to seal; before
    /// this moment none are linked, since that failed.
    pub linking: Mutex<Option<Instant>>,
    /// Set while it waits for the linker.
    pub links_queued: AtomicBool,
    /// Bytes of the log files.
    pub log_bytes: AtomicU64,
    pub budget: Arc<Budget>,
    pub held: Held,
    /// What opening it found; there once it is open.
    pub recovery: OnceLock<Recovery>,
    /// The query that it was last filled from. Taken after `writer`.
    pub source: Mutex<Option<Source>>,
    /// Rows whose graph was built, and the time that this took.
    pub built: Mutex<(u64, Duration)>,
    /// When it was opened.
    pub opened: Instant,
    /// Milliseconds from then to the last search; 0 if there was none.
    pub searched: AtomicU64,
    /// How long its searches take.
    pub pace: Pace,
}

impl Index {
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read())
    }

    pub fn info(&self) -> IndexInfo {
        let view = self.view();
        let files = view.segments.iter().filter_map(|s| s.file_bytes);
        let (built_rows, build_time) = *self.built.lock();
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
            memory: self.held.get(),
            built_rows,
            build_seconds: build_time.as_secs_f64(),
            recovery: self.recovery.get().copied().unwrap_or_default(),
            source: self.source.lock().clone(),
        }
    }

    /// Ends background work on it.
    pub fn end(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.halt.store(true, Ordering::SeqCst);
        self.halt_links.store(true, Ordering::SeqCst);
    }

    /// Whether a search came within some time.
    pub fn searched_within(&self, time: Duration) -> bool {
        let last = self.searched.load(Ordering::Relaxed);
        let now = self.opened.elapsed().as_millis() as u64;
        last > 0 && now.saturating_sub(last) < time.as_millis() as u64
    }

    /// Counts the memory of a view that was just put in place.
    pub fn note_memory(&self, view: &View) {
        let bytes: usize = view.segments.iter().map(|segment| segment.memory()).sum();
        self.budget.note(&self.held, bytes as u64);
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
        let (k, ef) = self
            .bounds(query)
            .map_err(|why| Error::invalid(why.of("the query")))?;
        self.find(&self.view(), query, k, ef)
    }

    /// Whether a search is likely to be over in a moment.
    pub fn is_quick(&self, query: &Query) -> bool {
        Pace::is_plain(query) && self.pace.is_quick()
    }

    /// Searches for each on this thread, all in the same view.
    pub fn search_here(&self, queries: &[Query]) -> Result<Vec<Vec<Hit>>> {
        let bounds = self.bounds_of_all(queries)?;
        let view = self.view();
        let each = queries.iter().zip(bounds);
        self.checked(each.map(|(query, (k, ef))| self.find(&view, query, k, ef)))
    }

    /// The same with others' help.
    pub fn search_shared(
        self: &Arc<Self>,
        queries: &Arc<[Query]>,
        searchers: &Searchers,
    ) -> Result<Vec<Vec<Hit>>> {
        let bounds = self.bounds_of_all(queries)?;
        let (index, view, queries) = (Arc::clone(self), self.view(), Arc::clone(queries));
        let found = searchers.map(queries.len(), move |number| {
            let (k, ef) = bounds[number];
            index.find(&view, &queries[number], k, ef)
        });
        self.checked(found?.into_iter())
    }

    /// How many to find and how wide to look for each, if no query and not all of them
    /// together break a rule.
    fn bounds_of_all(&self, queries: &[Query]) -> Result<Vec<(usize, usize)>> {
        if queries.len() > MAX_QUERIES {
            return Err(Error::invalid(format!(
                "{} queries in a search, at most {MAX_QUERIES} are allowed",
                queries.len()
            )));
        }
        let mut bounds = Vec::with_capacity(queries.len());
        let mut hits = 0;
        for (number, query) in queries.iter().enumerate() {
            let checked = self.bounds(query);
            let (k, ef) =
                checked.map_err(|why| Error::invalid(why.of(&format!("query {number}"))))?;
            bounds.push((k, ef));
            hits += k;
        }
        if hits > MAX_HITS {
            return Err(Error::invalid(format!(
                "{hits} results of {} queries, at most {MAX_HITS} are allowed in a search",
                queries.len()
            )));
        }
        Ok(bounds)
    }

    /// What was found for each query, if one answer carries it.
    fn checked(&self, found: impl Iterator<Item = Result<Vec<Hit>>>) -> Result<Vec<Vec<Hit>>> {
        let found = found.collect::<Result<Vec<_>>>()?;
        let hits = found.iter().flatten();
        let vectors = hits.filter_map(|hit| hit.vector.as_ref());
        self.check_components(vectors.map(Vec::len).sum())?;
        Ok(found)
    }

    /// How many to find and how wide to look, if the query breaks no rule.
    fn bounds(&self, query: &Query) -> Result<(usize, usize), Broken> {
        let within = |what: &str, value: usize, most: usize| {
            if (1..=most).contains(&value) {
                return Ok(value);
            }
            Err(Broken::Bound(format!(
                "{what} must be 1 to {most}, not {value}"
            )))
        };
        let k = within("k", query.k, MAX_K)?;
        let ef = within("ef", query.ef.unwrap_or(DEFAULT_EF), MAX_EF)?;
        validate::vector(self.spec.space, &query.vector).map_err(Broken::Vector)?;
        Ok((k, ef))
    }

    fn check_components(&self, components: usize) -> Result<()> {
        if components <= MAX_COMPONENTS {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{} vectors of {} components are more than one answer carries ({MAX_COMPONENTS} components): ask for fewer, or without vectors",
            components / self.spec.space.dimension,
            self.spec.space.dimension
        )))
    }

    fn find(&self, view: &View, query: &Query, k: usize, ef: usize) -> Result<Vec<Hit>> {
        let began = self.opened.elapsed();
        let now = began.as_millis() as u64;
        self.searched.store(now.max(1), Ordering::Relaxed);
        self.request_links(view);
        let distance = self.spec.space.distance;
        let across = Across {
            probe: Probe::new(distance, &query.vector, k, view.seq),
            vector: &query.vector,
            filter: query.filter.as_ref(),
            ef,
        };
        let found = across.nearest(&view.segments);
        if Pace::is_plain(query) {
            self.pace.note(self.opened.elapsed().saturating_sub(began));
        }
        if query.with_vectors {
            self.check_components(found.len() * self.spec.space.dimension)?;
        }
        let hits = found.into_iter().map(|found| {
            let (segment, row) = (found.segment, found.row);
            Hit {
                id: segment.rows.shared_id(row),
                distance: found.distance as f32,
                metadata: segment.rows.metadata.shared(row),
                vector: query.with_vectors.then(|| segment.vector(row).to_vec()),
            }
        });
        Ok(hits.collect())
    }
}

/// The rule that a query breaks.
enum Broken {
    /// Of its bounds.
    Bound(String),
    /// Of its vector; the text has no subject yet.
    Vector(String),
}

impl Broken {
    fn of(&self, query: &str) -> String {
        match self {
            Self::Bound(why) => why.clone(),
            Self::Vector(why) => format!("{query}: {why}"),
        }
    }
}
