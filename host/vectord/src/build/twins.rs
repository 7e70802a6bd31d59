//! Rows of equal vectors.
//!
//! Only the first of them is a node of the graph: equal ones would fill each
//! other's lists, and no walk would get out of their crowd.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use crate::builders::giving_way;
use crate::gathered::Gathered;

/// Which rows are nodes, and which share a node's vector.
pub(super) struct Twins {
    /// Rows whose vector no earlier one has: the nodes.
    pub first: Vec<u32>,
    /// A node and another row of its vector.
    more: Vec<(u32, u32)>,
}

/// A vector, compared by its bits.
struct Bits<'a>(&'a [f32]);

impl Bits<'_> {
    fn words(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().map(|x| x.to_bits())
    }
}

impl PartialEq for Bits<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.words().eq(other.words())
    }
}

impl Eq for Bits<'_> {}

impl Hash for Bits<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(bytemuck::cast_slice(self.0));
    }
}

impl Twins {
    pub fn find(rows: &Gathered<'_>) -> Self {
        let mut nodes =
            HashMap::with_capacity_and_hasher(rows.len(), hashbrown::DefaultHashBuilder::default());
        let mut twins = Self {
            first: Vec::with_capacity(rows.len()),
            more: Vec::new(),
        };
        for row in giving_way(0..rows.len()) {
            let next = twins.first.len() as u32;
            let node = *nodes.entry(Bits(rows.vector(row))).or_insert(next);
            if node == next {
                twins.first.push(row as u32);
            } else {
                twins.more.push((node, row as u32));
            }
        }
        twins
    }

    /// The rows in the order of their nodes, those that share a vector after
    /// all nodes; and the place of each such row's node.
    pub fn arrange(mut self, nodes: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let mut order: Vec<u32> = Vec::with_capacity(self.first.len() + self.more.len());
        order.extend(nodes.iter().map(|node| self.first[*node as usize]));
        if self.more.is_empty() {
            return (order, Vec::new());
        }
        let mut places = vec![0; nodes.len()];
        for (node, place) in nodes.iter().zip(0..) {
            places[*node as usize] = place;
        }
        for (node, _) in &mut self.more {
            *node = places[*node as usize];
        }
        self.more.sort_unstable();
        order.extend(self.more.iter().map(|(_, row)| *row));
        (order, self.more.iter().map(|(node, _)| *node).collect())
    }
}
