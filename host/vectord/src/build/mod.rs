//! Building what sealed segments are searched by.
//!
//! An [`Engine`] links the nodes, rows of distinct vectors; what it leaves
//! unreached is linked after it; then all are put in an order in which
//! neighbours lie near each other in memory.

mod connect;
mod grow;
mod hnsw_rs;
mod kept;
mod layers;
mod layout;
mod nodes;
mod select;
mod twins;

use std::cmp::Reverse;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::builders::Halt;
use crate::error::{Error, Result};
use crate::gathered::Gathered;
use crate::graph::Graph;
use crate::segment::{Coded, Sealed, Segment};
use crate::types::Engine;
use crate::validate::Spec;

use nodes::Nodes;
use twins::Twins;

/// What some rows became.
pub(crate) struct Built {
    /// Which row goes to each place.
    pub order: Vec<u32>,
    /// What searches the rows in that order.
    pub sealed: Sealed,
}

/// What a graph is to be like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Links of a node; twice as many in the lowest layer.
    pub m: usize,
    /// Candidates looked at for a new node.
    pub ef: usize,
}

/// What links nodes to a navigable graph.
trait Grow {
    /// Links all nodes, on the current rayon pool; none if it was ended meanwhile.
    fn grow(&self, nodes: &Nodes<'_>, shape: Shape, halt: &Halt<'_>) -> Option<Graph>;
}

/// How much time there is for a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Haste {
    /// As much as it takes: it is to last.
    None,
    /// One candidate in so many is looked at for each node.
    By(usize),
}

impl Haste {
    /// Whether what is added to goes on with a graph: one built in haste is only kept by
    /// another.
    fn keeps(self, sealed: &Sealed) -> bool {
        self != Self::None || !sealed.hasty
    }

    /// Puts first of some segments the one with the most links that are kept.
    pub fn put_kept_first(self, segments: &mut [Arc<Segment>]) {
        segments.sort_by_key(|segment| {
            let kept = segment.sealed.as_ref().filter(|it| self.keeps(it));
            Reverse(kept.map_or(0, |sealed| sealed.graph.nodes()))
        });
    }
}

/// Builds what searches some rows on the current rayon pool; none if it was ended
/// meanwhile.
pub(crate) fn build(
    spec: &Spec,
    engine: Engine,
    rows: &Gathered<'_>,
    haste: Haste,
    halt: &Halt<'_>,
) -> Result<Option<Built>> {
    let work = || build_unguarded(spec, engine, rows, haste, halt);
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

fn build_unguarded(
    spec: &Spec,
    engine: Engine,
    rows: &Gathered<'_>,
    haste: Haste,
    halt: &Halt<'_>,
) -> Option<Built> {
    let part = match haste {
        Haste::None => 1,
        Haste::By(part) => part,
    };
    let twins = Twins::find(rows);
    let nodes = Nodes::new(rows, &twins.first, haste);
    let engine: &dyn Grow = match engine {
        Engine::Own => &grow::Own,
        Engine::HnswRs => &hnsw_rs::HnswRs,
    };
    let shape = Shape {
        m: spec.m,
        ef: (spec.ef_construction / part).max(spec.m),
    };
    let mut graph = engine.grow(&nodes, shape, halt)?;
    nodes.with_field(connect::Connect { graph: &mut graph });
    let order = layout::order(&graph);
    let graph = layout::renumber(&graph, &order);
    let short = nodes.into_short(spec.quantization, &order);
    let (order, twins) = twins.arrange(&order);
    Some(Built {
        order,
        sealed: Sealed {
            graph,
            twins: twins.into(),
            short,
            hasty: haste != Haste::None,
        },
    })
}

impl Coded {
    /// Those of the nodes in another order.
    fn ordered(self, order: &[u32]) -> Self {
        let codes = self.codes.rows(self.quantizer.stride(), order);
        let bias: Vec<f32> = match &*self.bias {
            [] => Vec::new(),
            bias => order.iter().map(|node| bias[*node as usize]).collect(),
        };
        Self {
            quantizer: self.quantizer,
            codes: codes.into(),
            bias: bias.into(),
        }
    }
}
