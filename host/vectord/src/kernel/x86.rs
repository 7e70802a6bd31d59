//! Kernels for x86-64. The only unsafe part is loading a block, which is
//! given as an array of just its size.

use std::arch::x86_64::*;

use half::f16;

use super::row_of;

/// Chunks that one round of a loop takes, each with an accumulator, so that
/// additions of one round do not wait for the last one's.
const ROUND: usize = 4;

#[inline]
#[target_feature(enable = "avx512f")]
fn load16(block: &[f32; 16]) -> __m512 {
    // SAFETY: the block has the 64 bytes that are read; no alignment is asked.
    unsafe { _mm512_loadu_ps(block.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn widen16(block: &[f16; 16]) -> __m512 {
    // SAFETY: the block has the 32 bytes that are read; no alignment is asked.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(block.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load32_i16(block: &[i16; 32]) -> __m512i {
    // SAFETY: the block has the 64 bytes that are read; no alignment is asked.
    unsafe { _mm512_loadu_si512(block.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx")]
fn load8(block: &[f32; 8]) -> __m256 {
    // SAFETY: the block has the 32 bytes that are read; no alignment is asked.
    unsafe { _mm256_loadu_ps(block.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx,f16c")]
fn widen8(block: &[f16; 8]) -> __m256 {
    // SAFETY: the block has the 16 bytes that are read; no alignment is asked.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(block.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx")]
fn load32_i8(block: &[i8; 32]) -> __m256i {
    // SAFETY: the block has the 32 bytes that are read; no alignment is asked.
    unsafe { _mm256_loadu_si256(block.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx")]
fn load16_i16(block: &[i16; 16]) -> __m256i {
    // SAFETY: the block has the 32 bytes that are read; no alignment is asked.
    unsafe { _mm256_loadu_si256(block.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "sse2")]
fn load16_i8(block: &[i8; 16]) -> __m128i {
    // SAFETY: the block has the 16 bytes that are read; no alignment is asked.
    unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
}

/// Folds `$step(sum, x, y)` over two slices in blocks of `$lanes`.
macro_rules! fold {
    ($a:expr, $b:expr, $lanes:literal, $load_a:ident, $load_b:ident, $zero:expr, $add:ident, $step:expr) => {{
        let (a, _) = $a.as_chunks::<$lanes>();
        let (b, _) = $b.as_chunks::<$lanes>();
        let (a_rounds, a_rest) = a.as_chunks::<ROUND>();
        let (b_rounds, b_rest) = b.as_chunks::<ROUND>();
        let mut sums = [$zero; ROUND];
        for (x, y) in a_rounds.iter().zip(b_rounds) {
            for i in 0..ROUND {
                sums[i] = $step(sums[i], $load_a(&x[i]), $load_b(&y[i]));
            }
        }
        for (x, y) in a_rest.iter().zip(b_rest) {
            sums[0] = $step(sums[0], $load_a(x), $load_b(y));
        }
        $add($add(sums[0], sums[1]), $add(sums[2], sums[3]))
    }};
}

/// One kernel: `$step` over a query and each of some rows, whose blocks
/// `$load` brings to single precision.
macro_rules! kernel {
    (avx2 $name:ident, $type:ty, $load:ident, $step:expr) => {
        kernel!(
            $name,
            "avx2,fma,f16c",
            $type,
            (
                8,
                load8,
                $load,
                _mm256_setzero_ps,
                _mm256_add_ps,
                reduce_add
            ),
            $step
        );
    };
    (avx512 $name:ident, $type:ty, $load:ident, $step:expr) => {
        kernel!(
            $name,
            "avx512f",
            $type,
            (
                16,
                load16,
                $load,
                _mm512_setzero_ps,
                _mm512_add_ps,
                _mm512_reduce_add_ps
            ),
            $step
        );
    };
    ($name:ident, $features:literal, $type:ty,
     ($lanes:literal, $load:ident, $load_row:ident, $zero:ident, $add:ident, $reduce:ident),
     $step:expr) => {
        #[target_feature(enable = $features)]
        pub(in super::super) fn $name(
            query: &[f32],
            matrix: &[$type],
            rows: &[u32],
            out: &mut [f32],
        ) {
            for (row, out) in rows.iter().zip(out) {
                let row = row_of(matrix, *row, query.len());
                let sum = fold!(query, row, $lanes, $load, $load_row, $zero(), $add, $step);
                *out = $reduce(sum);
            }
        }
    };
}

/// The kernels of rows of `$type`, which `$load8` and `$load16` bring to
/// single precision.
macro_rules! kernels {
    ($module:ident, $type:ty, $load8:ident, $load16:ident) => {
        pub(super) mod $module {
            use super::*;

            kernel!(avx2 dots_avx2, $type, $load8, |sum, x, y| _mm256_fmadd_ps(x, y, sum));
            kernel!(avx512 dots_avx512, $type, $load16, |sum, x, y| _mm512_fmadd_ps(x, y, sum));
            kernel!(avx2 squares_avx2, $type, $load8, |sum, x, y| {
                let d = _mm256_sub_ps(x, y);
                _mm256_fmadd_ps(d, d, sum)
            });
            kernel!(avx512 squares_avx512, $type, $load16, |sum, x, y| {
                let d = _mm512_sub_ps(x, y);
                _mm512_fmadd_ps(d, d, sum)
            });
        }
    };
}

kernels!(singles, f32, load8, load16);
kernels!(halves, f16, widen8, widen16);

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn code_dots_avx512(query: &[i16], codes: &[i8], rows: &[u32], out: &mut [f32]) {
    let (query_blocks, _) = query.as_chunks::<32>();
    let (query_pairs, _) = query_blocks.as_chunks::<2>();
    for (row, out) in rows.iter().zip(out) {
        let (row_blocks, _) = row_of(codes, *row, query.len()).as_chunks::<32>();
        let (row_pairs, _) = row_blocks.as_chunks::<2>();
        let mut sums = [_mm512_setzero_si512(); 2];
        for (q, c) in query_pairs.iter().zip(row_pairs) {
            for i in 0..2 {
                let wide = _mm512_cvtepi8_epi16(load32_i8(&c[i]));
                sums[i] = _mm512_dpwssd_epi32(sums[i], load32_i16(&q[i]), wide);
            }
        }
        *out = _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1])) as f32;
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn reduce_add(sum: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps::<1>(sum));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn code_dots_avx2(query: &[i16], codes: &[i8], rows: &[u32], out: &mut [f32]) {
    let (query_blocks, _) = query.as_chunks::<16>();
    let (query_rounds, _) = query_blocks.as_chunks::<ROUND>();
    for (row, out) in rows.iter().zip(out) {
        let (row_blocks, _) = row_of(codes, *row, query.len()).as_chunks::<16>();
        let (row_rounds, _) = row_blocks.as_chunks::<ROUND>();
        let mut sums = [_mm256_setzero_si256(); ROUND];
        for (q, c) in query_rounds.iter().zip(row_rounds) {
            for i in 0..ROUND {
                let wide = _mm256_cvtepi8_epi16(load16_i8(&c[i]));
                let products = _mm256_madd_epi16(load16_i16(&q[i]), wide);
                sums[i] = _mm256_add_epi32(sums[i], products);
            }
        }
        let eight = _mm256_add_epi32(
            _mm256_add_epi32(sums[0], sums[1]),
            _mm256_add_epi32(sums[2], sums[3]),
        );
        let four = _mm_add_epi32(
            _mm256_castsi256_si128(eight),
            _mm256_extracti128_si256::<1>(eight),
        );
        let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b00_00_11_10>(four));
        let one = _mm_add_epi32(two, _mm_shuffle_epi32::<0b00_00_00_01>(two));
        *out = _mm_cvtsi128_si32(one) as f32;
    }
}
