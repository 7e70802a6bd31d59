//! Growing a graph with the crate `hnsw_rs`: an engine to choose, and what
//! the tests hold our own against.
//!
//! What is known of it (0.3.5) and kept from it here: it ends the process
//! when asked for more than 256 links, panics on distances that are negative
//! or not numbers, and leaves points without links when several threads
//! insert the first ones at once.

use hnsw_rs::prelude::{Distance as Metric, Hnsw};

use crate::builders::Halt;
use crate::field::stride;
use crate::graph::Graph;
use crate::kernel::{Level, Number};
use crate::types::Distance;

use super::layers::{Lists, pack};
use super::nodes::Nodes;
use super::{Grow, Shape};

/// Layers that `hnsw_rs` can have.
const LAYERS: usize = 16;
/// Most links that its 8-bit counter holds.
const LINKS: usize = 255;
/// Rows inserted by one thread before the others join.
const ALONE: usize = 256;
/// Rows inserted between two looks at whether to stop.
const CHUNK: usize = 2048;

/// The engine of this module.
pub(super) struct HnswRs;

/// Squared Euclidean distance, to which every space is mapped.
struct Euclid(Level);

impl Metric<f32> for Euclid {
    fn eval(&self, a: &[f32], b: &[f32]) -> f32 {
        let mut square = [0.0];
        f32::squares(self.0, a, b, &[0], &mut square);
        square[0]
    }
}

/// A node's vector where squared Euclidean distance orders as the index's
/// distance does: on the unit sphere for cosine; for inner products on a
/// sphere around the origin, by one more component.
fn mapped(nodes: &Nodes<'_>, node: usize) -> Vec<f32> {
    let mut vector = match nodes.distance() {
        Distance::Cosine => nodes.directed(node).into_owned(),
        Distance::L2 | Distance::Dot => nodes.vector(node).to_vec(),
    };
    vector.extend(nodes.missing(node));
    vector.resize(stride(vector.len()), 0.0);
    vector
}

impl Grow for HnswRs {
    fn grow(&self, nodes: &Nodes<'_>, shape: Shape, halt: &Halt<'_>) -> Option<Graph> {
        let m = shape.m.min(LINKS);
        let hnsw = Hnsw::new(m, nodes.len(), LAYERS, shape.ef, Euclid(Level::best()));
        let alone = nodes.len().min(ALONE);
        for node in 0..alone {
            hnsw.insert((&mapped(nodes, node), node));
        }
        let rest: Vec<usize> = (alone..nodes.len()).collect();
        for chunk in rest.chunks(CHUNK) {
            if !halt.goes_on() {
                return None;
            }
            let mapped: Vec<_> = chunk
                .iter()
                .map(|node| (mapped(nodes, *node), *node))
                .collect();
            let pairs: Vec<_> = mapped
                .iter()
                .map(|(vector, node)| (vector, *node))
                .collect();
            hnsw.parallel_insert(&pairs);
        }
        Some(flatten(&hnsw, nodes.len(), m))
    }
}

/// Lays the links out flat.
fn flatten(hnsw: &Hnsw<'_, f32, Euclid>, nodes: usize, m: usize) -> Graph {
    let mut lists = Lists {
        levels: vec![0; nodes],
        links: vec![Vec::new(); nodes],
    };
    let points = hnsw.get_point_indexation();
    for level in 0..LAYERS {
        for point in points.get_layer_iterator(level) {
            let node = point.get_origin_id();
            lists.levels[node] = level as u8;
            let mut layers = point.get_neighborhood_id();
            // Above its own level a point keeps a note of where it came from.
            layers.truncate(level + 1);
            let plain = |layer: &Vec<hnsw_rs::prelude::Neighbour>| {
                layer.iter().map(|n| n.d_id as u32).collect()
            };
            lists.links[node] = layers.iter().map(plain).collect();
        }
    }
    pack(&lists, m)
}
