//! Keeping the graph of a segment while rows are added to it.
//!
//! Links to nodes that are gone are replaced by what those linked to, thinned
//! as in growing (as FreshDiskANN does, Singh et al. 2021).

use rayon::prelude::*;

use crate::builders::give_way_at;
use crate::field::Field;
use crate::gathered::Gathered;
use crate::graph::Graph;
use crate::walk::NONE;

use super::Haste;
use super::grow::{Growing, Hands};

/// At least one node in this many must come from the graph, or growing from
/// nothing is as quick and better.
const SHARE: usize = 4;
/// The part of a graph's nodes, as a fraction, that must still be there: what
/// is left of a graph with more holes leads nowhere near as well.
const WHOLE: (usize, usize) = (3, 4);

/// A graph whose nodes, those still there, are the first nodes of the new.
pub(super) struct Kept<'a> {
    graph: &'a Graph,
    /// The number of each of its nodes in the new graph, [`NONE`] if it is
    /// gone.
    numbers: Vec<u32>,
    /// Nodes still there.
    pub count: usize,
}

impl<'a> Kept<'a> {
    /// The graph of the first input, if it is worth being kept; `first` are
    /// the rows that are to be nodes.
    pub fn find(rows: &Gathered<'a>, first: &[u32], haste: Haste) -> Option<Self> {
        let (segment, _) = (rows.len() > 0).then(|| rows.source(0))?;
        let sealed = segment.sealed.as_ref().filter(|it| haste.keeps(it))?;
        let graph = &sealed.graph;
        let mut numbers = vec![NONE; graph.nodes()];
        let mut count = 0;
        for row in first {
            let (from, place) = rows.source(*row as usize);
            if from.id != segment.id || place >= numbers.len() {
                break;
            }
            numbers[place] = count as u32;
            count += 1;
        }
        let whole = count * WHOLE.1 >= numbers.len() * WHOLE.0;
        (whole && count * SHARE >= first.len()).then_some(Self {
            graph,
            numbers,
            count,
        })
    }

    /// Layers above the lowest.
    fn top(&self) -> usize {
        self.graph.uppers.len()
    }

    /// Nodes of a layer.
    fn places(&self, level: usize) -> u32 {
        match level {
            0 => self.graph.nodes() as u32,
            _ => self.graph.uppers[level - 1].rows.len() as u32,
        }
    }

    /// The number of what is at a place of a layer, if it is still there.
    fn number(&self, level: usize, place: u32) -> Option<u32> {
        let node = match level {
            0 => place,
            _ => self.graph.uppers[level - 1].rows[place as usize],
        };
        Some(self.numbers[node as usize]).filter(|number| *number != NONE)
    }

    /// The places that one in a layer links to.
    fn links(&self, level: usize, place: u32) -> impl Iterator<Item = u32> + '_ {
        let (links, width) = match level {
            0 => (&self.graph.base, self.graph.width),
            _ => {
                let upper = &self.graph.uppers[level - 1];
                (&upper.links, upper.width)
            }
        };
        let start = place as usize * width;
        let list = links[start..start + width].iter().copied();
        list.take_while(|link| *link != NONE)
    }

    /// Raises the levels of its nodes to what they are in it, the others'
    /// being given; returns a node of the highest layer, and that.
    pub fn raise(&self, levels: &mut [u8]) -> (u32, usize) {
        let mut entry = (0, 0);
        levels[..self.count].fill(0);
        for level in 1..=self.top() {
            for place in 0..self.places(level) {
                if let Some(number) = self.number(level, place) {
                    levels[number as usize] = level as u8;
                    entry = (number, level);
                }
            }
        }
        entry
    }

    /// Takes its links over into a graph that is to grow.
    pub fn take_over<F: Field>(&self, growing: &Growing<'_, F>) {
        for level in 0..=self.top() {
            let places = 0..self.places(level);
            places
                .into_par_iter()
                .for_each_init(Hands::new, |hands, place| {
                    give_way_at(place as usize);
                    if let Some(node) = self.number(level, place) {
                        self.take_list(level, place, node, growing, hands);
                    }
                });
        }
    }

    fn take_list<F: Field>(
        &self,
        level: usize,
        place: u32,
        node: u32,
        growing: &Growing<'_, F>,
        hands: &mut Hands<F>,
    ) {
        let mut links = Vec::new();
        let mut gone = false;
        for to in self.links(level, place) {
            match self.number(level, to) {
                Some(number) => links.push(number),
                None => {
                    gone = true;
                    let beyond = self.links(level, to);
                    links.extend(beyond.filter_map(|to| self.number(level, to)));
                }
            }
        }
        if gone {
            links.sort_unstable();
            links.dedup();
            links.retain(|to| *to != node);
            growing.thin(node, level, &mut links, hands);
        }
        growing.set(node, level, &links);
    }
}
