//! One query across the segments of an index.

use std::sync::Arc;

use crate::filter::Filter;
use crate::kernel;
use crate::search::Probe;
use crate::segment::Segment;

/// A row that was found, ranked by its exact distance and then by its id.
#[derive(Clone, Copy)]
pub(crate) struct Ranked<'a> {
    pub distance: f64,
    pub segment: &'a Segment,
    pub row: usize,
}

/// What to look for.
pub(crate) struct Across<'a> {
    pub probe: Probe<'a>,
    /// The vector as it came.
    pub vector: &'a [f32],
    pub filter: Option<&'a Filter>,
    /// Candidates kept in a walk over all rows.
    pub ef: usize,
}

impl Across<'_> {
    /// The nearest `k`, nearest first.
    ///
    /// Of rows that came to segments by chance each segment holds its share of the nearest,
    /// so its graph is searched for no more than that, with something to spare. Where one
    /// turns out to hold more than it was searched for, it is as if it were alone.
    pub fn nearest<'s>(&self, segments: &'s [Arc<Segment>]) -> Vec<Ranked<'s>> {
        let k = self.probe.k;
        let widest = self.ef.max(k);
        let rows = segments.iter().map(|segment| segment.len()).sum();
        let ef = |segment: &Segment| match (&segment.sealed, self.filter) {
            (Some(_), None) => part(segment.len(), rows, widest).max(k),
            // All rows are looked at, or what the filter takes may be in one segment alone.
            (None, _) | (_, Some(_)) => widest,
        };
        let mut found = Vec::new();
        for segment in segments {
            self.look(segment, ef(segment), &mut found);
        }
        rank(&mut found);
        for segment in segments.iter().filter(|segment| ef(segment) < widest) {
            let nearest = found.iter().take(k);
            let held = nearest.filter(|hit| hit.segment.id == segment.id).count();
            if held * widest > ef(segment) * k {
                found.retain(|hit| hit.segment.id != segment.id);
                self.look(segment, widest, &mut found);
                rank(&mut found);
            }
        }
        found.truncate(k);
        found
    }

    fn look<'s>(&self, segment: &'s Segment, ef: usize, found: &mut Vec<Ranked<'s>>) {
        let rows = segment.search(&self.probe, ef, self.filter);
        let distance = segment.space.distance;
        found.extend(rows.into_iter().map(|row| Ranked {
            distance: kernel::exact(distance, self.vector, segment.vector(row)),
            segment,
            row,
        }));
    }
}

fn rank(found: &mut [Ranked<'_>]) {
    found.sort_unstable_by(|a, b| {
        let ids = || a.segment.rows.id(a.row).cmp(b.segment.rows.id(b.row));
        a.distance.total_cmp(&b.distance).then_with(ids)
    });
}

/// Candidates kept in a segment of `rows` among `all`, if `ef` are over all rows: twice
/// its share, and three times as many more as chance makes the share differ by.
fn part(rows: usize, all: usize, ef: usize) -> usize {
    let share = ef as f64 * rows as f64 / all.max(1) as f64;
    let part = 2.0 * share + 3.0 * share.sqrt();
    (part.ceil() as usize).min(ef)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_searched_for_its_share_and_some_more() {
        assert_eq!(part(100_000, 100_000, 64), 64);
        assert_eq!(part(60_000, 100_000, 64), 64);
        assert_eq!(part(10_000, 100_000, 64), 21);
        assert_eq!(part(1, 1_000_000, 64), 1);
        assert_eq!(part(0, 0, 64), 0);
    }
}
