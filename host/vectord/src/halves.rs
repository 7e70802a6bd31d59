//! Half precision: each component as a 16-bit float.
//!
//! All of them are first multiplied by one power of two, which brings the middle of what
//! there is near 1, where such floats are dense. Halves only rank; answers are computed
//! from the vectors.

use std::borrow::Cow;

use half::f16;
use rayon::prelude::*;

use crate::column::Column;
use crate::field::{Floats, stride};
use crate::types::Distance;

/// Rows looked at to find the power of two.
const SAMPLE: usize = 1024;

/// Rows in half precision, padded as those of [`Floats`].
#[derive(Debug)]
pub(crate) struct Halves {
    pub values: Column<f16>,
    /// How many times what they stand for they are.
    pub scale: f32,
}

impl Halves {
    /// Those of some vectors.
    pub fn of<'a>(
        dimension: usize,
        rows: usize,
        vector: impl Fn(usize) -> Cow<'a, [f32]> + Sync,
    ) -> Self {
        let sampled = rows.min(SAMPLE);
        let mut largest: Vec<f32> = (0..sampled)
            .map(|i| {
                let vector = vector(i * rows / sampled);
                vector.iter().fold(0.0, |most, x| x.abs().max(most))
            })
            .collect();
        largest.sort_unstable_by(f32::total_cmp);
        let middle = largest.get(sampled / 2).copied().unwrap_or_default();
        let scale = scale(middle);
        let stride = stride(dimension);
        let mut values = vec![f16::ZERO; rows * stride];
        let each = values.par_chunks_mut(stride).enumerate();
        each.for_each(|(row, out)| {
            for (out, value) in out.iter_mut().zip(&*vector(row)) {
                *out = rounded(value * scale);
            }
        });
        Self {
            values: values.into(),
            scale,
        }
    }

    /// Those of the rows in another order.
    pub fn ordered(&self, order: &[u32], stride: usize) -> Self {
        Self {
            values: self.values.rows(stride, order).into(),
            scale: self.scale,
        }
    }

    /// What searches them; `stride` is a row's length.
    pub fn floats(&self, distance: Distance, stride: usize) -> Floats<'_, f16> {
        let floats = match distance {
            Distance::L2 => Floats::squares(&self.values, stride),
            Distance::Cosine | Distance::Dot => Floats::products(&self.values, stride),
        };
        floats.of_scale(self.scale)
    }
}

/// The power of two that brings a positive number to 1 or more, and below 2.
fn scale(number: f32) -> f32 {
    const MOST: f32 = 126.0;
    if number > 0.0 {
        (-number.log2().floor()).clamp(-MOST, MOST).exp2()
    } else {
        1.0
    }
}

/// The nearest half; the largest one for what is larger.
fn rounded(value: f32) -> f16 {
    let most = f16::MAX.to_f32();
    f16::from_f32(value.clamp(-most, most))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn halves_are_near_whatever_the_size(
            rows in prop::collection::vec(prop::collection::vec(-1.0_f32..1.0, 5), 1..40),
            exponent in -100..60_i32,
        ) {
            let size = 2.0_f32.powi(exponent);
            let rows: Vec<Vec<f32>> = rows
                .into_iter()
                .map(|row| row.into_iter().map(|x| x * size).collect())
                .collect();
            let halves = Halves::of(5, rows.len(), |row| Cow::Borrowed(&rows[row]));
            let most = rows.iter().flatten().fold(0.0_f32, |most, x| x.abs().max(most));
            for (row, halves_of_row) in rows.iter().zip(halves.values.chunks(stride(5))) {
                for (value, half) in row.iter().zip(halves_of_row) {
                    let found = half.to_f32() / halves.scale;
                    prop_assert!((found - value).abs() <= most / 1024.0, "{found} {value}");
                }
                prop_assert!(halves_of_row[5..].iter().all(|half| *half == f16::ZERO));
            }
        }
    }

    #[test]
    fn wild_rows_spoil_nobody_elses() {
        let mut rows = vec![vec![0.3_f32, -0.7]; 100];
        rows[17] = vec![1e18, 1e-30];
        let halves = Halves::of(2, rows.len(), |row| Cow::Borrowed(&rows[row]));
        assert_eq!(halves.scale, 2.0);
        let of = |row: usize| halves.values[row * stride(2)].to_f32();
        assert!((of(0) - 0.6).abs() < 1e-3);
        assert_eq!(of(17), 65504.0);
        assert_eq!(scale(0.0), 1.0);
        assert!(scale(f32::MIN_POSITIVE / 8.0).is_finite());
        assert!(scale(f32::MAX) > 0.0);
    }
}
