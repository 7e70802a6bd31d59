//! A segment: rows that never change, with the moment at which each died.
//!
//! Every write to an index has a sequence number. A row is seen by a reader
//! at sequence `s` if it died later than `s`, so readers of an older view see
//! what stood then while a writer marks rows dead.

use std::cmp::Ordering as Order;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::graph::Graph;
use crate::kernel;
use crate::types::Distance;
use crate::validate::Space;

/// Sequence number of a death that has not happened.
pub(crate) const ALIVE: u64 = u64::MAX;

/// Columns of a segment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub ids: Vec<Arc<str>>,
    /// All vectors as they came, one after another.
    pub vectors: Vec<f32>,
    /// Under cosine, one over each vector's length; else empty.
    pub scales: Vec<f32>,
    pub metadata: Vec<Option<Arc<str>>>,
}

impl Rows {
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn push(&mut self, space: Space, id: Arc<str>, vector: &[f32], metadata: Option<Arc<str>>) {
        self.ids.push(id);
        self.vectors.extend_from_slice(vector);
        self.metadata.push(metadata);
        if space.distance == Distance::Cosine {
            self.scales.push((1.0 / kernel::norm(vector)) as f32);
        }
    }

    pub fn extend(&mut self, other: &Self) {
        self.ids.extend(other.ids.iter().map(Arc::clone));
        self.vectors.extend_from_slice(&other.vectors);
        self.scales.extend_from_slice(&other.scales);
        self.metadata.extend(other.metadata.iter().cloned());
    }

    pub fn vector(&self, space: Space, row: usize) -> &[f32] {
        &self.vectors[row * space.dimension..(row + 1) * space.dimension]
    }
}

/// A run of rows, with a graph if it was worth one.
#[derive(Debug)]
pub(crate) struct Segment {
    pub id: u64,
    pub space: Space,
    pub rows: Rows,
    pub graph: Option<Graph>,
    /// Bytes of its file; none if its rows are in the log alone.
    pub file_bytes: Option<u64>,
    died: Vec<AtomicU64>,
    dead: AtomicUsize,
}

/// A row and how near it is; greater is farther, ties broken by row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub score: f32,
    pub row: u32,
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Order {
        let score = self.score.total_cmp(&other.score);
        score.then(self.row.cmp(&other.row))
    }
}

/// A query, prepared to be compared with stored vectors.
pub(crate) struct Probe<'a> {
    distance: Distance,
    /// Under cosine of unit length.
    vector: std::borrow::Cow<'a, [f32]>,
}

impl<'a> Probe<'a> {
    pub fn new(distance: Distance, vector: &'a [f32]) -> Self {
        let vector = match distance {
            Distance::Cosine => unit(vector).into(),
            Distance::L2 | Distance::Dot => vector.into(),
        };
        Self { distance, vector }
    }
}

/// The vector at length 1.
pub(crate) fn unit(vector: &[f32]) -> Vec<f32> {
    let norm = kernel::norm(vector);
    let scaled = vector.iter().map(|x| (f64::from(*x) / norm) as f32);
    scaled.collect()
}

impl Segment {
    pub fn new(id: u64, space: Space, rows: Rows) -> Self {
        let died = (0..rows.len()).map(|_| AtomicU64::new(ALIVE)).collect();
        Self {
            id,
            space,
            rows,
            graph: None,
            file_bytes: None,
            died,
            dead: AtomicUsize::new(0),
        }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn vector(&self, row: usize) -> &[f32] {
        self.rows.vector(self.space, row)
    }

    /// When the row died, [`ALIVE`] if it did not.
    pub fn died(&self, row: usize) -> u64 {
        self.died[row].load(Ordering::Acquire)
    }

    /// Marks a row dead from `seq` on.
    pub fn kill(&self, row: usize, seq: u64) {
        if self.died[row].swap(seq, Ordering::AcqRel) == ALIVE {
            self.dead.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Rows that have died by now.
    pub fn dead(&self) -> usize {
        self.dead.load(Ordering::Relaxed)
    }

    /// Whether a reader at `seq` sees the row.
    pub fn live_at(&self, row: usize, seq: u64) -> bool {
        self.died(row) > seq
    }

    /// Rows that a reader at `seq` sees.
    pub fn live(&self, seq: u64) -> impl Iterator<Item = usize> + '_ {
        (0..self.len()).filter(move |row| self.live_at(*row, seq))
    }

    /// A segment of this one's rows and then the other's, under this one's
    /// id, so that its own rows keep their places.
    pub fn joined(&self, other: &Self) -> Self {
        let mut rows = self.rows.clone();
        rows.extend(&other.rows);
        let joined = Self::new(self.id, self.space, rows);
        let deaths = self.died.iter().chain(&other.died);
        for (row, death) in deaths.map(|d| d.load(Ordering::Acquire)).enumerate() {
            if death != ALIVE {
                joined.kill(row, death);
            }
        }
        joined
    }

    /// How near a row is: orders rows as the distance does, in single
    /// precision.
    #[inline]
    pub fn score(&self, probe: &Probe<'_>, row: usize) -> f32 {
        let vector = self.vector(row);
        match probe.distance {
            Distance::L2 => kernel::l2(&probe.vector, vector),
            Distance::Dot => -kernel::dot(&probe.vector, vector),
            Distance::Cosine => -kernel::dot(&probe.vector, vector) * self.rows.scales[row],
        }
    }

    /// The nearest `k` live rows that `accept` takes, found by looking at
    /// every row. `accept` may be slow: it is asked from the nearest on, and
    /// no more often than needed.
    pub fn scan(
        &self,
        probe: &Probe<'_>,
        k: usize,
        seq: u64,
        accept: Option<&dyn Fn(usize) -> bool>,
    ) -> Vec<Candidate> {
        let scored = self.live(seq).map(|row| Candidate {
            score: self.score(probe, row),
            row: row as u32,
        });
        let Some(accept) = accept else {
            return nearest(scored, k);
        };
        let mut heap: BinaryHeap<_> = scored.map(std::cmp::Reverse).collect::<Vec<_>>().into();
        let mut found = Vec::new();
        while found.len() < k
            && let Some(std::cmp::Reverse(candidate)) = heap.pop()
        {
            if accept(candidate.row as usize) {
                found.push(candidate);
            }
        }
        found
    }

    /// The nearest `k` live rows that `accept` takes, by the graph where
    /// there is one and it yields enough, else exactly.
    pub fn search(
        &self,
        probe: &Probe<'_>,
        k: usize,
        ef: usize,
        seq: u64,
        accept: Option<&dyn Fn(usize) -> bool>,
    ) -> Vec<Candidate> {
        /// How much wider a filtered walk is before the scan takes over.
        const FILTERED: usize = 8;
        let width = ef.max(k) * if accept.is_some() { FILTERED } else { 1 };
        if let Some(graph) = &self.graph
            && width < self.len() / 2
        {
            let mut found = graph.search(
                width,
                |row| self.score(probe, row as usize),
                |row| self.live_at(row as usize, seq),
            );
            if let Some(accept) = accept {
                let mut wanted = k;
                found.retain(|candidate| {
                    let taken = wanted > 0 && accept(candidate.row as usize);
                    wanted -= usize::from(taken);
                    taken
                });
            }
            if found.len() >= k {
                found.truncate(k);
                return found;
            }
        }
        self.scan(probe, k, seq, accept)
    }
}

/// The `k` smallest, in order.
fn nearest(candidates: impl Iterator<Item = Candidate>, k: usize) -> Vec<Candidate> {
    let mut heap = BinaryHeap::new();
    for candidate in candidates {
        if heap.len() < k {
            heap.push(candidate);
        } else if let Some(mut worst) = heap.peek_mut()
            && candidate < *worst
        {
            *worst = candidate;
        }
    }
    heap.into_sorted_vec()
}
