//! Growing a navigable graph (HNSW, Malkov and Yashunin 2016), many threads
//! at once.
//!
//! Lists of links are arrays of atomics. A thread that changes a list holds
//! the node's lock; readers take none: every value that they can see is a
//! node or the end, and a list half old and half new is a list to walk by.

use std::sync::atomic::{AtomicU16, AtomicU32, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::builders::Halt;
use crate::field::{Field, OnField};
use crate::graph::{Graph, Upper};
use crate::walk::{Links, NONE, Scratch, descend, score, walk};

use super::kept::Kept;
use super::nodes::Nodes;
use super::select::{Candidate, Selection};
use super::{Grow, Shape};

/// Most layers above the lowest.
const LEVELS: usize = 15;

/// The engine of this module.
pub(super) struct Own;

impl Grow for Own {
    fn grow(&self, nodes: &Nodes<'_>, shape: Shape, halt: &Halt<'_>) -> Option<Graph> {
        let kept = nodes.kept();
        nodes.with_field(Run { shape, kept, halt })
    }
}

struct Run<'a> {
    shape: Shape,
    kept: Option<&'a Kept<'a>>,
    halt: &'a Halt<'a>,
}

impl OnField for Run<'_> {
    type Output = Option<Graph>;

    fn run<F: Field>(self, field: &F) -> Option<Graph> {
        grow(field, self.shape, self.kept, self.halt)
    }
}

/// A graph being grown over the rows of a field.
pub(super) struct Growing<'a, F: Field> {
    field: &'a F,
    shape: Shape,
    /// The level of each node, 0 being the lowest.
    levels: Vec<u8>,
    /// Lists of the lowest layer, `2 * m` links each.
    base: Layer,
    /// Lists above, those of the nodes that reach there, from the lowest up.
    upper: Vec<Vec<Layer>>,
    locks: Vec<Mutex<()>>,
    entry: RwLock<(u32, usize)>,
}

/// Lists of a fixed number of links each.
struct Layer {
    width: usize,
    links: Vec<AtomicU32>,
    /// How many links at the beginning of each list were chosen together;
    /// those after them were added since. Changed with the node locked.
    chosen: Vec<AtomicU16>,
}

impl Layer {
    fn new(nodes: usize, width: usize) -> Self {
        let empty = || AtomicU32::new(NONE);
        let none = AtomicU16::default;
        Self {
            width,
            links: std::iter::repeat_with(empty).take(nodes * width).collect(),
            chosen: std::iter::repeat_with(none).take(nodes).collect(),
        }
    }

    fn list(&self, node: usize) -> &[AtomicU32] {
        &self.links[node * self.width..(node + 1) * self.width]
    }

    fn plain(self) -> Vec<u32> {
        self.links.into_iter().map(AtomicU32::into_inner).collect()
    }
}

fn each(list: &[AtomicU32], mut visit: impl FnMut(u32)) {
    for link in list {
        match link.load(Ordering::Relaxed) {
            NONE => return,
            to => visit(to),
        }
    }
}

/// Puts links in a list's place.
fn set(list: &[AtomicU32], links: impl Iterator<Item = u32>) {
    let ends = std::iter::repeat(NONE);
    for (slot, link) in list.iter().zip(links.chain(ends)) {
        slot.store(link, Ordering::Relaxed);
    }
}

/// One layer of a growing graph.
struct At<'a, 'b, F: Field> {
    growing: &'a Growing<'b, F>,
    level: usize,
}

impl<F: Field> Links for At<'_, '_, F> {
    #[inline]
    fn each(&self, node: u32, visit: impl FnMut(u32)) {
        each(self.growing.list(node, self.level), visit);
    }

    #[inline]
    fn prefetch(&self, node: u32) {
        crate::kernel::prefetch(self.growing.list(node, self.level));
    }
}

/// What a thread needs to insert, reused from node to node.
pub(super) struct Hands<F: Field> {
    scratch: Scratch,
    probe: F::Probe,
    selection: Selection<F>,
    /// Layer and node of each link of the node being inserted.
    joined: Vec<(usize, u32)>,
    rows: Vec<u32>,
}

impl<F: Field> Hands<F> {
    pub fn new() -> Self {
        Self {
            scratch: Scratch::default(),
            probe: F::Probe::default(),
            selection: Selection::new(),
            joined: Vec::new(),
            rows: Vec::new(),
        }
    }
}

/// A number for each node that looks random and is the same each time.
fn mixed(node: usize) -> u64 {
    let mut x = (node as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Grows a graph on the current rayon pool; none if it was ended meanwhile.
fn grow<F: Field>(
    field: &F,
    shape: Shape,
    kept: Option<&Kept<'_>>,
    halt: &Halt<'_>,
) -> Option<Graph> {
    let mut growing = Growing::new(field, shape, kept);
    // Neighbours often come one after the other, which makes poor graphs.
    let first = kept.map_or(0, |kept| kept.count);
    let mut order: Vec<u32> = (first as u32..field.rows() as u32).collect();
    order.sort_by_cached_key(|node| mixed(*node as usize ^ 0x5555_5555));
    match (kept, order.first()) {
        (Some(kept), _) => kept.take_over(&growing),
        (None, Some(node)) => {
            let level = usize::from(growing.levels[*node as usize]);
            growing.entry = RwLock::new((*node, level));
        }
        (None, None) => {}
    }
    // With nothing kept the first one is in already.
    let next = AtomicUsize::new(usize::from(kept.is_none()));
    rayon::broadcast(|_| {
        let mut hands = Hands::new();
        while halt.goes_on() {
            match order.get(next.fetch_add(1, Ordering::Relaxed)) {
                Some(node) => growing.insert(*node, &mut hands),
                None => return,
            }
        }
    });
    (!halt.has_ended()).then(|| growing.finish())
}

impl<'a, F: Field> Growing<'a, F> {
    fn new(field: &'a F, shape: Shape, kept: Option<&Kept<'_>>) -> Self {
        let nodes = field.rows();
        let scale = 1.0 / (shape.m as f64).ln();
        let level = |node| {
            // Above 0 and at most 1, of 53 bits.
            let uniform = ((mixed(node) >> 11) + 1) as f64 / (1_u64 << 53) as f64;
            (-uniform.ln() * scale).min(LEVELS as f64) as u8
        };
        let mut levels: Vec<u8> = (0..nodes).map(level).collect();
        let entry = kept.map_or((0, 0), |kept| kept.raise(&mut levels));
        let upper = levels.iter().map(|level| {
            let layers = (0..*level).map(|_| Layer::new(1, shape.m));
            layers.collect()
        });
        Self {
            field,
            shape,
            base: Layer::new(nodes, 2 * shape.m),
            upper: upper.collect(),
            locks: std::iter::repeat_with(Mutex::default).take(nodes).collect(),
            entry: RwLock::new(entry),
            levels,
        }
    }

    fn list(&self, node: u32, level: usize) -> &[AtomicU32] {
        match level {
            0 => self.base.list(node as usize),
            _ => self.upper[node as usize]
                .get(level - 1)
                .map_or(&[], |layer| layer.list(0)),
        }
    }

    /// How many links of a list were chosen together.
    fn chosen(&self, node: u32, level: usize) -> &AtomicU16 {
        match level {
            0 => &self.base.chosen[node as usize],
            _ => &self.upper[node as usize][level - 1].chosen[0],
        }
    }

    /// Puts links in the place of a node's.
    pub fn set(&self, node: u32, level: usize, links: &[u32]) {
        set(self.list(node, level), links.iter().copied());
    }

    /// Keeps of some links of a node those that growing would.
    pub fn thin(&self, node: u32, level: usize, links: &mut Vec<u32>, hands: &mut Hands<F>) {
        let selection = &mut hands.selection;
        selection.rank(self.field, node, links, 0);
        selection.select(self.field, self.list(node, level).len());
        links.clear();
        links.extend(selection.candidates.iter().map(|candidate| candidate.row));
    }

    /// Chooses among the candidates for a node, which is locked, and links it to those.
    fn choose(&self, node: u32, level: usize, most: usize, selection: &mut Selection<F>) {
        let selected = selection.select(self.field, most);
        let chosen = &selection.candidates;
        set(
            self.list(node, level),
            chosen.iter().map(|candidate| candidate.row),
        );
        let together = if selected { chosen.len() } else { 0 };
        // Lists are not as long as that.
        let together = u16::try_from(together).unwrap_or(0);
        self.chosen(node, level).store(together, Ordering::Relaxed);
    }

    fn insert(&self, node: u32, hands: &mut Hands<F>) {
        let level = usize::from(self.levels[node as usize]);
        let (entry, top) = *self.entry.read();
        // A node that rises above all others is alone in doing so.
        let rising = (level > top).then(|| self.entry.write());
        let (entry, top) = rising.as_deref().copied().unwrap_or((entry, top));
        let mut probe = std::mem::take(&mut hands.probe);
        self.field.aim(node, &mut probe);
        let mut near = (score(self.field, &probe, entry), entry);
        for level in (level + 1..=top).rev() {
            let links = At {
                growing: self,
                level,
            };
            near = descend(
                self.field,
                &probe,
                &links,
                near,
                |row| row,
                &mut hands.scratch,
            );
        }
        let mut start = near.1;
        hands.joined.clear();
        for level in (0..=level.min(top)).rev() {
            start = self.join(node, level, start, &probe, hands);
        }
        hands.probe = probe;
        // Only now may others find it: all of its lists lead on.
        let joined = std::mem::take(&mut hands.joined);
        for (level, other) in &joined {
            self.link_back(*other, node, *level, hands);
        }
        hands.joined = joined;
        if let Some(mut entry) = rising
            && level > entry.1
        {
            *entry = (node, level);
        }
    }

    /// Links a node to others of a layer; returns the nearest of them.
    fn join(
        &self,
        node: u32,
        level: usize,
        start: u32,
        probe: &F::Probe,
        hands: &mut Hands<F>,
    ) -> u32 {
        let links = At {
            growing: self,
            level,
        };
        let scratch = &mut hands.scratch;
        walk(self.field, probe, &links, start, self.shape.ef, scratch);
        let selection = &mut hands.selection;
        selection.candidates.clear();
        let found = scratch.pool.found().filter(|(_, row)| *row != node);
        selection
            .candidates
            .extend(found.map(|(distance, row)| Candidate {
                distance,
                row,
                chosen: false,
            }));
        let nearest = selection.candidates.first();
        let nearest = nearest.map_or(start, |candidate| candidate.row);
        let _own = self.locks[node as usize].lock();
        self.choose(node, level, self.shape.m, selection);
        let chosen = selection.candidates.iter();
        hands
            .joined
            .extend(chosen.map(|candidate| (level, candidate.row)));
        nearest
    }

    /// Links `node` to `new`, giving up links where the list is full.
    fn link_back(&self, node: u32, new: u32, level: usize, hands: &mut Hands<F>) {
        let _own = self.locks[node as usize].lock();
        let list = self.list(node, level);
        hands.rows.clear();
        each(list, |to| hands.rows.push(to));
        if hands.rows.contains(&new) {
            return;
        }
        if let Some(free) = list.get(hands.rows.len()) {
            free.store(new, Ordering::Relaxed);
            return;
        }
        hands.rows.push(new);
        let chosen = usize::from(self.chosen(node, level).load(Ordering::Relaxed));
        hands.selection.rank(self.field, node, &hands.rows, chosen);
        self.choose(node, level, list.len(), &mut hands.selection);
    }

    fn finish(self) -> Graph {
        let (entry, top) = self.entry.into_inner();
        let mut uppers = Vec::new();
        // Places of the layer below, by node.
        let mut below: Vec<u32> = (0..self.levels.len() as u32).collect();
        for level in 1..=top {
            let rows = (0..self.levels.len() as u32)
                .filter(|node| usize::from(self.levels[*node as usize]) >= level);
            let rows: Vec<u32> = rows.collect();
            let mut places = vec![NONE; self.levels.len()];
            for (row, place) in rows.iter().zip(0..) {
                places[*row as usize] = place;
            }
            let mut upper = Upper {
                down: rows
                    .iter()
                    .map(|row| below[*row as usize])
                    .collect::<Vec<_>>()
                    .into(),
                links: Vec::new().into(),
                rows: Vec::new().into(),
                width: self.shape.m,
            };
            let mut links = Vec::with_capacity(rows.len() * self.shape.m);
            for row in &rows {
                let start = links.len();
                each(self.upper[*row as usize][level - 1].list(0), |to| {
                    links.push(places[to as usize]);
                });
                links.resize(start + self.shape.m, NONE);
            }
            upper.links = links.into();
            upper.rows = rows.into();
            below = places;
            uppers.push(upper);
        }
        Graph {
            entry: below[entry as usize],
            width: self.base.width,
            base: self.base.plain().into(),
            uppers,
        }
    }
}
