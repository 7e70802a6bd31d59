//! Computing for ever.

use std::hint::black_box;

use wasip2::http::types::{Fields, ResponseOutparam};

use crate::{begin, write};

/// Without a word.
pub fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// When the answer has begun.
pub fn spin_late(out: ResponseOutparam) -> ! {
    let body = begin(out, 200, Fields::new());
    let _ = write(&body, b"begun");
    spin()
}

/// Deeper and deeper.
#[expect(unconditional_recursion, reason = "that is the crime")]
pub fn recurse(depth: u64) -> u64 {
    black_box(recurse(black_box(depth + 1))) + depth
}
