//! Kernels in plain code that compilers turn into vector instructions.

use super::{CODES, FLOATS, Number, row_of};

/// Sums `step` over pairs in independent lanes, folded as a tree.
#[inline(always)]
fn fold<T: Number>(a: &[f32], b: &[T], step: impl Fn(f32, f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; FLOATS];
    let (a, _) = a.as_chunks::<FLOATS>();
    let (b, _) = b.as_chunks::<FLOATS>();
    for (x, y) in a.iter().zip(b) {
        for lane in 0..FLOATS {
            lanes[lane] = step(lanes[lane], x[lane], y[lane].widened());
        }
    }
    let mut width = FLOATS / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// `x * y + sum`, in one rounding where that is one instruction everywhere.
#[inline(always)]
fn multiply_add(x: f32, y: f32, sum: f32) -> f32 {
    if cfg!(target_arch = "aarch64") {
        x.mul_add(y, sum)
    } else {
        x * y + sum
    }
}

pub(super) fn dots<T: Number>(query: &[f32], matrix: &[T], rows: &[u32], out: &mut [f32]) {
    for (row, out) in rows.iter().zip(out) {
        let row = row_of(matrix, *row, query.len());
        *out = fold(query, row, |sum, x, y| multiply_add(x, y, sum));
    }
}

pub(super) fn squares<T: Number>(query: &[f32], matrix: &[T], rows: &[u32], out: &mut [f32]) {
    for (row, out) in rows.iter().zip(out) {
        let row = row_of(matrix, *row, query.len());
        *out = fold(query, row, |sum, x, y| multiply_add(x - y, x - y, sum));
    }
}

pub(super) fn code_dots(query: &[i16], codes: &[i8], rows: &[u32], out: &mut [f32]) {
    let (query_blocks, _) = query.as_chunks::<CODES>();
    for (row, out) in rows.iter().zip(out) {
        let (row_blocks, _) = row_of(codes, *row, query.len()).as_chunks::<CODES>();
        let mut sum = 0_i32;
        for (q, c) in query_blocks.iter().zip(row_blocks) {
            for lane in 0..CODES {
                sum += i32::from(q[lane]) * i32::from(c[lane]);
            }
        }
        *out = sum as f32;
    }
}
