//! The nearest of many rows.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A row and how near it is; greater is farther, ties broken by row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub score: f32,
    pub row: u32,
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        let score = self.score.total_cmp(&other.score);
        score.then(self.row.cmp(&other.row))
    }
}

/// The nearest of the candidates offered.
#[derive(Debug)]
pub(crate) struct Nearest {
    heap: BinaryHeap<Candidate>,
    most: usize,
}

impl Nearest {
    pub fn new(most: usize) -> Self {
        Self {
            heap: BinaryHeap::with_capacity(most),
            most,
        }
    }

    pub fn offer(&mut self, candidate: Candidate) {
        if self.heap.len() < self.most {
            self.heap.push(candidate);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && candidate < *worst
        {
            *worst = candidate;
        }
    }

    /// The score that one must be below to be among them.
    pub fn bound(&self) -> f32 {
        match self.heap.peek() {
            Some(worst) if self.heap.len() == self.most => worst.score,
            _ => f32::INFINITY,
        }
    }

    pub fn rows(self) -> Vec<usize> {
        let rows = self.heap.into_iter();
        rows.map(|candidate| candidate.row as usize).collect()
    }
}
