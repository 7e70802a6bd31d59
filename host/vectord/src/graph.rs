//! A navigable graph, flat and immutable, and how it is searched.

use crate::column::Column;
use crate::field::Field;
use crate::pool::Pool;
use crate::walk::{
    Forecast, Links, NONE, Scratch, descend, look_at_rest, score, walk, walk_accepted,
};

/// Layers of links, each list of a fixed width and ended by [`NONE`] if it is
/// not full.
#[derive(Debug)]
pub(crate) struct Graph {
    /// A node of the highest layer, by its place there.
    pub entry: u32,
    /// Links of a list in the lowest layer.
    pub width: usize,
    /// The lists of the lowest layer, where every row is a node.
    pub base: Column<u32>,
    /// The layers above, from the lowest up.
    pub uppers: Vec<Upper>,
}

/// A layer above the lowest: its nodes have places, which links lead to.
#[derive(Debug)]
pub(crate) struct Upper {
    /// Links of a list.
    pub width: usize,
    /// The row at each place, rising.
    pub rows: Column<u32>,
    /// Its place in the layer below.
    pub down: Column<u32>,
    pub links: Column<u32>,
}

/// The lists of one layer.
struct Lists<'a> {
    width: usize,
    links: &'a [u32],
}

impl Lists<'_> {
    #[inline]
    fn list(&self, node: u32) -> &[u32] {
        let start = node as usize * self.width;
        &self.links[start..start + self.width]
    }
}

impl Links for Lists<'_> {
    #[inline]
    fn each(&self, node: u32, mut visit: impl FnMut(u32)) {
        for link in self.list(node) {
            if *link == NONE {
                return;
            }
            visit(*link);
        }
    }

    #[inline]
    fn prefetch(&self, node: u32) {
        crate::kernel::prefetch(self.list(node));
    }
}

impl Graph {
    /// Nodes of the lowest layer.
    pub fn nodes(&self) -> usize {
        self.base.len() / self.width
    }

    /// Bytes of memory that it holds, less what is mapped.
    pub fn memory(&self) -> usize {
        let upper =
            |upper: &Upper| upper.rows.memory() + upper.down.memory() + upper.links.memory();
        self.base.memory() + self.uppers.iter().map(upper).sum::<usize>()
    }

    /// The node of the lowest layer where walks begin.
    pub fn base_entry(&self) -> u32 {
        let down = |place: u32, upper: &Upper| upper.down[place as usize];
        self.uppers.iter().rev().fold(self.entry, down)
    }

    /// Out-links of a node in the lowest layer.
    pub fn base_links(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        let start = node as usize * self.width;
        let list = self.base[start..start + self.width].iter().copied();
        list.take_while(|link| *link != NONE)
    }

    /// Walks to the `ef` nodes nearest to a probe, of which the `wanted` nearest
    /// at least are in the scratch's pool then. Looks at each node instead where
    /// that is less work.
    pub fn search<F: Field>(
        &self,
        field: &F,
        probe: &F::Probe,
        ef: usize,
        wanted: usize,
        scratch: &mut Scratch,
    ) {
        /// Beyond this keeping the candidates in order is the most of the work.
        const WIDEST: usize = 16_384;
        if ef > WIDEST {
            scratch.start(field.rows(), wanted);
            return look_at_rest(field, probe, self.nodes(), wanted, scratch);
        }
        let start = self.descend(field, probe, scratch);
        let lists = self.lists();
        if !Pool::is_wide(ef) {
            return walk(field, probe, &lists, start, ef, scratch);
        }
        let mut forecast = Forecast::new(self.nodes(), ef);
        let goes_on = |left, scored| forecast.goes_on(left, scored);
        let all = |_| true;
        if !walk_accepted(field, probe, &lists, start, ef, goes_on, all, scratch) {
            look_at_rest(field, probe, self.nodes(), wanted, scratch);
        }
    }

    /// Walks to the `ef` nodes nearest to a probe among those that `accept`
    /// takes, which are in the scratch's pool then. False if scoring `budget`
    /// nodes did not suffice.
    pub fn search_accepted<F: Field>(
        &self,
        field: &F,
        probe: &F::Probe,
        ef: usize,
        budget: usize,
        accept: impl Fn(u32) -> bool,
        scratch: &mut Scratch,
    ) -> bool {
        let start = self.descend(field, probe, scratch);
        let lists = self.lists();
        let goes_on = |_, scored| scored <= budget;
        walk_accepted(field, probe, &lists, start, ef, goes_on, accept, scratch)
    }

    fn lists(&self) -> Lists<'_> {
        Lists {
            width: self.width,
            links: &self.base,
        }
    }

    /// A node of the lowest layer near to a probe.
    fn descend<F: Field>(&self, field: &F, probe: &F::Probe, scratch: &mut Scratch) -> u32 {
        let mut place = self.entry;
        for upper in self.uppers.iter().rev() {
            let rows: &[u32] = &upper.rows;
            let lists = Lists {
                width: upper.width,
                links: &upper.links,
            };
            let start = (score(field, probe, rows[place as usize]), place);
            let row_of = |place: u32| rows[place as usize];
            let (_, found) = descend(field, probe, &lists, start, row_of, scratch);
            place = upper.down[found as usize];
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Floats;
    use crate::kernel::FLOATS;

    /// Numbers without order, from 0 to 1.
    fn noise(seed: u64) -> impl FnMut() -> f32 {
        let mut state = seed;
        move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f32 / (1 << 24) as f32
        }
    }

    #[test]
    fn a_walk_that_would_score_most_nodes_looks_at_each() {
        const NODES: u32 = 5000;
        const WIDTH: usize = 16;
        // Vectors that share a node's come behind the nodes.
        const ROWS: usize = NODES as usize + 70;
        let mut noise = noise(7);
        let matrix: Vec<f32> = (0..ROWS * FLOATS).map(|_| noise()).collect();
        let field = Floats::squares(&matrix, FLOATS);
        // Links without order too: a walk to the nearest sees few of them.
        let links = (0..NODES as usize * WIDTH).map(|_| (noise() * NODES as f32) as u32);
        let graph = Graph {
            entry: 0,
            width: WIDTH,
            base: links.collect::<Vec<_>>().into(),
            uppers: Vec::new(),
        };
        let probe = field.query(&[0.5; FLOATS]);
        let mut nodes: Vec<_> = (0..NODES)
            .map(|row| (score(&field, &probe, row), row))
            .collect();
        nodes.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut scratch = Scratch::default();
        for wanted in [10, 700] {
            for ef in [1000, 20_000] {
                graph.search(&field, &probe, ef, wanted, &mut scratch);
                let found: Vec<_> = scratch.pool.found().collect();
                assert_eq!(found, nodes[..wanted]);
            }
        }
    }
}
