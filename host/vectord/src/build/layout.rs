//! The order of nodes in memory.

use std::collections::VecDeque;

use crate::builders::{give_way_at, giving_way};
use crate::graph::{Graph, Upper};
use crate::walk::NONE;

/// The nodes in an order in which those that are linked are near each other:
/// as they are met from the entry on, breadth first.
pub(super) fn order(graph: &Graph) -> Vec<u32> {
    let nodes = graph.nodes() as u32;
    let mut seen = vec![false; nodes as usize];
    let mut order = Vec::with_capacity(nodes as usize);
    let mut open = VecDeque::new();
    for start in std::iter::once(graph.base_entry()).chain(0..nodes) {
        if start >= nodes || std::mem::replace(&mut seen[start as usize], true) {
            continue;
        }
        open.push_back(start);
        while let Some(node) = open.pop_front() {
            give_way_at(order.len());
            order.push(node);
            for to in graph.base_links(node) {
                if !std::mem::replace(&mut seen[to as usize], true) {
                    open.push_back(to);
                }
            }
        }
    }
    order
}

/// The graph with its nodes numbered in that order.
pub(super) fn renumber(graph: &Graph, order: &[u32]) -> Graph {
    let mut places = vec![NONE; order.len()];
    for (node, place) in order.iter().zip(0..) {
        places[*node as usize] = place;
    }
    let moved = |node: u32| places[node as usize];
    let mut base = Vec::with_capacity(graph.base.len());
    for node in giving_way(order) {
        let end = base.len() + graph.width;
        base.extend(graph.base_links(*node).map(moved));
        base.resize(end, NONE);
    }
    let uppers = graph.uppers.iter().enumerate().map(|(level, upper)| Upper {
        width: upper.width,
        rows: upper
            .rows
            .iter()
            .map(|row| moved(*row))
            .collect::<Vec<_>>()
            .into(),
        down: match level {
            0 => upper
                .down
                .iter()
                .map(|row| moved(*row))
                .collect::<Vec<_>>()
                .into(),
            _ => upper.down.clone(),
        },
        links: upper.links.clone(),
    });
    Graph {
        entry: if graph.uppers.is_empty() {
            moved(graph.entry)
        } else {
            graph.entry
        },
        width: graph.width,
        base: base.into(),
        uppers: uppers.collect(),
    }
}
