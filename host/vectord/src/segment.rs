//! A segment: rows that never change, with the moment at which each died.
//!
//! Every write to an index has a sequence number. A row is seen by a reader
//! at sequence `s` if it died later than `s`, so readers of an older view see
//! what stood then while a writer marks rows dead.

use std::borrow::Cow;
use std::cell::RefCell;
use std::cmp::Ordering as Order;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::column::Column;
use crate::field::{CodeForm, Codes, Field, FloatProbe, Floats, stride};
use crate::graph::Graph;
use crate::kernel;
use crate::quantizer::Quantizer;
use crate::rows::Rows;
use crate::types::Distance;
use crate::validate::Space;
use crate::walk::Scratch;

/// Sequence number of a death that has not happened.
pub(crate) const ALIVE: u64 = u64::MAX;
/// Rows given beyond those wanted: single precision ranks them, double
/// precision decides.
const SLACK: usize = 4;
/// Rows scored at once in a scan.
const CHUNK: usize = 256;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// A run of rows, with a graph if it was worth one.
#[derive(Debug)]
pub(crate) struct Segment {
    pub id: u64,
    pub space: Space,
    pub rows: Rows,
    pub sealed: Option<Sealed>,
    /// Bytes of its file; none if its rows are in the log alone.
    pub file_bytes: Option<u64>,
    /// Whether its file is of an earlier version and is to be written again.
    pub stale: bool,
    died: Vec<AtomicU64>,
    dead: AtomicUsize,
}

/// What was built to search a segment's rows.
#[derive(Debug)]
pub(crate) struct Sealed {
    /// Its nodes are the first rows.
    pub graph: Graph,
    /// For each row after the nodes, the node whose vector it shares; rising.
    pub twins: Column<u32>,
    /// The nodes' vectors as codes.
    pub coded: Option<Coded>,
}

/// Rows in 8 bits a component.
#[derive(Debug)]
pub(crate) struct Coded {
    pub quantizer: Quantizer,
    pub codes: Column<i8>,
    /// See [`Codes`].
    pub bias: Column<f32>,
}

impl Sealed {
    /// Calls `take` with a node and the rows that share its vector, until it
    /// returns false.
    fn each_row(&self, node: u32, mut take: impl FnMut(usize) -> bool) -> bool {
        if !take(node as usize) {
            return false;
        }
        let first = self.twins.partition_point(|of| *of < node);
        let twins = self.twins[first..].iter().take_while(|of| **of == node);
        let nodes = self.graph.nodes();
        (first..).zip(twins).all(|(at, _)| take(nodes + at))
    }
}

/// A row and how near it is; greater is farther, ties broken by row.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Candidate {
    score: f32,
    row: u32,
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

/// The vector at length 1.
pub(crate) fn unit(vector: &[f32]) -> Vec<f32> {
    let norm = kernel::norm(vector);
    let scaled = vector.iter().map(|x| (f64::from(*x) / norm) as f32);
    scaled.collect()
}

/// What to search a segment for.
pub(crate) struct Probe<'a> {
    /// Under cosine of unit length.
    vector: Cow<'a, [f32]>,
    /// Rows wanted.
    pub k: usize,
    /// Candidates kept in a walk.
    pub ef: usize,
    /// The moment of the reader.
    pub seq: u64,
}

impl<'a> Probe<'a> {
    pub fn new(distance: Distance, vector: &'a [f32], k: usize, ef: usize, seq: u64) -> Self {
        let vector = match distance {
            Distance::Cosine => unit(vector).into(),
            Distance::L2 | Distance::Dot => vector.into(),
        };
        Self { vector, k, ef, seq }
    }
}

/// Which rows a search may find.
pub(crate) type Accept<'a> = Option<&'a dyn Fn(usize) -> bool>;

impl Segment {
    pub fn new(id: u64, space: Space, rows: Rows) -> Self {
        let died = (0..rows.len()).map(|_| AtomicU64::new(ALIVE)).collect();
        Self {
            id,
            space,
            rows,
            sealed: None,
            file_bytes: None,
            stale: false,
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

    /// The row of an id that a reader at `seq` sees; the id's hash is given
    /// too.
    pub fn find(&self, id: &str, hash: u64, seq: u64) -> Option<usize> {
        let row = self.rows.find(id, hash)?;
        self.live_at(row, seq).then_some(row)
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

    /// The rows as what ranks them sees them.
    fn floats(&self) -> Floats<'_> {
        let stride = stride(self.space.dimension);
        let matrix: &[f32] = &self.rows.vectors;
        match self.space.distance {
            Distance::L2 => Floats::squares(matrix, stride),
            Distance::Cosine => Floats::angles(matrix, stride, &self.rows.scales),
            Distance::Dot => Floats::products(matrix, stride),
        }
    }

    /// Live rows that `accept` takes, among them the nearest `k` if there are
    /// as many: by the graph where there is one and it yields enough, else
    /// exactly. The caller ranks them.
    ///
    /// `accept` may be slow: it is asked from the nearest on, and no more
    /// often than needed.
    pub fn search(&self, probe: &Probe<'_>, accept: Accept<'_>) -> Vec<usize> {
        if let Some(sealed) = &self.sealed {
            let found = self.walk(sealed, probe, accept);
            if found.len() >= probe.k {
                return found;
            }
        }
        self.scan(probe, accept)
    }

    /// Searches by the graph; nothing if looking at each row is less work.
    fn walk(&self, sealed: &Sealed, probe: &Probe<'_>, accept: Accept<'_>) -> Vec<usize> {
        /// How much wider a filtered walk is before the scan takes over.
        const FILTERED: usize = 8;
        /// Beyond this keeping the candidates in order costs more than a scan.
        const WIDEST: usize = 16_384;
        let wanted = match &sealed.coded {
            Some(_) => probe.k + probe.k / 2 + 2 * SLACK,
            None => probe.k + SLACK,
        };
        let mut width = probe.ef.max(wanted);
        if accept.is_some() {
            width *= FILTERED;
        }
        let dead = self.dead();
        if dead > 0 {
            width += width * dead / (self.len() - dead).max(1);
        }
        if width >= sealed.graph.nodes() / 2 || width > WIDEST {
            return Vec::new();
        }
        SCRATCH.with_borrow_mut(|scratch| {
            match &sealed.coded {
                Some(coded) => {
                    let form = match self.space.distance {
                        Distance::L2 => CodeForm::Squares,
                        Distance::Cosine | Distance::Dot => CodeForm::Products,
                    };
                    let codes = Codes::new(&coded.quantizer, &coded.codes, &coded.bias, form);
                    let query = codes.query(&probe.vector);
                    sealed.graph.search(&codes, &query, width, scratch);
                }
                None => {
                    let floats = self.floats();
                    let query = floats.query(&probe.vector);
                    sealed.graph.search(&floats, &query, width, scratch);
                }
            }
            let mut found = Vec::with_capacity(wanted);
            for (_, node) in scratch.pool.found() {
                let more = sealed.each_row(node, |row| {
                    let live = dead == 0 || self.live_at(row, probe.seq);
                    if live && accept.is_none_or(|accept| accept(row)) {
                        found.push(row);
                    }
                    found.len() < wanted
                });
                if !more {
                    break;
                }
            }
            found
        })
    }

    /// Searches by looking at every row.
    fn scan(&self, probe: &Probe<'_>, accept: Accept<'_>) -> Vec<usize> {
        let floats = self.floats();
        let query = floats.query(&probe.vector);
        let wanted = probe.k + SLACK;
        let row = |candidate: Candidate| candidate.row as usize;
        let Some(accept) = accept else {
            let mut heap = BinaryHeap::with_capacity(wanted);
            self.score_live(&floats, &query, probe.seq, |candidate| {
                if heap.len() < wanted {
                    heap.push(candidate);
                } else if let Some(mut worst) = heap.peek_mut()
                    && candidate < *worst
                {
                    *worst = candidate;
                }
            });
            return heap.into_iter().map(row).collect();
        };
        let mut scored = Vec::new();
        self.score_live(&floats, &query, probe.seq, |candidate| {
            scored.push(std::cmp::Reverse(candidate));
        });
        let mut heap = BinaryHeap::from(scored);
        let mut found = Vec::new();
        while found.len() < wanted
            && let Some(std::cmp::Reverse(candidate)) = heap.pop()
        {
            if accept(row(candidate)) {
                found.push(row(candidate));
            }
        }
        found
    }

    fn score_live(
        &self,
        floats: &Floats<'_>,
        query: &FloatProbe,
        seq: u64,
        mut take: impl FnMut(Candidate),
    ) {
        let mut live = self.live(seq).map(|row| row as u32);
        let mut rows = Vec::with_capacity(CHUNK);
        let mut scores = [0.0; CHUNK];
        loop {
            rows.clear();
            rows.extend(live.by_ref().take(CHUNK));
            if rows.is_empty() {
                return;
            }
            let scores = &mut scores[..rows.len()];
            floats.scores(query, &rows, scores);
            for (row, score) in rows.iter().zip(scores) {
                take(Candidate {
                    score: *score,
                    row: *row,
                });
            }
        }
    }
}
