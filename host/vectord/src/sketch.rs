//! Looking at each row of a segment by a sketch of it.
//!
//! A sketch has a row's components in 8 bits each, and how far the row is from what they
//! stand for. By Cauchy and Schwarz that bounds how far the score of the sketch is from that
//! of the row, so that of most rows the sketch alone tells that they are not among the
//! nearest, for a quarter of the memory. The others are scored by their vectors: nothing
//! that is near is missed.

use crate::field::{Field, stride};
use crate::kernel::{self, Level, Number};
use crate::nearest::{Candidate, Nearest};
use crate::quantizer::{Quantizer, TOP};
use crate::rows::Rows;
use crate::search::CHUNK;
use crate::segment::Coded;
use crate::types::Distance;
use crate::validate::Space;

/// How far rounding in single precision may move what is computed, in parts of it.
const ROUNDING: f32 = 1e-5;

/// Sketches of some rows.
#[derive(Debug)]
pub(crate) struct Sketches {
    distance: Distance,
    /// Its bias is, under L2, that of the rows themselves.
    coded: Coded,
    /// The distance of each row from what its codes stand for, and what rounding adds.
    errors: Vec<f32>,
}

impl Sketches {
    /// Draws them, on the calling thread.
    pub fn draw(space: Space, rows: &Rows) -> Self {
        let (dimension, padded) = (space.dimension, stride(space.dimension));
        let directed = |row: usize, out: &mut Vec<f32>| {
            let scale = rows.scale(row);
            out.clear();
            out.extend(rows.vector(space, row).iter().map(|value| value * scale));
        };
        let mut vector = Vec::with_capacity(padded);
        let mut least = vec![f32::INFINITY; dimension];
        let mut most = vec![f32::NEG_INFINITY; dimension];
        for row in 0..rows.len() {
            directed(row, &mut vector);
            for ((least, most), value) in least.iter_mut().zip(&mut most).zip(&vector) {
                // Not `min`, which minds what is not a number and takes longer.
                *least = if *value < *least { *value } else { *least };
                *most = if *value > *most { *value } else { *most };
            }
        }
        let quantizer = Quantizer::between(&least, &most);
        let level = Level::best();
        let stride = quantizer.stride();
        let mut codes = vec![0; rows.len() * stride];
        let mut errors = vec![0.0; rows.len()];
        let mut squares = match space.distance {
            Distance::L2 => vec![0.0; rows.len()],
            Distance::Cosine | Distance::Dot => Vec::new(),
        };
        // Padded with zeros: how far each component is from the centre, and from its code.
        let (mut offset, mut rest) = (vec![0.0; padded], vec![0.0; padded]);
        let length = |vector: &[f32]| {
            let mut square = [0.0];
            f32::dots(level, vector, vector, &[0], &mut square);
            square[0].sqrt()
        };
        for (row, codes) in codes.chunks_mut(stride).enumerate() {
            directed(row, &mut vector);
            quantizer.encode(&vector, codes);
            let parts = quantizer.centre.iter().zip(&quantizer.step).zip(&*codes);
            let off = offset.iter_mut().zip(&mut rest);
            for (((offset, rest), value), ((centre, step), code)) in off.zip(&vector).zip(parts) {
                *offset = value - centre;
                *rest = *offset - step * f32::from(*code);
            }
            let far = length(&offset);
            errors[row] = length(&rest) + ROUNDING * far;
            if let Some(square) = squares.get_mut(row) {
                *square = far * far;
            }
        }
        Self {
            distance: space.distance,
            coded: Coded {
                quantizer,
                codes: codes.into(),
                bias: squares.into(),
            },
            errors,
        }
    }

    /// Bytes of memory that they hold.
    pub fn memory(&self) -> usize {
        self.coded.memory() + self.errors.capacity() * size_of::<f32>()
    }

    /// Those of the live rows of which one cannot tell that they are not among the `wanted`
    /// nearest.
    pub fn candidates(
        &self,
        vector: &[f32],
        wanted: usize,
        live: impl Fn(usize) -> bool,
    ) -> Vec<usize> {
        let field = self.coded.field(self.distance);
        let probe = field.query(vector);
        // A row's score is that of its codes, within `spread` times its error and `slack`.
        let centre = &self.coded.quantizer.centre;
        let spread = match self.distance {
            Distance::L2 => 2.0 * kernel::exact(Distance::L2, vector, centre).sqrt(),
            Distance::Cosine | Distance::Dot => kernel::norm(vector),
        } as f32;
        let slack = match probe.factor() {
            // Of a query too short for codes nothing is known.
            0.0 => f32::INFINITY,
            // Each of its codes is off by half at most, and a row's are 127 at most.
            factor => factor * TOP * 0.5 * centre.len() as f32,
        };
        // By the farthest that they may be: what may not be as near is none of them.
        let mut farthest = Nearest::new(wanted);
        let mut maybe: Vec<(f32, u32)> = Vec::new();
        let mut some = Vec::with_capacity(CHUNK);
        let mut scores = [0.0; CHUNK];
        let rows = self.errors.len() as u32;
        for start in (0..rows).step_by(CHUNK) {
            some.clear();
            some.extend(start..rows.min(start + CHUNK as u32));
            let scores = &mut scores[..some.len()];
            field.scores(&probe, &some, scores);
            for (row, score) in some.iter().zip(scores) {
                let place = *row as usize;
                let square = self.coded.bias.get(place).copied().unwrap_or(0.0);
                let off = spread * self.errors[place] + slack + ROUNDING * square;
                if *score - off > farthest.bound() || !live(place) {
                    continue;
                }
                farthest.offer(Candidate {
                    score: *score + off,
                    row: *row,
                });
                maybe.push((*score - off, *row));
            }
        }
        let bound = farthest.bound();
        let near = maybe.iter().filter(|(nearest, _)| *nearest <= bound);
        near.map(|(_, row)| *row as usize).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::segment::Segment;
    use crate::service::{Config, Service};
    use crate::types::{IndexSpec, Item, Query};

    fn rows(space: Space, vectors: &[Vec<f32>]) -> Rows {
        let mut rows = Rows::with_capacity(space, vectors.len());
        for (row, vector) in vectors.iter().enumerate() {
            rows.push(space, row.to_string().into(), vector, None);
        }
        rows
    }

    /// Vectors of one dimension, of very different lengths or far from zero, two of them the
    /// same; the first is the query.
    fn vectors() -> impl Strategy<Value = Vec<Vec<f32>>> {
        let scales = vec![
            vec![1.0],
            vec![1e-18],
            vec![1e-18, 1e-3, 1.0, 300.0, 1e15],
            vec![1.0, 1.0, 1.0, 1000.0],
        ];
        let set = (1..40_usize, prop::sample::select(scales), 0.0_f32..20.0);
        set.prop_flat_map(move |(dimension, scales, far)| {
            let values = prop::collection::vec(-1.0_f32..1.0, dimension);
            let vector = (values, prop::sample::select(scales)).prop_map(move |(values, scale)| {
                let values = values.iter().map(|value| (value + far) * scale);
                values.collect::<Vec<f32>>()
            });
            prop::collection::vec(vector, 3..400).prop_map(|mut vectors| {
                vectors[2] = vectors[1].clone();
                vectors
            })
        })
    }

    /// Whether the nearest of the live rows are among the candidates.
    fn check(
        distance: Distance,
        vectors: &[Vec<f32>],
        wanted: usize,
        live: impl Fn(usize) -> bool,
    ) -> Result<(), TestCaseError> {
        let space = Space {
            dimension: vectors[0].len(),
            distance,
        };
        let segment = Segment::new(1, space, rows(space, &vectors[1..]));
        let sketches = Sketches::draw(space, &segment.rows);
        let query = match distance {
            Distance::Cosine => crate::search::unit(&vectors[0]),
            Distance::L2 | Distance::Dot => vectors[0].clone(),
        };
        let found = sketches.candidates(&query, wanted, &live);
        prop_assert!(found.iter().all(|row| live(*row)));
        let found: HashSet<usize> = found.into_iter().collect();
        let exact = |row: usize| kernel::exact(distance, &query, segment.vector(row));
        let mut truth: Vec<_> = (0..segment.len()).filter(|row| live(*row)).collect();
        truth.sort_by(|a, b| exact(*a).total_cmp(&exact(*b)));
        for row in truth.iter().take(wanted) {
            prop_assert!(found.contains(row), "row {row} at {}", exact(*row));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn what_is_near_is_among_the_candidates(
            vectors in vectors(),
            distance in prop::sample::select(vec![Distance::L2, Distance::Cosine, Distance::Dot]),
            wanted in 1..30_usize,
            dead in 0..9_usize,
        ) {
            check(distance, &vectors, wanted, |row| row % 9 != dead)?;
        }

        #[test]
        fn rows_are_told_apart_far_from_zero(vectors in vectors(), far in 1e4_f32..1e7) {
            let moved = |vector: &Vec<f32>| vector.iter().map(|value| value + far).collect();
            let vectors: Vec<_> = vectors.iter().map(moved).collect();
            check(Distance::L2, &vectors, 10, |_| true)?;
        }

        #[test]
        fn rows_are_told_apart_that_are_too_short_for_codes(vectors in vectors()) {
            let moved = |vector: &Vec<f32>| vector.iter().map(|value| value * 1e-19).collect();
            let vectors: Vec<_> = vectors.iter().map(moved).collect();
            check(Distance::L2, &vectors, 10, |_| true)?;
        }
    }

    #[test]
    fn most_rows_are_told_apart_by_their_sketches() {
        let space = Space {
            dimension: 64,
            distance: Distance::L2,
        };
        let mut state = 1_u64;
        let mut noise = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f32 / (1 << 24) as f32
        };
        let vectors: Vec<Vec<f32>> = (0..2001)
            .map(|_| (0..64).map(|_| noise()).collect())
            .collect();
        let rows = rows(space, &vectors[1..]);
        let sketches = Sketches::draw(space, &rows);
        let found = sketches.candidates(&vectors[0], 10, |_| true);
        assert!((10..60).contains(&found.len()), "{}", found.len());
        assert!(sketches.memory() >= 2000 * 64);
    }

    #[test]
    fn rows_that_come_where_somebody_searches_have_sketches() {
        const EACH: usize = 400;
        let dir = tempfile::tempdir().unwrap();
        let service = Service::open(dir.path(), Config::default()).unwrap();
        service
            .create(&IndexSpec::new("x", 2, Distance::L2))
            .unwrap();
        let vector = |number: usize| {
            let angle = number as f32 * 0.37;
            vec![angle.cos() * number as f32, angle.sin() * number as f32]
        };
        let add = |numbers: std::ops::Range<usize>| {
            let items = numbers.map(|number| Item {
                id: number.to_string(),
                vector: vector(number),
                metadata: None,
            });
            service.add("x", items.collect()).unwrap();
        };
        let sketched = || {
            let view = service.index("x").unwrap().view();
            let segments = view.segments.iter();
            segments
                .map(|segment| segment.sketches.get().is_some())
                .collect::<Vec<_>>()
        };
        add(0..EACH);
        assert_eq!(sketched(), [false], "nobody searched");
        service.search("x", &Query::new(vector(0), 1)).unwrap();
        let memory = service.get("x").unwrap().memory;
        add(EACH..2 * EACH);
        assert_eq!(sketched(), [true, true]);
        add(2 * EACH..2 * EACH + 1);
        assert!(service.get("x").unwrap().memory > 2 * memory);
        service.delete("x", vec!["7".into()]).unwrap();
        for number in 0..2 * EACH {
            let hits = service.search("x", &Query::new(vector(number), 1)).unwrap();
            assert_eq!(hits[0].id.to_string() == number.to_string(), number != 7);
        }
    }
}
