//! Linking nodes that no walk from the entry reaches.

use crate::builders::give_way_at;
use crate::field::{Field, OnField};
use crate::graph::Graph;
use crate::walk::{NONE, Scratch};

/// Candidates looked at to find such a node's nearest.
const WIDTH: usize = 32;

/// Links what cannot be reached to the nearest nodes that can.
pub(super) struct Connect<'a> {
    pub graph: &'a mut Graph,
}

impl OnField for Connect<'_> {
    type Output = ();

    fn run<F: Field>(self, field: &F) {
        let graph = self.graph;
        let mut reached = vec![false; graph.nodes()];
        if reached.is_empty() {
            return;
        }
        spread(graph, graph.base_entry(), &mut reached);
        let lost: Vec<u32> = (0..graph.nodes() as u32)
            .filter(|node| !reached[*node as usize])
            .collect();
        let mut scratch = Scratch::default();
        let mut probe = F::Probe::default();
        for node in lost {
            if reached[node as usize] {
                continue;
            }
            field.aim(node, &mut probe);
            graph.search(field, &probe, WIDTH, WIDTH, &mut scratch);
            let near: Vec<u32> = scratch.pool.found().map(|(_, near)| near).collect();
            attach(graph, &near, node);
            spread(graph, node, &mut reached);
        }
    }
}

/// Links to a node from the first of some others that has room. If none has,
/// the nearest gives up its last link, which the node takes over.
fn attach(graph: &mut Graph, near: &[u32], node: u32) {
    let width = graph.width;
    let base = graph.base.to_mut();
    let list = |node: u32| node as usize * width..(node as usize + 1) * width;
    for other in near {
        if let Some(free) = base[list(*other)].iter_mut().find(|link| **link == NONE) {
            *free = node;
            return;
        }
    }
    let Some(nearest) = near.first() else {
        return;
    };
    let last = list(*nearest).end - 1;
    let given_up = std::mem::replace(&mut base[last], node);
    let own = &mut base[list(node)];
    let place = own
        .iter()
        .position(|link| *link == NONE)
        .unwrap_or(width - 1);
    own[place] = given_up;
}

/// Marks every node that the lowest layer leads to from `start`.
fn spread(graph: &Graph, start: u32, reached: &mut [bool]) {
    let mut open = vec![start];
    reached[start as usize] = true;
    let mut step = 0;
    while let Some(node) = open.pop() {
        give_way_at(step);
        step += 1;
        for to in graph.base_links(node) {
            if !std::mem::replace(&mut reached[to as usize], true) {
                open.push(to);
            }
        }
    }
}
