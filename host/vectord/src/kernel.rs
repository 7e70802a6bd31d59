//! Distance kernels: single precision to rank, double precision to answer.

use crate::types::Distance;

/// Accumulators of a loop: two AVX2 registers' worth four times over, so that
/// additions of one round do not wait for the last one's.
const LANES: usize = 32;

#[inline(always)]
fn dot_lanes<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    fold_lanes(
        a,
        b,
        |sum, x, y| {
            if FMA { x.mul_add(y, sum) } else { x * y + sum }
        },
    )
}

#[inline(always)]
fn l2_lanes<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    fold_lanes(a, b, |sum, x, y| {
        let d = x - y;
        if FMA { d.mul_add(d, sum) } else { d * d + sum }
    })
}

#[inline(always)]
fn fold_lanes(a: &[f32], b: &[f32], step: impl Fn(f32, f32, f32) -> f32) -> f32 {
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for (x, y) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] = step(sums[lane], x[lane], y[lane]);
        }
    }
    let mut sum = 0.0;
    for (x, y) in a_rest.iter().zip(b_rest) {
        sum = step(sum, *x, *y);
    }
    sum + sums.iter().sum::<f32>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn dot_avx2(a: &[f32], b: &[f32]) -> f32 {
    dot_lanes::<true>(a, b)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn l2_avx2(a: &[f32], b: &[f32]) -> f32 {
    l2_lanes::<true>(a, b)
}

/// Inner product.
#[inline]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the features that the function needs were just found.
        return unsafe { dot_avx2(a, b) };
    }
    dot_lanes::<{ cfg!(target_arch = "aarch64") }>(a, b)
}

/// Squared Euclidean distance.
#[inline]
pub(crate) fn l2(a: &[f32], b: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the features that the function needs were just found.
        return unsafe { l2_avx2(a, b) };
    }
    l2_lanes::<{ cfg!(target_arch = "aarch64") }>(a, b)
}

/// Euclidean length, in double precision so that no finite input overflows.
pub(crate) fn norm(a: &[f32]) -> f64 {
    a.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

/// The distance that answers carry, in double precision.
pub(crate) fn exact(distance: Distance, a: &[f32], b: &[f32]) -> f64 {
    let pairs = || a.iter().zip(b).map(|(x, y)| (f64::from(*x), f64::from(*y)));
    match distance {
        Distance::L2 => pairs().map(|(x, y)| (x - y).powi(2)).sum(),
        // Subtracted from zero, which makes no -0.
        Distance::Dot => 0.0 - pairs().map(|(x, y)| x * y).sum::<f64>(),
        Distance::Cosine => {
            let (mut dot, mut aa, mut bb) = (0.0, 0.0, 0.0);
            for (x, y) in pairs() {
                dot += x * y;
                aa += x * x;
                bb += y * y;
            }
            // Rounding may leave the interval by an ulp.
            (1.0 - dot / (aa.sqrt() * bb.sqrt())).clamp(0.0, 2.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_agree_with_double_precision() {
        for length in [1, 7, 31, 32, 33, 64, 100, 768] {
            let a: Vec<f32> = (0..length).map(|i| (i as f32 * 0.37 + 1.0).sin()).collect();
            let b: Vec<f32> = (0..length).map(|i| (i as f32 * 0.91).cos()).collect();
            assert!((f64::from(dot(&a, &b)) + exact(Distance::Dot, &a, &b)).abs() < 1e-4);
            assert!((f64::from(l2(&a, &b)) - exact(Distance::L2, &a, &b)).abs() < 1e-3);
            assert!(exact(Distance::Cosine, &a, &a) < 1e-12);
        }
    }

    #[test]
    fn the_extremes_stay_finite() {
        let long = [1e18_f32, 0.0];
        let back = [-1e18_f32, 0.0];
        assert!(l2(&long, &back).is_finite());
        assert!((exact(Distance::Cosine, &long, &back) - 2.0).abs() < 1e-12);
        let short = [1e-30_f32, 1e-30];
        assert!(exact(Distance::Cosine, &short, &short) < 1e-12);
    }
}
