//! Walking a graph towards a query: the set of nodes seen, and the loop.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::field::Field;
use crate::pool::Pool;

/// Ends a list of links that is not full.
pub(crate) const NONE: u32 = u32::MAX;
/// Most rows of a segment: a candidate's key keeps 31 bits for its row.
pub(crate) const MAX_ROWS: usize = 1 << 31;

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
        let all = |_| true;
        walk_accepted(field, probe, links, start, ef, usize::MAX, all, scratch);
        return;
    }
    let Scratch {
        visited,
        pool,
        rows,
        scores,
        ..
    } = scratch;
    visited.start(field.rows());
    pool.start(ef);
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
/// `accept` takes, which are in the scratch's pool then. False if scoring
/// `budget` nodes did not suffice.
#[expect(clippy::too_many_arguments, reason = "a walk and what bounds it")]
pub(crate) fn walk_accepted<F: Field>(
    field: &F,
    probe: &F::Probe,
    links: &impl Links,
    start: u32,
    ef: usize,
    budget: usize,
    accept: impl Fn(u32) -> bool,
    scratch: &mut Scratch,
) -> bool {
    let Scratch {
        visited,
        pool,
        frontier,
        rows,
        scores,
    } = scratch;
    visited.start(field.rows());
    pool.start(ef);
    frontier.clear();
    visited.insert(start);
    let mut scored = 1;
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
        if scored > budget {
            return false;
        }
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
