//! Traps as text for people.

use std::fmt::Write;

use wasmtime::{Error, Trap, WasmBacktrace};

/// Frames of a backtrace worth telling.
const FRAMES: usize = 8;
/// Bytes of such a text.
const LENGTH: usize = 2048;

/// What went wrong, and the innermost frames of the guest.
pub(crate) fn describe(error: &Error) -> String {
    let mut text = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        let frames = backtrace.frames();
        for (at, frame) in frames.iter().take(FRAMES).enumerate() {
            text.push_str(if at == 0 { "; at " } else { " < " });
            match frame.func_name() {
                Some(name) => {
                    let _ = write!(text, "{:#}", rustc_demangle::demangle(name));
                }
                None => {
                    let _ = write!(text, "function {}", frame.func_index());
                }
            }
        }
        if frames.len() > FRAMES {
            let _ = write!(text, " < {} more", frames.len() - FRAMES);
        }
    }
    if text.len() > LENGTH {
        let mut end = LENGTH;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}
