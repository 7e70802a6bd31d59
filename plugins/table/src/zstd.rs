//! Zstandard at the host's speed, for libraries that know nothing of it.
//!
//! Parquet's and Arrow's codecs end in the C library's `ZSTD_decompressDCtx`. A
//! plugin whose build script hands `--wrap=ZSTD_decompressDCtx` to the linker has
//! those calls end here instead: the linker resolves the C function's name to
//! `__wrap_..`, and `__real_..` to the C function. See the decision
//! `docs/decisions/0007-zstd-by-the-host.md`.

use std::ffi::c_void;
use std::ptr;
use std::slice;

use lakehouse_sdk::compression;

/// Less than this is done before a call of the host would be.
const FEW: usize = 1 << 10;

/// The most that the host takes on.
const MOST: usize = 16 << 20;

unsafe extern "C" {
    fn __real_ZSTD_decompressDCtx(
        context: *mut c_void,
        target: *mut c_void,
        capacity: usize,
        source: *const c_void,
        size: usize,
    ) -> usize;
}

/// Decompresses the frames at `source` to `target`; the number of bytes, or one
/// of the C library's error codes.
///
/// A context's dictionary is not looked at, and no plugin uses one.
///
/// # Safety
/// That of the C function: `size` bytes can be read and `capacity` be written, and
/// the two do not overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_ZSTD_decompressDCtx(
    context: *mut c_void,
    target: *mut c_void,
    capacity: usize,
    source: *const c_void,
    size: usize,
) -> usize {
    if (FEW..=MOST).contains(&capacity) && !source.is_null() {
        // SAFETY: the caller's word, and not null.
        let frames = unsafe { slice::from_raw_parts(source.cast::<u8>(), size) };
        if let Ok(content) = compression::zstd_decompress(frames, capacity as u32)
            && content.len() <= capacity
        {
            // SAFETY: as many bytes can be written, and the list is a new one.
            unsafe { ptr::copy_nonoverlapping(content.as_ptr(), target.cast(), content.len()) };
            return content.len();
        }
        // What the host refuses, the library refuses with its own code, which its
        // callers can read.
    }
    // SAFETY: the caller's word.
    unsafe { __real_ZSTD_decompressDCtx(context, target, capacity, source, size) }
}
