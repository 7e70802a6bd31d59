//! Walking a graph towards a query: the set of nodes seen, and the loop.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::field::Field;
use crate::pool::Pool;

/// Ends a list of links that is not full.
pub(crate) const NONE: u32 = u32::MAX;
/// Most rows of a segment: a candidate's key keeps 31 bits for its row.
pub(crate) const MAX_ROWS: usize = 1 << 31;
/// Nodes scored at once where all of them are looked at; a multiple of 64.
const AT_ONCE: usize = 256;

/// The out-links of a layer's nodes.
pub(crate) trait Links {
    /// Calls `visit` with each out-link of a node.
    fn each(&self, node: u32, visit: impl FnMut(u32));

    /// Asks for a node's list to be brought near.
    fn prefetch(&self, node: u32);
}

/// A set of rows, cleared for each walk.
#[derive(Debug, Default)]
pub(crate) struct Visited {
    words: Vec<u64>,
}

impl Visited {
    fn start(&mut self, rows: usize) {
        self.words.clear();
        self.words.resize(rows.div_ceil(64), 0);
    }

    /// Adds a row; true if it was not there.
    #[inline]
    fn insert(&mut self, row: u32) -> bool {
        let word = &mut self.words[row as usize / 64];
        let bit = 1 << (row % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}

/// What a walk needs, reused from walk to walk.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    visited: Visited,
    pub pool: Pool,
    /// Nodes to be left, where the pool holds some of the nodes only; keys as
    /// in the pool.
    frontier: BinaryHeap<Reverse<u64>>,
    rows: Vec<u32>,
    scores: Vec<f32>,
}

impl Scratch {
    /// Before the first of so many rows is seen; the `limit` nearest are kept.
    pub fn start(&mut self, rows: usize, limit: usize) {
        self.visited.start(rows);
        self.pool.start(limit);
        self.frontier.clear();
    }
}

/// Walks from `start` to the `ef` nodes nearest to the probe, which are in
/// the scratch's pool then.
pub(crate) fn walk<F: Field>(
    field: &F,
    probe: &F::Probe,
    links: &impl Links,
    start: u32,
    ef: usize,
    scratch: &mut Scratch,
) {
    if Pool::is_wide(ef) {
        let (all, on) = (|_| true, |_, _| true);
        walk_accepted(field, probe, links, start, ef, on, all, scratch);
        return;
    }
    scratch.start(field.rows(), ef);
    let Scratch {
        visited,
        pool,
        rows,
        scores,
        ..
    } = scratch;
    visited.insert(start);
    pool.offer(score(field, probe, start), start);
    while let Some(node) = pool.leave() {
        rows.clear();
        links.each(node, |to| {
            if visited.insert(to) {
                field.prefetch(to);
                rows.push(to);
            }
        });
        if let Some(next) = pool.peek() {
            links.prefetch(next);
        }
        scores.resize(rows.len(), 0.0);
        field.scores(probe, rows, scores);
        for (row, score) in rows.iter().zip(scores.iter()) {
            pool.offer(*score, *row);
        }
    }
}

/// Walks from `start` over all nodes to the `ef` nearest to the probe that
/// `accept` takes, which are in the scratch's pool then. False if it came to
/// no end: `goes_on`, asked before a node is left with how many were left and
/// scored until then, ended it.
#[expect(clippy::too_many_arguments, reason = "a walk and what bounds it")]
pub(crate) fn walk_accepted<F: Field>(
    field: &F,
    probe: &F::Probe,
    links: &impl Links,
    start: u32,
    ef: usize,
    mut goes_on: impl FnMut(usize, usize) -> bool,
    accept: impl Fn(u32) -> bool,
    scratch: &mut Scratch,
) -> bool {
    scratch.start(field.rows(), ef);
    let Scratch {
        visited,
        pool,
        frontier,
        rows,
        scores,
    } = scratch;
    visited.insert(start);
    let (mut left, mut scored) = (0, 1);
    let meet = |pool: &mut Pool, frontier: &mut BinaryHeap<_>, score: f32, row: u32| {
        let key = Pool::key(score, row);
        if !pool.refuses(key) {
            frontier.push(Reverse(key));
            if accept(row) {
                pool.offer(score, row);
            }
        }
    };
    meet(pool, frontier, score(field, probe, start), start);
    while let Some(Reverse(nearest)) = frontier.pop() {
        if pool.refuses(nearest) {
            break;
        }
        if !goes_on(left, scored) {
            return false;
        }
        left += 1;
        rows.clear();
        links.each(Pool::row(nearest), |to| {
            if visited.insert(to) {
                field.prefetch(to);
                rows.push(to);
            }
        });
        if let Some(Reverse(next)) = frontier.peek() {
            links.prefetch(Pool::row(*next));
        }
        scored += rows.len();
        scores.resize(rows.len(), 0.0);
        field.scores(probe, rows, scores);
        for (row, score) in rows.iter().zip(scores.iter()) {
            meet(pool, frontier, *score, *row);
        }
    }
    pool.settle();
    true
}

/// Foretells what a wide walk comes by, so as to end one that would score so
/// many of the nodes that scoring all of them in order is less work.
///
/// Of vectors without any order hardly one is nearer than the others, and the
/// links of the nearest lead everywhere: a walk to a hundredth of the nodes
/// scores a third of them.
pub(crate) struct Forecast {
    nodes: usize,
    ef: usize,
    /// Nodes left between two looks at the walk.
    every: usize,
    /// Nodes left and scored at the last look.
    last: (usize, usize),
}

impl Forecast {
    /// Looks at a walk at least, if it comes to its end.
    const LOOKS: usize = 16;
    /// Nodes left between two looks at most: enough to tell what the next find.
    const APART: usize = 256;
    /// Share of the nodes from which on a walk is more work than a scan: measured for
    /// floats and codes of 128 dimensions, each of which it scores for twice as much.
    const MOST: f64 = 0.5;

    /// Of a walk to `ef` among so many nodes.
    pub fn new(nodes: usize, ef: usize) -> Self {
        Self {
            nodes,
            ef,
            every: (ef / Self::LOOKS).clamp(1, Self::APART),
            last: (0, 0),
        }
    }

    /// Whether to walk on, where so many nodes were left and scored.
    pub fn goes_on(&mut self, left: usize, scored: usize) -> bool {
        if left < self.last.0 + self.every {
            return true;
        }
        let (left_before, scored_before) = std::mem::replace(&mut self.last, (left, scored));
        let found = (scored - scored_before) as f64 / (left - left_before) as f64;
        let rest = self.nodes.saturating_sub(scored).max(1) as f64;
        let ahead = self.ef.saturating_sub(left) as f64;
        // Each that is left finds the same share of those that are not scored yet.
        let share_found = 1.0 - (-found * ahead / rest).exp();
        share_found < Self::MOST
    }
}

/// Scores those of the first `nodes` rows that a walk did not, for the `wanted`
/// nearest of all to be in the scratch's pool.
pub(crate) fn look_at_rest<F: Field>(
    field: &F,
    probe: &F::Probe,
    nodes: usize,
    wanted: usize,
    scratch: &mut Scratch,
) {
    let Scratch {
        visited,
        pool,
        rows,
        scores,
        ..
    } = scratch;
    pool.narrow(wanted);
    scores.resize(AT_ONCE, 0.0);
    let words = &visited.words[..nodes.div_ceil(64)];
    for (block, words) in words.chunks(AT_ONCE / 64).enumerate() {
        rows.clear();
        for (at, word) in words.iter().enumerate() {
            let first = block * AT_ONCE + at * 64;
            let here = first..nodes.min(first + 64);
            let rest = here.filter(|row| word & 1 << (row % 64) == 0);
            rows.extend(rest.map(|row| row as u32));
        }
        let scores = &mut scores[..rows.len()];
        field.scores(probe, rows, scores);
        for (row, score) in rows.iter().zip(scores.iter()) {
            pool.offer(*score, *row);
        }
    }
    pool.settle();
}

/// Moves to the nearest link as long as one is nearer; returns where that
/// ends.
pub(crate) fn descend<F: Field>(
    field: &F,
    probe: &F::Probe,
    links: &impl Links,
    start: (f32, u32),
    row_of: impl Fn(u32) -> u32,
    scratch: &mut Scratch,
) -> (f32, u32) {
    let Scratch { rows, scores, .. } = scratch;
    let (mut best, mut at) = start;
    loop {
        let here = at;
        let mut nodes = [0_u32; 256];
        let mut count = 0;
        rows.clear();
        links.each(here, |to| {
            nodes[count] = to;
            count += 1;
            let row = row_of(to);
            field.prefetch(row);
            rows.push(row);
        });
        scores.resize(rows.len(), 0.0);
        field.scores(probe, rows, scores);
        for (node, score) in nodes.iter().zip(scores.iter()) {
            if *score < best {
                (best, at) = (*score, *node);
            }
        }
        if at == here {
            return (best, at);
        }
    }
}

/// The score of one row.
pub(crate) fn score<F: Field>(field: &F, probe: &F::Probe, row: u32) -> f32 {
    let mut score = [0.0];
    field.scores(probe, &[row], &mut score);
    score[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Floats;
    use crate::kernel::FLOATS;

    #[test]
    fn a_walk_goes_on_unless_it_would_score_most_nodes() {
        // 30 new nodes by each that is left, of a hundred thousand.
        let mut forecast = Forecast::new(100_000, 1000);
        assert!((0..1000).all(|left| forecast.goes_on(left, 30 * left)));
        let mut forecast = Forecast::new(100_000, 4000);
        let ended = (0..4000).find(|left| !forecast.goes_on(*left, 30 * left));
        assert_eq!(ended, Some(250));
        // As many of a million, and few new ones of a hundred thousand.
        let mut forecast = Forecast::new(1_000_000, 4000);
        assert!((0..4000).all(|left| forecast.goes_on(left, 30 * left)));
        let mut forecast = Forecast::new(100_000, 4000);
        assert!((0..4000).all(|left| forecast.goes_on(left, 4 * left)));
    }

    /// Each node leads to the next few around.
    struct Ring(u32);

    impl Links for Ring {
        fn each(&self, node: u32, mut visit: impl FnMut(u32)) {
            for step in [1, 2, 40] {
                visit((node + step) % self.0);
            }
        }

        fn prefetch(&self, _: u32) {}
    }

    #[test]
    fn wide_walks_find_what_narrow_ones_do() {
        const ROWS: u32 = 3000;
        let mut matrix = vec![0.0_f32; ROWS as usize * FLOATS];
        for (row, values) in (0..ROWS).zip(matrix.chunks_mut(FLOATS)) {
            let angle = row as f32 / ROWS as f32 * std::f32::consts::TAU;
            (values[0], values[1]) = (angle.cos(), angle.sin());
        }
        let field = Floats::squares(&matrix, FLOATS);
        let probe = field.query(&[0.3, -0.9]);
        let mut scratch = Scratch::default();
        let mut found = |ef: usize| {
            walk(&field, &probe, &Ring(ROWS), 7, ef, &mut scratch);
            scratch.pool.found().collect::<Vec<_>>()
        };
        let narrow = (1..).find(|ef| Pool::is_wide(ef + 1)).unwrap();
        let (most, all) = (found(narrow), found(narrow + 1));
        assert_eq!(most.len(), narrow);
        assert_eq!(all.len(), narrow + 1);
        assert_eq!(all[..narrow], most);
    }
}
