//! The candidates of a walk.

use std::collections::BinaryHeap;

/// The widest pool that is one sorted array.
const NARROW: usize = 512;

/// The nearest candidates so far, at most `limit`.
///
/// Up to the usual widths they are one sorted array, since moving a few words is quicker
/// than keeping heaps, and it knows which of them were left. A wide one is a heap, whose
/// walk keeps those to be left by itself.
///
/// An entry is the score's bits, made to sort as integers, then the row, then
/// whether the node was left already.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    /// Nearest first; of a wide pool once it is settled.
    entries: Vec<u64>,
    limit: usize,
    /// All entries before this one were left.
    next: usize,
    /// Those of a wide pool, the farthest at the top.
    held: BinaryHeap<u64>,
}

impl Pool {
    pub fn start(&mut self, limit: usize) {
        self.entries.clear();
        self.held.clear();
        self.limit = limit;
        self.next = 0;
        if !Self::is_wide(limit) {
            self.entries.reserve(limit + 1);
        }
    }

    /// Whether a pool of this limit is a heap.
    pub fn is_wide(limit: usize) -> bool {
        limit > NARROW
    }

    pub fn key(score: f32, row: u32) -> u64 {
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

    pub fn row(entry: u64) -> u32 {
        entry as u32 >> 1
    }

    /// Takes a candidate in if it is near enough.
    #[inline]
    pub fn offer(&mut self, score: f32, row: u32) {
        let key = Self::key(score, row);
        if Self::is_wide(self.limit) {
            return self.offer_wide(key);
        }
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

    fn offer_wide(&mut self, key: u64) {
        if self.held.len() < self.limit {
            self.held.push(key);
        } else if let Some(mut worst) = self.held.peek_mut()
            && key < *worst
        {
            *worst = key;
        }
    }

    /// Whether a candidate of this key is too far to be taken in.
    pub fn refuses(&self, key: u64) -> bool {
        let (count, worst) = if Self::is_wide(self.limit) {
            (self.held.len(), self.held.peek())
        } else {
            (self.entries.len(), self.entries.last())
        };
        count == self.limit && worst.is_some_and(|worst| key > *worst)
    }

    /// The nearest node that was not left yet, of a pool that is not wide; it is now.
    #[inline]
    pub fn leave(&mut self) -> Option<u32> {
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
    pub fn peek(&self) -> Option<u32> {
        let rest = self.entries.get(self.next..)?;
        let entry = rest.iter().find(|entry| **entry & 1 == 0)?;
        Some(Self::row(*entry))
    }

    /// Keeps the `limit` nearest, and takes in what is nearer than those.
    pub fn narrow(&mut self, limit: usize) {
        self.settle();
        self.limit = limit.min(self.limit);
        self.entries.truncate(self.limit);
        if Self::is_wide(self.limit) {
            self.held.extend(self.entries.drain(..));
        }
    }

    /// No more is offered: puts the candidates in order.
    pub fn settle(&mut self) {
        if Self::is_wide(self.limit) {
            self.entries.extend(self.held.drain());
            self.entries.sort_unstable();
        }
    }

    /// Candidates of a settled pool, nearest first, with their scores.
    pub fn found(&self) -> impl Iterator<Item = (f32, u32)> + '_ {
        let entries = self.entries.iter();
        entries.map(|entry| (Self::score(*entry), Self::row(*entry)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a pool is to hold of these, each with its place as its row.
    fn nearest(scores: &[f32], limit: usize) -> Vec<(f32, u32)> {
        let mut all: Vec<_> = scores.iter().copied().zip(0..).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        all.truncate(limit);
        all
    }

    proptest! {
        #[test]
        fn a_narrowed_pool_keeps_the_nearest_of_all(
            scores in prop::collection::vec(-1e9_f32..1e9, 0..3 * NARROW),
            limits in [1..2 * NARROW, 1..2 * NARROW],
            before in 0..3 * NARROW,
        ) {
            let mut pool = Pool::default();
            pool.start(limits[0]);
            for (row, score) in scores.iter().enumerate() {
                if row == before {
                    pool.narrow(limits[1]);
                }
                pool.offer(*score, row as u32);
            }
            pool.narrow(limits[1]);
            pool.settle();
            let wanted = nearest(&scores, limits[0].min(limits[1]));
            prop_assert_eq!(pool.found().collect::<Vec<_>>(), wanted);
        }

        #[test]
        fn the_nearest_are_kept_and_left_in_order(
            scores in prop::collection::vec(-1e9_f32..1e9, 0..3 * NARROW),
            limit in prop_oneof![1..20_usize, NARROW - 5..NARROW + 100],
        ) {
            let mut pool = Pool::default();
            pool.start(limit);
            for (score, row) in scores.iter().zip(0..) {
                pool.offer(*score, row);
            }
            let wanted = nearest(&scores, limit);
            pool.settle();
            prop_assert_eq!(pool.found().collect::<Vec<_>>(), wanted.clone());
            if !Pool::is_wide(limit) {
                let mut left = Vec::new();
                while let Some(row) = pool.leave() {
                    left.push(row);
                }
                prop_assert_eq!(left, wanted.iter().map(|(_, row)| *row).collect::<Vec<_>>());
            }
        }
    }
}
