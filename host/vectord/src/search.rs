//! Searching a segment: along its graph, or row by row.

use std::borrow::Cow;
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::field::{Field, OnField};
use crate::filter::Filter;
use crate::graph::Graph;
use crate::kernel;
use crate::matching::Matching;
use crate::nearest::{Candidate, Nearest};
use crate::segment::{Sealed, Segment, Short};
use crate::types::Distance;
use crate::walk::Scratch;

/// Rows given beyond those wanted: single precision ranks them, double
/// precision decides.
const SLACK: usize = 4;
/// Of so many candidates found by codes one at least is ranked exactly.
const RANKED: usize = 8;
/// Rows scored at once in a scan.
pub(crate) const CHUNK: usize = 256;
/// Rows of matches scored at once: few enough to be asked for ahead.
const SCATTERED: usize = 64;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
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
    /// The moment of the reader.
    pub seq: u64,
}

impl<'a> Probe<'a> {
    pub fn new(distance: Distance, vector: &'a [f32], k: usize, seq: u64) -> Self {
        let vector = match distance {
            Distance::Cosine => unit(vector).into(),
            Distance::L2 | Distance::Dot => vector.into(),
        };
        Self { vector, k, seq }
    }
}

impl Sealed {
    /// Rows that are taken, of the nodes that a walk found, nearest first: as
    /// many as are wanted if there are.
    fn rows_of(
        &self,
        scratch: &Scratch,
        wanted: usize,
        takes: impl Fn(usize) -> bool,
    ) -> Vec<usize> {
        let mut found = Vec::with_capacity(wanted);
        for (_, node) in scratch.pool.found() {
            let more = self.each_row(node, |row| {
                if takes(row) {
                    found.push(row);
                }
                found.len() < wanted
            });
            if !more {
                break;
            }
        }
        found
    }
}

impl Segment {
    /// Live rows that the filter takes, among them the nearest `k` if there
    /// are as many: by the graph where there is one and it yields enough, with
    /// `ef` candidates kept, else exactly. The caller ranks them.
    pub fn search(&self, probe: &Probe<'_>, ef: usize, filter: Option<&Filter>) -> Vec<usize> {
        let Some(filter) = filter else {
            return match &self.sealed {
                Some(sealed) => {
                    let found = self.walk(sealed, probe, ef);
                    if found.len() >= probe.k {
                        return found;
                    }
                    self.scan(probe)
                }
                None => self.scan(probe),
            };
        };
        let matching = Matching::new(filter, &self.rows.metadata, self.attributes_if_worth());
        let most = matching.most();
        if most == 0 {
            return Vec::new();
        }
        if let Some(sealed) = &self.sealed
            && self.walk_pays(probe, ef, most)
        {
            let found = self.walk_matches(sealed, probe, ef, &matching, most);
            if found.len() >= probe.k {
                return found;
            }
        }
        self.scan_matches(probe, &matching)
    }

    /// Candidates that a search of the graph keeps at least.
    ///
    /// Codes rank only so well: with few candidates a wider search would not find more
    /// in the end, and to rank one exactly is little beside finding it.
    fn wanted(sealed: &Sealed, k: usize, ef: usize) -> usize {
        match &sealed.short {
            Some(Short::Codes(_)) => {
                let more = k + k / 2 + 2 * SLACK;
                more.max(ef / RANKED)
            }
            Some(Short::Halves(_)) => k + k / 8 + 2 * SLACK,
            None => k + SLACK,
        }
    }

    /// Whether to walk the graph to matches rather than score each of them.
    ///
    /// A walk leaves nodes until it has seen `ef` matches around the nearest,
    /// so one node for every `rows / most` of them, and scores some new links
    /// of each. A scored link costs about twice what a row of a scan does.
    fn walk_pays(&self, probe: &Probe<'_>, ef: usize, most: usize) -> bool {
        const LINKS: usize = 8;
        const LINK_COST: usize = 2;
        let walk = (ef.max(probe.k) * self.len()).div_ceil(most) * LINKS * LINK_COST;
        walk < most
    }

    /// Searches by the graph; nothing if looking at each row is less work.
    fn walk(&self, sealed: &Sealed, probe: &Probe<'_>, ef: usize) -> Vec<usize> {
        let wanted = Self::wanted(sealed, probe.k, ef);
        let dead = self.dead();
        let and_dead = |live: usize| live + live * dead / (self.len() - dead).max(1);
        let width = and_dead(ef.max(wanted));
        if width >= sealed.graph.nodes() / 2 {
            return Vec::new();
        }
        let live = |row: usize| dead == 0 || self.live_at(row, probe.seq);
        SCRATCH.with_borrow_mut(|scratch| {
            self.with_field(
                sealed,
                Walk {
                    graph: &sealed.graph,
                    vector: &probe.vector,
                    width,
                    wanted: and_dead(wanted),
                    scratch,
                },
            );
            sealed.rows_of(scratch, wanted, live)
        })
    }

    /// Searches by the graph for rows that match; fewer than there are if
    /// scoring `most` nodes did not suffice.
    fn walk_matches(
        &self,
        sealed: &Sealed,
        probe: &Probe<'_>,
        ef: usize,
        matching: &Matching<'_>,
        most: usize,
    ) -> Vec<usize> {
        let wanted = Self::wanted(sealed, probe.k, ef);
        let width = ef.max(wanted);
        let takes = |row: usize| self.live_at(row, probe.seq) && matching.accepts(row);
        // A node counts if any of the rows that share its vector does.
        let accept = |node: u32| !sealed.each_row(node, |row| !takes(row));
        SCRATCH.with_borrow_mut(|scratch| {
            let walk = WalkTo {
                graph: &sealed.graph,
                vector: &probe.vector,
                width,
                accept,
                most,
                scratch,
            };
            match self.with_field(sealed, walk) {
                true => sealed.rows_of(scratch, wanted, takes),
                false => Vec::new(),
            }
        })
    }

    /// Searches by looking at every row, or at its sketch.
    fn scan(&self, probe: &Probe<'_>) -> Vec<usize> {
        let wanted = probe.k + SLACK;
        let mut nearest = Nearest::new(wanted);
        let offer = |candidate| nearest.offer(candidate);
        match self.sketches.get() {
            Some(sketches) => {
                let live = |row: usize| self.live_at(row, probe.seq);
                let rows = sketches.candidates(&probe.vector, wanted, live);
                self.score(probe, rows.into_iter(), SCATTERED, offer);
            }
            None => self.score(probe, self.live(probe.seq), CHUNK, offer),
        }
        nearest.rows()
    }

    /// Searches by looking at every row that may match.
    fn scan_matches(&self, probe: &Probe<'_>, matching: &Matching<'_>) -> Vec<usize> {
        let wanted = probe.k + SLACK;
        let live = |row: &usize| self.live_at(*row, probe.seq);
        if let Some(judged) = matching.judged()
            && judged.may.is_none()
        {
            let rows = judged.must.iter().filter(live);
            let mut nearest = Nearest::new(wanted);
            self.score(probe, rows, SCATTERED, |candidate| nearest.offer(candidate));
            return nearest.rows();
        }
        // Metadata are read from the nearest on, and no more often than needed.
        let mut scored = Vec::new();
        let take = |candidate| scored.push(Reverse(candidate));
        match matching.judged() {
            Some(judged) => self.score(probe, judged.may().iter().filter(live), SCATTERED, take),
            None => self.score(probe, self.live(probe.seq), CHUNK, take),
        }
        let mut heap = BinaryHeap::from(scored);
        let mut found = Vec::new();
        while found.len() < wanted
            && let Some(Reverse(candidate)) = heap.pop()
        {
            let row = candidate.row as usize;
            if matching.accepts(row) {
                found.push(row);
            }
        }
        found
    }

    /// Scores rows, `chunk` of them at once.
    fn score(
        &self,
        probe: &Probe<'_>,
        rows: impl Iterator<Item = usize>,
        chunk: usize,
        mut take: impl FnMut(Candidate),
    ) {
        let floats = self.floats();
        let query = floats.query(&probe.vector);
        let mut rows = rows.map(|row| row as u32);
        let mut some = Vec::with_capacity(chunk);
        let mut scores = vec![0.0; chunk];
        loop {
            some.clear();
            some.extend(rows.by_ref().take(chunk));
            if some.is_empty() {
                return;
            }
            if chunk == SCATTERED {
                some.iter().for_each(|row| floats.prefetch(*row));
            }
            let scores = &mut scores[..some.len()];
            floats.scores(&query, &some, scores);
            for (row, score) in some.iter().zip(scores) {
                take(Candidate {
                    score: *score,
                    row: *row,
                });
            }
        }
    }
}

/// A walk along a graph, which leaves what it found in `scratch`.
struct Walk<'a> {
    graph: &'a Graph,
    vector: &'a [f32],
    width: usize,
    wanted: usize,
    scratch: &'a mut Scratch,
}

impl OnField for Walk<'_> {
    type Output = ();

    fn run<F: Field>(self, field: &F) {
        let query = field.query(self.vector);
        let (width, wanted) = (self.width, self.wanted);
        let graph = self.graph;
        graph.search(field, &query, width, wanted, self.scratch);
    }
}

/// The same to nodes that are accepted; whether scoring `most` sufficed.
struct WalkTo<'a, A> {
    graph: &'a Graph,
    vector: &'a [f32],
    width: usize,
    accept: A,
    most: usize,
    scratch: &'a mut Scratch,
}

impl<A: Fn(u32) -> bool> OnField for WalkTo<'_, A> {
    type Output = bool;

    fn run<F: Field>(self, field: &F) -> bool {
        let query = field.query(self.vector);
        let graph = self.graph;
        graph.search_accepted(
            field,
            &query,
            self.width,
            self.most,
            self.accept,
            self.scratch,
        )
    }
}
