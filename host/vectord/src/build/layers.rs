//! Packing lists of links into layers.

use crate::graph::{Graph, Upper};
use crate::walk::NONE;

/// Links by node and layer.
pub(super) struct Lists {
    /// The highest layer of each node, 0 being the lowest of all.
    pub levels: Vec<u8>,
    /// For each node, its links in each of its layers from the lowest up.
    pub links: Vec<Vec<Vec<u32>>>,
}

/// A graph of these lists, of which at most `m` links are taken, twice as
/// many in the lowest layer.
pub(super) fn pack(lists: &Lists, m: usize) -> Graph {
    let nodes = lists.levels.len();
    let top = lists.levels.iter().copied().max().unwrap_or(0);
    let mut graph = Graph {
        entry: 0,
        width: 2 * m,
        base: Vec::new().into(),
        uppers: Vec::new(),
    };
    // Places in the layer below and in this one.
    let mut below: Vec<u32> = Vec::new();
    for level in 0..=top {
        let width = if level == 0 { 2 * m } else { m };
        let rows = (0..nodes as u32).filter(|node| lists.levels[*node as usize] >= level);
        let rows: Vec<u32> = rows.collect();
        let mut places = vec![NONE; nodes];
        for (row, place) in rows.iter().zip(0..) {
            places[*row as usize] = place;
        }
        let mut links = Vec::with_capacity(rows.len() * width);
        for row in &rows {
            let end = links.len() + width;
            let list = lists.links[*row as usize].get(usize::from(level));
            let places = list.into_iter().flatten().map(|to| places[*to as usize]);
            links.extend(places.filter(|place| *place != NONE).take(width));
            links.resize(end, NONE);
        }
        if level == 0 {
            graph.base = links.into();
        } else {
            let down = rows.iter().map(|row| below[*row as usize]);
            graph.uppers.push(Upper {
                width,
                down: down.collect::<Vec<_>>().into(),
                rows: rows.into(),
                links: links.into(),
            });
        }
        below = places;
    }
    graph
}
