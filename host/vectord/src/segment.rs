//! A segment: rows that never change, with the moment at which each died.
//!
//! Every write to an index has a sequence number. A row is seen by a reader
//! at sequence `s` if it died later than `s`, so readers of an older view see
//! what stood then while a writer marks rows dead.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::attributes::Attributes;
use crate::build::Built;
use crate::builders::giving_way;
use crate::column::Column;
use crate::field::{CodeForm, Codes, Floats, OnField, stride};
use crate::gathered::Gathered;
use crate::graph::Graph;
use crate::halves::Halves;
use crate::quantizer::Quantizer;
use crate::rows::{IdHash, Rows};
use crate::sketch::Sketches;
use crate::types::Distance;
use crate::validate::Space;

/// Sequence number of a death that has not happened.
pub(crate) const ALIVE: u64 = u64::MAX;
/// Rows from which it pays to gather what the metadata of rows in memory say.
const GATHERED: usize = 1024;
/// Rows from which it pays to draw sketches of those that are looked at one by one.
const SKETCHED: usize = 256;

/// A run of rows, with a graph if it was worth one.
#[derive(Debug)]
pub(crate) struct Segment {
    pub id: u64,
    pub space: Space,
    pub rows: Rows,
    pub sealed: Option<Sealed>,
    /// Bytes of its file; none if its rows are in the log alone.
    pub file_bytes: Option<u64>,
    /// Whether its file is of an earlier version and is to be written again.
    pub stale: bool,
    /// What its metadata say: from its file, or gathered when a filter asks.
    pub attributes: OnceLock<Attributes>,
    /// Sketches of its rows, if it has no graph and they are looked at one by one.
    pub sketches: OnceLock<Sketches>,
    /// Bytes of memory that its rows hold.
    memory: usize,
    died: Vec<AtomicU64>,
    dead: AtomicUsize,
}

/// What was built to search a segment's rows.
#[derive(Debug)]
pub(crate) struct Sealed {
    /// Its nodes are the first rows.
    pub graph: Graph,
    /// For each row after the nodes, the node whose vector it shares; rising.
    pub twins: Column<u32>,
    /// The nodes' vectors in a shorter form, to be searched by.
    pub short: Option<Short>,
    /// Whether the graph was built in haste: it is to be built anew.
    pub hasty: bool,
}

/// Rows in fewer bits than they came in.
#[derive(Debug)]
pub(crate) enum Short {
    Codes(Coded),
    Halves(Halves),
}

/// Rows in 8 bits a component.
#[derive(Debug)]
pub(crate) struct Coded {
    pub quantizer: Quantizer,
    pub codes: Column<i8>,
    /// See [`Codes`].
    pub bias: Column<f32>,
}

impl Coded {
    /// Bytes of memory that they hold, less what is mapped.
    pub fn memory(&self) -> usize {
        self.codes.memory() + self.bias.memory()
    }

    /// What searches them.
    pub fn field(&self, distance: Distance) -> Codes<'_> {
        let form = match distance {
            Distance::L2 => CodeForm::Squares,
            Distance::Cosine | Distance::Dot => CodeForm::Products,
        };
        Codes::new(&self.quantizer, &self.codes, &self.bias, form)
    }
}

impl Sealed {
    /// Bytes of memory that it holds, less what is mapped.
    fn memory(&self) -> usize {
        let short = match &self.short {
            Some(Short::Codes(coded)) => coded.memory(),
            Some(Short::Halves(halves)) => halves.values.memory(),
            None => 0,
        };
        self.graph.memory() + self.twins.memory() + short
    }

    /// Calls `take` with a node and the rows that share its vector, until it
    /// returns false.
    pub fn each_row(&self, node: u32, mut take: impl FnMut(usize) -> bool) -> bool {
        if !take(node as usize) {
            return false;
        }
        let first = self.twins.partition_point(|of| *of < node);
        let twins = self.twins[first..].iter().take_while(|of| **of == node);
        let nodes = self.graph.nodes();
        (first..).zip(twins).all(|(at, _)| take(nodes + at))
    }
}

impl Segment {
    pub fn new(id: u64, space: Space, rows: Rows) -> Self {
        let died: Vec<_> = (0..rows.len()).map(|_| AtomicU64::new(ALIVE)).collect();
        Self {
            memory: rows.memory() + died.len() * size_of::<AtomicU64>(),
            id,
            space,
            rows,
            sealed: None,
            file_bytes: None,
            stale: false,
            attributes: OnceLock::new(),
            sketches: OnceLock::new(),
            died,
            dead: AtomicUsize::new(0),
        }
    }

    /// Some rows in memory and what was built to search them, and which of them each of
    /// the segment's is.
    pub fn linked(id: u64, rows: &Gathered<'_>, built: Built) -> (Self, Vec<u32>) {
        let mut columns = Rows::with_capacity(rows.space, built.order.len());
        for row in giving_way(&built.order) {
            let (from, place) = rows.source(*row as usize);
            let metadata = from.rows.metadata.shared(place);
            let id = from.rows.shared_id(place);
            columns.push(rows.space, id, from.vector(place), metadata);
        }
        let mut segment = Self::new(id, rows.space, columns);
        segment.memory += built.sealed.memory();
        segment.sealed = Some(built.sealed);
        (segment, built.order)
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Bytes of memory that it holds, less what is mapped.
    pub fn memory(&self) -> usize {
        let attributes = self.attributes.get().map_or(0, Attributes::memory);
        let sketches = self.sketches.get().map_or(0, Sketches::memory);
        self.memory + attributes + sketches
    }

    pub fn vector(&self, row: usize) -> &[f32] {
        self.rows.vector(self.space, row)
    }

    /// The rows as what ranks them sees them.
    pub fn floats(&self) -> Floats<'_> {
        let stride = stride(self.space.dimension);
        let matrix: &[f32] = &self.rows.vectors;
        match self.space.distance {
            Distance::L2 => Floats::squares(matrix, stride),
            Distance::Cosine => Floats::angles(matrix, stride, &self.rows.scales),
            Distance::Dot => Floats::products(matrix, stride),
        }
    }

    /// Does some work on the nodes, in the form in which they are searched.
    pub fn with_field<W: OnField>(&self, sealed: &Sealed, work: W) -> W::Output {
        let Space {
            dimension,
            distance,
        } = self.space;
        match &sealed.short {
            Some(Short::Codes(coded)) => work.run(&coded.field(distance)),
            Some(Short::Halves(halves)) => work.run(&halves.floats(distance, stride(dimension))),
            None => work.run(&self.floats()),
        }
    }

    /// When the row died, [`ALIVE`] if it did not.
    pub fn died(&self, row: usize) -> u64 {
        self.died[row].load(Ordering::Acquire)
    }

    /// Marks a row dead from `seq` on.
    pub fn kill(&self, row: usize, seq: u64) {
        if self.died[row].swap(seq, Ordering::AcqRel) == ALIVE {
            self.dead.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Rows that have died by now.
    pub fn dead(&self) -> usize {
        self.dead.load(Ordering::Relaxed)
    }

    /// Whether a reader at `seq` sees the row.
    pub fn live_at(&self, row: usize, seq: u64) -> bool {
        self.died(row) > seq
    }

    /// Rows that a reader at `seq` sees.
    pub fn live(&self, seq: u64) -> impl Iterator<Item = usize> + '_ {
        (0..self.len()).filter(move |row| self.live_at(*row, seq))
    }

    /// The row of an id that a reader at `seq` sees; the id's hash is given
    /// too.
    pub fn find(&self, id: &str, hash: IdHash, seq: u64) -> Option<usize> {
        let row = self.rows.find(id, hash)?;
        self.live_at(row, seq).then_some(row)
    }

    /// A segment of the rows of some in memory, one after the other. Under the id of the
    /// first, whose rows keep their places.
    pub fn joined(id: u64, space: Space, parts: &[Arc<Self>]) -> Self {
        let rows: Vec<_> = parts.iter().map(|part| &part.rows).collect();
        let joined = Self::new(id, space, Rows::joined(&rows));
        let deaths = parts.iter().flat_map(|part| &part.died);
        for (row, death) in deaths.map(|d| d.load(Ordering::Acquire)).enumerate() {
            if death != ALIVE {
                joined.kill(row, death);
            }
        }
        joined
    }

    /// Draws sketches of its rows, if it has no graph, and enough rows for that to pay.
    pub fn sketch_if_worth(&self) {
        if self.sealed.is_none() && self.len() >= SKETCHED {
            self.sketches
                .get_or_init(|| Sketches::draw(self.space, &self.rows));
        }
    }

    /// What the metadata say, unless there are too few rows for that to pay.
    pub fn attributes_if_worth(&self) -> Option<&Attributes> {
        if let Some(attributes) = self.attributes.get() {
            return Some(attributes);
        }
        let texts = &self.rows.metadata;
        (self.len() >= GATHERED).then(|| {
            let gather = || Attributes::build((0..texts.len()).map(|row| texts.get(row)));
            self.attributes.get_or_init(gather)
        })
    }
}
