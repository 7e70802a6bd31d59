//! Taking memory.

use std::hint::black_box;

/// Bytes taken at a time.
const BLOCK: usize = 1 << 20;

/// All that there is, every page of it touched. Whoever gets no more is told by the
/// allocator with an abort, so there is nothing to return in the end.
pub fn allocate() -> usize {
    let mut blocks = Vec::new();
    loop {
        blocks.push(vec![1_u8; BLOCK]);
        black_box(&blocks);
        if blocks.len() == usize::MAX {
            return blocks.len();
        }
    }
}
