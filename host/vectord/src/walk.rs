//! Walking a graph towards a query: the pool of candidates, the set of nodes
//! seen, and the loop.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::field::Field;

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

/// The nearest candidates so far, at most `limit`, nearest first: one sorted
/// array, since for the usual widths moving a few words is quicker than
/// keeping two heaps.
///
/// An entry is the score's bits, made to sort as integers, then the row, then
/// whether the node was left already.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    entries: Vec<u64>,
    limit: usize,
    /// All entries before this one were left.
    next: usize,
}

impl Pool {
    pub fn start(&mut self, limit: usize) {
        self.entries.clear();
        self.entries.reserve(limit + 1);
        self.limit = limit;
        self.next = 0;
    }

    fn key(score: f32, row: u32) -> u64 {
        let bits = score.to_bits();
        let sign = (bits as i32 >> 31) as u32;
        let ordered = bits ^ (sign | 0x8000_0000);
        u64::from(ordered) << 32 | u64::from(row << 1)
    }

    fn score(entry: u64) -> f32 {
        let ordered = (entry >> 32) as u32;
        let sign = (!ordered as i32 >> 31) as u32;
        f32::from_bits(ordered ^ (sign | 0x8000_0000))
    }

    fn row(entry: u64) -> u32 {
        entry as u32 >> 1
    }

    /// Takes a candidate in if it is near enough.
    #[inline]
    pub fn offer(&mut self, score: f32, row: u32) {
        let key = Self::key(score, row);
        if self.entries.len() == self.limit {
            match self.entries.last() {
                Some(worst) if key < *worst => self.entries.pop(),
                _ => return,
            };
        }
        let at = self.entries.partition_point(|entry| *entry < key);
        self.entries.insert(at, key);
        self.next = self.next.min(at);
    }

    /// Whether a candidate of this key is too far to be taken in.
    fn refuses(&self, key: u64) -> bool {
        self.entries.len() == self.limit && self.entries.last().is_some_and(|worst| key > *worst)
    }

    /// The nearest node that was not left yet; it is now.
    #[inline]
    fn leave(&mut self) -> Option<u32> {
        while let Some(entry) = self.entries.get_mut(self.next) {
            self.next += 1;
            if *entry & 1 == 0 {
                *entry |= 1;
                return Some(Self::row(*entry));
            }
        }
        None
    }

    /// The node that is likely to be left next.
    #[inline]
    fn peek(&self) -> Option<u32> {
        let rest = self.entries.get(self.next..)?;
        let entry = rest.iter().find(|entry| **entry & 1 == 0)?;
        Some(Self::row(*entry))
    }

    /// Candidates, nearest first, with their scores.
    pub fn found(&self) -> impl Iterator<Item = (f32, u32)> + '_ {
        let entries = self.entries.iter();
        entries.map(|entry| (Self::score(*entry), Self::row(*entry)))
    }
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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_pool_keeps_the_nearest_in_order(
            scores in prop::collection::vec(-1e9_f32..1e9, 0..60),
            limit in 1_usize..20,
        ) {
            let mut pool = Pool::default();
            pool.start(limit);
            for (score, row) in scores.iter().zip(0..) {
                pool.offer(*score, row);
            }
            let mut wanted: Vec<(f32, u32)> = scores.iter().copied().zip(0..).collect();
            wanted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            wanted.truncate(limit);
            prop_assert_eq!(pool.found().collect::<Vec<_>>(), wanted.clone());
            let mut left = Vec::new();
            while let Some(row) = pool.leave() {
                left.push(row);
            }
            prop_assert_eq!(left, wanted.iter().map(|(_, row)| *row).collect::<Vec<_>>());
        }
    }
}
