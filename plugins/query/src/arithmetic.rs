//! Checked multiplication of 128-bit integers, which is what decimals are made of.
//!
//! Machines have an instruction for it and wasm does not: the compiler calls
//! `__muloti4`, whose general way is long. Most decimals are small, whatever their
//! type could hold, and a product of two small ones is one 64-bit multiplication. The
//! linker puts the function here in its place (`--wrap=__muloti4`, see `build.rs`).

unsafe extern "C" {
    fn __real___muloti4(left: i128, right: i128, overflow: &mut i32) -> i128;
}

/// The product, and in `overflow` whether it does not fit.
#[unsafe(no_mangle)]
extern "C" fn __wrap___muloti4(left: i128, right: i128, overflow: &mut i32) -> i128 {
    let (short_left, short_right) = (left as i32, right as i32);
    if i128::from(short_left) == left && i128::from(short_right) == right {
        *overflow = 0;
        return i128::from(i64::from(short_left) * i64::from(short_right));
    }
    // SAFETY: the compiler's own function, as it declares it.
    unsafe { __real___muloti4(left, right, overflow) }
}
