//! Distance kernels: single precision, half precision and 8-bit codes to rank,
//! double precision to answer.
//!
//! What ranks works on rows padded with zeros to whole blocks
//! ([`FLOATS`], [`CODES`]), one call for many rows, by the widest
//! instructions that the processor has.

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

use bytemuck::Pod;
use half::f16;

use crate::types::Distance;

/// Rows of floats are padded to a multiple of this many: 64 bytes in single
/// precision, 32 in half.
pub(crate) const FLOATS: usize = 16;
/// Rows of codes are padded to a multiple of this many: 64 bytes.
pub(crate) const CODES: usize = 64;

/// What the processor can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// What the compiler makes of plain code: NEON on AArch64.
    Portable,
    /// AVX2, FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW and VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// The widest that this processor has. Cheap: the answer is kept by the
    /// standard library.
    #[inline]
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vnni")
            {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c")
            {
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    /// Inner products of 16-bit and 8-bit integers, which must fit 32 bits;
    /// rows have the query's length, a multiple of [`CODES`].
    #[inline]
    pub fn code_dots(self, query: &[i16], codes: &[i8], rows: &[u32], out: &mut [f32]) {
        match self {
            Self::Portable => portable::code_dots(query, codes, rows, out),
            // SAFETY: `best` made this level, so the processor has it.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { x86::code_dots_avx2(query, codes, rows, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { x86::code_dots_avx512(query, codes, rows, out) },
        }
    }
}

/// Numbers that rows are kept as, to be ranked by.
pub(crate) trait Number: Pod + Send + Sync {
    /// The same number in single precision.
    fn widened(self) -> f32;

    /// Inner products of a query with chosen rows of a matrix whose rows have
    /// the query's length, a multiple of [`FLOATS`].
    fn dots(level: Level, query: &[f32], matrix: &[Self], rows: &[u32], out: &mut [f32]);

    /// Squared Euclidean distances, otherwise as [`Number::dots`].
    fn squares(level: Level, query: &[f32], matrix: &[Self], rows: &[u32], out: &mut [f32]);
}

/// A type of numbers whose kernels for x86-64 are in `$kernels`.
macro_rules! number {
    ($type:ty, $widened:expr, $kernels:ident) => {
        impl Number for $type {
            #[inline(always)]
            fn widened(self) -> f32 {
                $widened(self)
            }

            number!(dots, $type, $kernels, dots_avx2, dots_avx512);
            number!(squares, $type, $kernels, squares_avx2, squares_avx512);
        }
    };
    ($name:ident, $type:ty, $kernels:ident, $avx2:ident, $avx512:ident) => {
        #[inline]
        fn $name(level: Level, query: &[f32], matrix: &[$type], rows: &[u32], out: &mut [f32]) {
            match level {
                Level::Portable => portable::$name(query, matrix, rows, out),
                // SAFETY: `best` made this level, so the processor has it.
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => unsafe { x86::$kernels::$avx2(query, matrix, rows, out) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => unsafe { x86::$kernels::$avx512(query, matrix, rows, out) },
            }
        }
    };
}

number!(f32, std::convert::identity, singles);
number!(f16, f16::to_f32, halves);

/// The row's place in a matrix whose rows have `length` values.
#[inline(always)]
fn row_of<T>(matrix: &[T], row: u32, length: usize) -> &[T] {
    let start = row as usize * length;
    &matrix[start..start + length]
}

/// Asks for the memory of some values to be brought near.
#[inline(always)]
pub(crate) fn prefetch<T>(values: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in values.chunks((64 / size_of::<T>()).max(1)) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing, and the address is valid anyway.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = values;
}

/// Sums of `step` over pairs, eight at a time in double precision.
#[inline(always)]
fn sums<const N: usize>(a: &[f32], b: &[f32], step: impl Fn(f64, f64) -> [f64; N]) -> [f64; N] {
    const LANES: usize = 8;
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    let mut lanes = [[0.0_f64; LANES]; N];
    for (x, y) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..LANES {
            let terms = step(f64::from(x[lane]), f64::from(y[lane]));
            for (sum, term) in lanes.iter_mut().zip(terms) {
                sum[lane] += term;
            }
        }
    }
    let mut totals = lanes.map(|sum| sum.iter().sum::<f64>());
    for (x, y) in a_rest.iter().zip(b_rest) {
        let terms = step(f64::from(*x), f64::from(*y));
        for (total, term) in totals.iter_mut().zip(terms) {
            *total += term;
        }
    }
    totals
}

/// Euclidean length, in double precision so that no finite input overflows.
pub(crate) fn norm(a: &[f32]) -> f64 {
    let [sum] = sums(a, a, |x, _| [x * x]);
    sum.sqrt()
}

/// The distance that answers carry, in double precision.
pub(crate) fn exact(distance: Distance, a: &[f32], b: &[f32]) -> f64 {
    match distance {
        Distance::L2 => {
            let [sum] = sums(a, b, |x, y| [(x - y) * (x - y)]);
            sum
        }
        // Subtracted from zero, which makes no -0.
        Distance::Dot => {
            let [dot] = sums(a, b, |x, y| [x * y]);
            0.0 - dot
        }
        Distance::Cosine => {
            let [dot, aa, bb] = sums(a, b, |x, y| [x * y, x * x, y * y]);
            // Rounding may leave the interval by an ulp.
            (1.0 - dot / (aa.sqrt() * bb.sqrt())).clamp(0.0, 2.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every level that this processor has.
    fn levels() -> Vec<Level> {
        match Level::best() {
            Level::Portable => vec![Level::Portable],
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => vec![Level::Portable, Level::Avx2],
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => vec![Level::Portable, Level::Avx2, Level::Avx512],
        }
    }

    fn block(length: usize) -> usize {
        length * CODES
    }

    /// A query and three rows, of one to a few blocks.
    fn floats() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
        let value = -10.0_f32..10.0;
        (1..9_usize).prop_flat_map(move |blocks| {
            let length = blocks * FLOATS;
            let query = prop::collection::vec(value.clone(), length);
            (query, prop::collection::vec(value.clone(), length * 3))
        })
    }

    fn codes() -> impl Strategy<Value = (Vec<i16>, Vec<i8>)> {
        (1..5_usize).prop_flat_map(|blocks| {
            let query = prop::collection::vec(-2000_i16..2000, block(blocks));
            (query, prop::collection::vec(any::<i8>(), block(blocks) * 3))
        })
    }

    /// Compares every level with double precision.
    fn compare<T: Number>(query: &[f32], matrix: &[T]) -> Result<(), TestCaseError> {
        let rows = [2, 0, 1, 2];
        for level in levels() {
            let mut dots = [0.0; 4];
            let mut squares = [0.0; 4];
            T::dots(level, query, matrix, &rows, &mut dots);
            T::squares(level, query, matrix, &rows, &mut squares);
            for (at, row) in rows.iter().enumerate() {
                let row = row_of(matrix, *row, query.len());
                let row: Vec<f32> = row.iter().map(|value| value.widened()).collect();
                let dot = -exact(Distance::Dot, query, &row);
                let square = exact(Distance::L2, query, &row);
                prop_assert!((f64::from(dots[at]) - dot).abs() < 1e-2, "{level:?}");
                prop_assert!((f64::from(squares[at]) - square).abs() < 1e-5 * square + 1e-2);
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn every_level_does_as_double_precision((query, matrix) in floats()) {
            compare(&query, &matrix)?;
        }

        #[test]
        fn every_level_widens_halves((query, matrix) in floats()) {
            let matrix: Vec<f16> = matrix.into_iter().map(f16::from_f32).collect();
            compare(&query, &matrix)?;
        }

        #[test]
        fn every_level_multiplies_codes_exactly((query, codes) in codes()) {
            let rows = [1, 2, 0];
            for level in levels() {
                let mut found = [0.0; 3];
                level.code_dots(&query, &codes, &rows, &mut found);
                for (at, row) in rows.iter().enumerate() {
                    let row = row_of(&codes, *row, query.len());
                    let pairs = query.iter().zip(row);
                    let dot: i32 = pairs.map(|(q, c)| i32::from(*q) * i32::from(*c)).sum();
                    prop_assert_eq!(found[at], dot as f32, "{:?}", level);
                }
            }
        }
    }

    #[test]
    fn double_precision_is_right_at_every_length() {
        for length in [1, 7, 8, 9, 31, 32, 33, 100, 768] {
            let a: Vec<f32> = (0..length).map(|i| (i as f32 * 0.37 + 1.0).sin()).collect();
            let b: Vec<f32> = (0..length).map(|i| (i as f32 * 0.91).cos()).collect();
            let pairs = || {
                a.iter()
                    .zip(&b)
                    .map(|(x, y)| (f64::from(*x), f64::from(*y)))
            };
            let dot: f64 = pairs().map(|(x, y)| x * y).sum();
            let square: f64 = pairs().map(|(x, y)| (x - y).powi(2)).sum();
            let (aa, bb) = (norm(&a), norm(&b));
            assert!((exact(Distance::Dot, &a, &b) + dot).abs() < 1e-9);
            assert!((exact(Distance::L2, &a, &b) - square).abs() < 1e-9);
            assert!((exact(Distance::Cosine, &a, &b) - (1.0 - dot / (aa * bb))).abs() < 1e-9);
            assert!(exact(Distance::Cosine, &a, &a) < 1e-12);
        }
    }

    #[test]
    fn the_extremes_stay_finite() {
        let pad = |values: [f32; 2]| {
            let mut padded = [0.0; FLOATS];
            padded[..2].copy_from_slice(&values);
            padded
        };
        let (long, back) = (pad([1e18, 0.0]), pad([-1e18, 0.0]));
        for level in levels() {
            let mut out = [0.0];
            f32::squares(level, &long, &back, &[0], &mut out);
            assert!(out[0].is_finite());
        }
        assert!((exact(Distance::Cosine, &long[..2], &back[..2]) - 2.0).abs() < 1e-12);
        let short = [1e-30_f32, 1e-30];
        assert!(exact(Distance::Cosine, &short, &short) < 1e-12);
    }
}
