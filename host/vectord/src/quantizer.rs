//! Scalar quantisation: each component as one of 255 steps around a centre of
//! its own.
//!
//! The steps come from the middle of what a sample holds, so that a few wild
//! rows spoil their own codes and nobody else's. Codes only rank; answers are
//! computed from the vectors.

use crate::builders::give_way;
use crate::kernel::CODES;

/// Largest code; the smallest is its negative.
pub(crate) const TOP: f32 = 127.0;
/// Rows looked at to find the steps.
const SAMPLE: usize = 1024;
/// One row in this many at each end is not covered for sure.
const TAIL: usize = 200;
/// How far beyond the covered part codes reach.
const MARGIN: f32 = 1.25;
/// How far beyond the middle they reach to take in all of the sample.
const REACH: f32 = 4.0;
/// Most that a product of a query and a row may be, far within 32 bits.
const LARGEST: f32 = (1 << 30) as f32;

/// Rounds a number of at most 22 bits to the nearest integer, ties to even, which then
/// stands in the lowest bits: what a call of a library would do for one number at a time,
/// the compiler makes a few instructions for many.
#[inline(always)]
fn rounded(value: f32) -> u32 {
    /// From here on floats of single precision are integers, below 0 too.
    const WHOLE: f32 = (3 << 22) as f32;
    (value + WHOLE).to_bits()
}

/// The largest magnitude of some values, and the sum of all: some at a time, each with
/// those before it that stand in the same place.
fn largest_and_sum(values: &[f32]) -> (f32, f32) {
    const LANES: usize = 16;
    let (blocks, rest) = values.as_chunks::<LANES>();
    let (mut largest, mut sums) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    for block in blocks {
        for lane in 0..LANES {
            let value = block[lane].abs();
            // Not `max`, which minds what is not a number and takes longer.
            largest[lane] = if value > largest[lane] {
                value
            } else {
                largest[lane]
            };
            sums[lane] += value;
        }
    }
    let rest = rest.iter().map(|value| value.abs());
    let largest = largest.into_iter().chain(rest.clone()).fold(0.0, f32::max);
    (largest, sums.into_iter().chain(rest).sum())
}

/// How components become codes: `component = centre + step * code`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Quantizer {
    pub centre: Vec<f32>,
    pub step: Vec<f32>,
}

/// A query in integers: its inner product with a row is
/// `constant + factor * (codes, row's codes)`.
#[derive(Debug, Default)]
pub(crate) struct CodeQuery {
    pub codes: Vec<i16>,
    /// What they are of.
    weighted: Vec<f32>,
    pub factor: f32,
    pub constant: f32,
}

impl Quantizer {
    /// Fits the steps to some vectors.
    pub fn fit<'a>(
        dimension: usize,
        rows: usize,
        vector: impl Fn(usize) -> std::borrow::Cow<'a, [f32]>,
    ) -> Self {
        let sampled = rows.min(SAMPLE);
        let sample: Vec<_> = (0..sampled).map(|i| vector(i * rows / sampled)).collect();
        let mut quantizer = Self {
            centre: Vec::with_capacity(dimension),
            step: Vec::with_capacity(dimension),
        };
        let mut values = Vec::with_capacity(sampled);
        for component in 0..dimension {
            give_way();
            values.clear();
            values.extend(sample.iter().map(|vector| vector[component]));
            values.sort_unstable_by(f32::total_cmp);
            let (Some(first), Some(last)) = (values.first(), values.last()) else {
                continue;
            };
            let low = values[values.len() / TAIL];
            let high = values[values.len() - 1 - values.len() / TAIL];
            let centre = low / 2.0 + high / 2.0;
            let middle = high / 2.0 - low / 2.0;
            let extreme = (last - centre).max(centre - first);
            let reach = if middle > 0.0 {
                (MARGIN * middle).max(extreme.min(REACH * middle))
            } else {
                extreme
            };
            quantizer.centre.push(centre);
            quantizer.step.push(reach / TOP);
        }
        quantizer
    }

    /// Whose steps reach from the least to the most of each component, so that no vector in
    /// between is off by more than half a step anywhere.
    pub fn between(least: &[f32], most: &[f32]) -> Self {
        let ends = || least.iter().zip(most);
        Self {
            centre: ends().map(|(low, high)| low / 2.0 + high / 2.0).collect(),
            step: ends()
                .map(|(low, high)| (high / 2.0 - low / 2.0) / TOP)
                .collect(),
        }
    }

    pub fn dimension(&self) -> usize {
        self.centre.len()
    }

    /// Codes of a row, padded.
    pub fn stride(&self) -> usize {
        self.dimension().next_multiple_of(CODES)
    }

    /// Writes a vector's codes, zeros after them.
    pub fn encode(&self, vector: &[f32], out: &mut [i8]) {
        out[self.dimension()..].fill(0);
        let parts = self.centre.iter().zip(&self.step);
        for ((out, value), (centre, step)) in out.iter_mut().zip(vector).zip(parts) {
            let code = ((value - centre) / step).clamp(-TOP, TOP);
            // Not a number where the step is 0.
            let code = if *step > 0.0 { code } else { 0.0 };
            *out = rounded(code) as i8;
        }
    }

    /// The vector that codes stand for.
    pub fn decode(&self, codes: &[i8], out: &mut Vec<f32>) {
        out.clear();
        let parts = self.centre.iter().zip(&self.step).zip(codes);
        out.extend(parts.map(|((centre, step), code)| centre + step * f32::from(*code)));
    }

    /// The squared length of the offset from the centre that codes stand for.
    pub fn square(&self, codes: &[i8]) -> f32 {
        let offsets = self.step.iter().zip(codes);
        offsets
            .map(|(step, code)| (step * f32::from(*code)).powi(2))
            .sum()
    }

    /// Prepares a query for inner products with rows.
    pub fn query(&self, vector: &[f32], out: &mut CodeQuery) {
        out.constant = vector.iter().zip(&self.centre).map(|(q, m)| q * m).sum();
        self.scale(vector.iter().copied(), out);
    }

    /// Prepares a query for inner products of offsets from the centre.
    pub fn offset_query(&self, vector: &[f32], out: &mut CodeQuery) {
        out.constant = 0.0;
        self.scale(vector.iter().zip(&self.centre).map(|(q, m)| q - m), out);
    }

    fn scale(&self, values: impl Iterator<Item = f32>, out: &mut CodeQuery) {
        out.weighted.clear();
        out.weighted
            .extend(values.zip(&self.step).map(|(value, step)| value * step));
        let (most, sum) = largest_and_sum(&out.weighted);
        let fit = (f32::from(i16::MAX) / most).min(LARGEST / (TOP * sum));
        let scale = if fit.is_finite() { fit } else { 0.0 };
        out.factor = if scale > 0.0 { scale.recip() } else { 0.0 };
        out.codes.clear();
        let weighted = out.weighted.iter();
        out.codes
            .extend(weighted.map(|value| rounded(value * scale) as i16));
        out.codes.resize(self.stride(), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;

    fn fitted(rows: &[Vec<f32>]) -> Quantizer {
        Quantizer::fit(rows[0].len(), rows.len(), |row| Cow::Borrowed(&rows[row]))
    }

    fn product(quantizer: &Quantizer, query: &CodeQuery, row: &[f32]) -> f32 {
        let mut codes = vec![0; quantizer.stride()];
        quantizer.encode(row, &mut codes);
        let pairs = query.codes.iter().zip(&codes);
        let dot: i32 = pairs.map(|(q, c)| i32::from(*q) * i32::from(*c)).sum();
        query.constant + query.factor * dot as f32
    }

    proptest! {
        #[test]
        fn products_are_near_and_never_overflow(
            rows in prop::collection::vec(prop::collection::vec(-5.0_f32..20.0, 70), 1..40),
            query in prop::collection::vec(-5.0_f32..5.0, 70),
        ) {
            let quantizer = fitted(&rows);
            let mut probe = CodeQuery::default();
            quantizer.query(&query, &mut probe);
            for row in &rows {
                let wanted: f32 = row.iter().zip(&query).map(|(x, q)| x * q).sum();
                let found = product(&quantizer, &probe, row);
                // 70 components off by at most half a step of 25 / 254 each.
                prop_assert!((found - wanted).abs() < 20.0, "{} {}", found, wanted);
            }
        }

        #[test]
        fn decoding_is_within_a_step(
            rows in prop::collection::vec(prop::collection::vec(-5.0_f32..20.0, 7), 1..150),
        ) {
            let quantizer = fitted(&rows);
            let mut codes = vec![0; quantizer.stride()];
            let mut decoded = Vec::new();
            for row in &rows {
                quantizer.encode(row, &mut codes);
                quantizer.decode(&codes, &mut decoded);
                for ((found, wanted), step) in decoded.iter().zip(row).zip(&quantizer.step) {
                    prop_assert!((found - wanted).abs() <= step * 0.51 + 1e-5);
                }
            }
        }
    }

    #[test]
    fn extremes_make_no_nonsense() {
        for rows in [
            vec![vec![0.0; 3]; 5],
            vec![vec![1e18, 0.0, -1e18], vec![-1e18, 0.0, 1e18]],
            vec![vec![1e-30, 1e-38, 0.0], vec![-1e-30, -1e-38, 0.0]],
        ] {
            let quantizer = fitted(&rows);
            let mut probe = CodeQuery::default();
            quantizer.query(&rows[0], &mut probe);
            assert!(product(&quantizer, &probe, &rows[1]).is_finite());
            quantizer.offset_query(&rows[0], &mut probe);
            assert!(product(&quantizer, &probe, &rows[1]).is_finite());
        }
    }
}
