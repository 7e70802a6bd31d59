//! A navigable graph, flat and immutable, and how it is searched.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::segment::Candidate;

/// Out-links of one layer: those of the node at rank `i` are
/// `links[offsets[i]..offsets[i + 1]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layer {
    /// Nodes in it, rising; empty in the lowest, where every row is one.
    pub nodes: Vec<u32>,
    pub offsets: Vec<u32>,
    pub links: Vec<u32>,
}

/// Layers from the lowest, which holds every row, to the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Graph {
    pub entry: u32,
    pub layers: Vec<Layer>,
}

/// Rows seen in a walk, reused from walk to walk: a row was seen in this one
/// if its stamp is the walk's number.
#[derive(Default)]
struct Visited {
    stamps: Vec<u32>,
    walk: u32,
}

impl Visited {
    fn start(&mut self, rows: usize) {
        if self.stamps.len() < rows || self.walk == u32::MAX {
            self.stamps.clear();
            self.stamps.resize(rows, 0);
            self.walk = 0;
        }
        self.walk += 1;
    }

    /// Marks a row; true if it was not seen before.
    fn insert(&mut self, row: u32) -> bool {
        let stamp = &mut self.stamps[row as usize];
        std::mem::replace(stamp, self.walk) != self.walk
    }
}

thread_local! {
    static VISITED: RefCell<Visited> = RefCell::default();
}

impl Layer {
    fn of(&self, rank: usize) -> &[u32] {
        &self.links[self.offsets[rank] as usize..self.offsets[rank + 1] as usize]
    }

    /// Out-links of a row, none if it is not in the layer.
    fn upper(&self, row: u32) -> &[u32] {
        match self.nodes.binary_search(&row) {
            Ok(rank) => self.of(rank),
            Err(_) => &[],
        }
    }
}

impl Graph {
    pub fn rows(&self) -> usize {
        self.layers[0].offsets.len() - 1
    }

    /// The nearest rows that `keep` takes, at most `ef`, nearest first.
    /// Others are walked through all the same.
    pub fn search(
        &self,
        ef: usize,
        score: impl Fn(u32) -> f32,
        keep: impl Fn(u32) -> bool,
    ) -> Vec<Candidate> {
        let rated = |row| Candidate {
            score: score(row),
            row,
        };
        let mut nearest = rated(self.entry);
        for layer in self.layers[1..].iter().rev() {
            loop {
                let links = layer.upper(nearest.row);
                match links.iter().map(|row| rated(*row)).min() {
                    Some(better) if better.score < nearest.score => nearest = better,
                    _ => break,
                }
            }
        }
        VISITED.with_borrow_mut(|visited| {
            visited.start(self.rows());
            self.walk(ef, nearest, visited, rated, keep)
        })
    }

    fn walk(
        &self,
        ef: usize,
        start: Candidate,
        visited: &mut Visited,
        rated: impl Fn(u32) -> Candidate,
        keep: impl Fn(u32) -> bool,
    ) -> Vec<Candidate> {
        let mut open = BinaryHeap::from([Reverse(start)]);
        let mut found = BinaryHeap::with_capacity(ef + 1);
        visited.insert(start.row);
        if keep(start.row) {
            found.push(start);
        }
        while let Some(Reverse(next)) = open.pop() {
            let full = found.len() >= ef;
            if full && found.peek().is_some_and(|worst| next.score > worst.score) {
                break;
            }
            for &row in self.layers[0].of(next.row as usize) {
                if !visited.insert(row) {
                    continue;
                }
                let candidate = rated(row);
                let full = found.len() >= ef;
                if full
                    && found
                        .peek()
                        .is_some_and(|worst| candidate.score >= worst.score)
                {
                    continue;
                }
                open.push(Reverse(candidate));
                if keep(row) {
                    found.push(candidate);
                    if found.len() > ef {
                        found.pop();
                    }
                }
            }
        }
        found.into_sorted_vec()
    }

    /// What is wrong with it, if anything: links that lead nowhere, ranks out
    /// of order.
    pub fn check(&self, rows: usize) -> Result<(), String> {
        let within = |row: &u32| (*row as usize) < rows;
        if self.layers.is_empty() || !within(&self.entry) {
            return Err("no layer or no entry".into());
        }
        for (level, layer) in self.layers.iter().enumerate() {
            let nodes = if level == 0 { rows } else { layer.nodes.len() };
            let sound = layer.offsets.len() == nodes + 1
                && layer.offsets.is_sorted()
                && layer.offsets.first() == Some(&0)
                && layer.offsets.last().map(|end| *end as usize) == Some(layer.links.len())
                && layer.nodes.is_sorted()
                && layer.nodes.iter().all(within)
                && layer.links.iter().all(within);
            if !sound {
                return Err(format!("layer {level} does not fit its {rows} rows"));
            }
        }
        Ok(())
    }
}
