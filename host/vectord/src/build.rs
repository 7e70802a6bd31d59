//! Building graphs with `hnsw_rs`, and laying them out flat.
//!
//! `hnsw_rs` is used for construction alone. What is known of it (0.3.5) and
//! kept from it here: it ends the process when asked for more than 256 links,
//! panics on distances that are negative or not numbers, and leaves points
//! without links when several threads insert the first ones at once.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use hnsw_rs::prelude::{Distance as Metric, Hnsw};

use crate::error::{Error, Result};
use crate::graph::{Graph, Layer};
use crate::kernel;
use crate::segment::{Rows, unit};
use crate::types::Distance;
use crate::validate::Spec;

/// Layers that `hnsw_rs` can have.
const LAYERS: usize = 16;
/// Most links that its 8-bit counter holds.
const LINKS: usize = 255;
/// Rows inserted by one thread before the others join.
const ALONE: usize = 256;
/// Rows inserted between two looks at whether to stop.
const CHUNK: usize = 2048;

/// Squared Euclidean distance: every space is mapped to it.
struct Euclid;

impl Metric<f32> for Euclid {
    fn eval(&self, a: &[f32], b: &[f32]) -> f32 {
        kernel::l2(a, b)
    }
}

/// Maps vectors to where squared Euclidean distance orders them as the
/// index's distance does: to the unit sphere for cosine; for inner products
/// to a sphere around the origin, by one more component (a query's is 0).
struct Mapping {
    distance: Distance,
    longest: f64,
}

impl Mapping {
    fn new(spec: &Spec, rows: &Rows) -> Self {
        let longest = match spec.space.distance {
            Distance::Dot => {
                let all = rows.vectors.chunks_exact(spec.space.dimension);
                all.map(kernel::norm).fold(0.0, f64::max)
            }
            Distance::Cosine | Distance::L2 => 0.0,
        };
        Self {
            distance: spec.space.distance,
            longest,
        }
    }

    fn map(&self, vector: &[f32]) -> Vec<f32> {
        match self.distance {
            Distance::L2 => vector.to_vec(),
            Distance::Cosine => unit(vector),
            Distance::Dot => {
                let rest = self.longest.powi(2) - kernel::norm(vector).powi(2);
                let mut mapped = vector.to_vec();
                mapped.push(rest.max(0.0).sqrt() as f32);
                mapped
            }
        }
    }
}

/// Builds the graph of some rows on the current rayon pool; none if `stop`
/// was set meanwhile.
pub(crate) fn build(spec: &Spec, rows: &Rows, stop: &AtomicBool) -> Result<Option<Graph>> {
    let work = || {
        let twins = Twins::find(spec, rows);
        let hnsw = insert(spec, rows, &twins.first, stop)?;
        let mut unsealed = flatten(&hnsw, rows.len());
        twins.link(&mut unsealed);
        Some(connect(unsealed, spec, rows))
    };
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Error::internal(format!(
            "building the graph of {} rows of index {} failed: {}",
            rows.len(),
            spec.name,
            text.unwrap_or("no message")
        ))
    })
}

/// Rows of equal vectors. Only the first of them is a node with links of its
/// own: equal ones would fill each other's lists, and no walk would get out
/// of their crowd. The others hang on it, one after another.
struct Twins {
    /// Rows whose vector no earlier one has.
    first: Vec<usize>,
    /// A row and the next one of the same vector.
    next: Vec<(usize, usize)>,
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
        self.words().for_each(|word| state.write_u32(word));
    }
}

impl Twins {
    fn find(spec: &Spec, rows: &Rows) -> Self {
        let mut last = HashMap::with_capacity(rows.len());
        let mut twins = Self {
            first: Vec::new(),
            next: Vec::new(),
        };
        for row in 0..rows.len() {
            match last.insert(Bits(rows.vector(spec.space, row)), row) {
                None => twins.first.push(row),
                Some(before) => twins.next.push((before, row)),
            }
        }
        twins
    }

    fn link(&self, unsealed: &mut Unsealed) {
        for (before, row) in &self.next {
            unsealed.links[*row] = vec![Vec::new()];
            unsealed.links[*before][0].push(*row as u32);
        }
    }
}

/// Inserts the chosen rows; none if `stop` was set meanwhile.
fn insert(
    spec: &Spec,
    rows: &Rows,
    chosen: &[usize],
    stop: &AtomicBool,
) -> Option<Hnsw<'static, f32, Euclid>> {
    let mapping = Mapping::new(spec, rows);
    let hnsw = Hnsw::new(
        spec.m.min(LINKS),
        chosen.len(),
        LAYERS,
        spec.ef_construction.max(spec.m),
        Euclid,
    );
    let map = |row: &usize| (mapping.map(rows.vector(spec.space, *row)), *row);
    let (alone, together) = chosen.split_at(chosen.len().min(ALONE));
    for (vector, row) in alone.iter().map(map) {
        hnsw.insert((&vector, row));
    }
    for chunk in together.chunks(CHUNK) {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        let mapped: Vec<_> = chunk.iter().map(map).collect();
        let pairs: Vec<_> = mapped.iter().map(|(vector, row)| (vector, *row)).collect();
        hnsw.parallel_insert(&pairs);
    }
    Some(hnsw)
}

/// Lays the links out flat.
fn flatten(hnsw: &Hnsw<'_, f32, Euclid>, rows: usize) -> Unsealed {
    let mut levels = vec![0_u8; rows];
    let mut links: Vec<Vec<Vec<u32>>> = vec![Vec::new(); rows];
    let points = hnsw.get_point_indexation();
    for level in 0..LAYERS {
        for point in points.get_layer_iterator(level) {
            let row = point.get_origin_id();
            levels[row] = level as u8;
            let mut layers = point.get_neighborhood_id();
            // Above its own level a point keeps a note of where it came from.
            layers.truncate(level + 1);
            let plain = |layer: &Vec<hnsw_rs::prelude::Neighbour>| {
                layer.iter().map(|n| n.d_id as u32).collect()
            };
            links[row] = layers.iter().map(plain).collect();
        }
    }
    Unsealed { levels, links }
}

/// Links by row and layer, before they are packed.
struct Unsealed {
    levels: Vec<u8>,
    links: Vec<Vec<Vec<u32>>>,
}

impl Unsealed {
    fn pack(&self) -> Graph {
        let top = self.levels.iter().copied().max().unwrap_or(0);
        let entry = self.levels.iter().position(|level| *level == top);
        let layers = (0..=top).map(|level| {
            let mut layer = Layer::default();
            layer.offsets.push(0);
            for (row, links) in self.links.iter().enumerate() {
                if self.levels[row] < level {
                    continue;
                }
                if level > 0 {
                    layer.nodes.push(row as u32);
                }
                if let Some(links) = links.get(usize::from(level)) {
                    let here = |to: &&u32| self.levels[**to as usize] >= level;
                    layer.links.extend(links.iter().filter(here));
                }
                layer.offsets.push(layer.links.len() as u32);
            }
            layer
        });
        Graph {
            layers: layers.collect(),
            entry: entry.unwrap_or(0) as u32,
        }
    }
}

/// Packs the links, after linking rows that no walk from the entry reaches
/// (many equal vectors crowd each other's lists) to their nearest that one
/// does, both ways.
fn connect(mut unsealed: Unsealed, spec: &Spec, rows: &Rows) -> Graph {
    /// Candidates looked at to find a row's nearest.
    const WIDTH: usize = 16;
    let mapping = Mapping::new(spec, rows);
    let graph = unsealed.pack();
    let mut reached = vec![false; rows.len()];
    spread(&unsealed, graph.entry, &mut reached);
    let lost: Vec<usize> = (0..rows.len()).filter(|row| !reached[*row]).collect();
    if lost.is_empty() {
        return graph;
    }
    for row in lost {
        if reached[row] {
            continue;
        }
        let here = mapping.map(rows.vector(spec.space, row));
        let score = |to: u32| {
            let there = mapping.map(rows.vector(spec.space, to as usize));
            kernel::l2(&here, &there)
        };
        let near = graph.search(WIDTH, score, |to| reached[to as usize]);
        let near = near.first().map_or(graph.entry, |candidate| candidate.row);
        unsealed.links[near as usize][0].push(row as u32);
        unsealed.links[row][0].push(near);
        spread(&unsealed, row as u32, &mut reached);
    }
    unsealed.pack()
}

/// Marks every row that the lowest layer leads to from `start`.
fn spread(unsealed: &Unsealed, start: u32, reached: &mut [bool]) {
    let mut open = vec![start];
    reached[start as usize] = true;
    while let Some(row) = open.pop() {
        let links = unsealed.links[row as usize].first();
        for &to in links.into_iter().flatten() {
            if !std::mem::replace(&mut reached[to as usize], true) {
                open.push(to);
            }
        }
    }
}
