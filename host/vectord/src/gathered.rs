//! Rows of several segments, taken together to become one.

use std::sync::Arc;

use crate::segment::{ALIVE, Segment};
use crate::validate::Space;

/// The rows of some segments that a reader at one moment sees.
pub(crate) struct Gathered<'a> {
    pub space: Space,
    inputs: &'a [Arc<Segment>],
    /// For each row, which input it is from and its place there.
    sources: Vec<(u32, u32)>,
}

impl<'a> Gathered<'a> {
    pub fn new(space: Space, inputs: &'a [Arc<Segment>], seq: u64) -> Self {
        let mut sources = Vec::new();
        for (input, segment) in (0..).zip(inputs) {
            sources.extend(segment.live(seq).map(|row| (input, row as u32)));
        }
        Self {
            space,
            inputs,
            sources,
        }
    }

    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// The segment that a row is from, and its place there.
    pub fn source(&self, row: usize) -> (&'a Segment, usize) {
        let (input, place) = self.sources[row];
        (&self.inputs[input as usize], place as usize)
    }

    /// Marks those rows of a segment dead that have died meanwhile; `order` says which
    /// of these rows each of the segment's is.
    pub fn carry_deaths(&self, order: &[u32], to: &Segment) {
        for (row, of) in order.iter().enumerate() {
            let (source, place) = self.source(*of as usize);
            let died = source.died(place);
            if died != ALIVE {
                to.kill(row, died);
            }
        }
    }

    pub fn id(&self, row: usize) -> &'a str {
        let (segment, place) = self.source(row);
        segment.rows.id(place)
    }

    pub fn metadata(&self, row: usize) -> Option<&'a str> {
        let (segment, place) = self.source(row);
        segment.rows.metadata.get(place)
    }

    pub fn vector(&self, row: usize) -> &'a [f32] {
        let (segment, place) = self.source(row);
        segment.vector(place)
    }

    /// One over the length of a row's vector under cosine, else one.
    pub fn scale(&self, row: usize) -> f32 {
        let (segment, place) = self.source(row);
        segment.rows.scale(place)
    }
}
