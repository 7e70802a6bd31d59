//! Traps as text for people.

use std::fmt::Write;

use wasmtime::component::ResourceTableError;
use wasmtime::{Error, FrameInfo, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::Limits;
use crate::state::State;

/// Frames of a backtrace worth telling.
const FRAMES: usize = 8;
/// What is in the names of functions between a panic and its trap.
const PANIC: [&str; 4] = [
    "core::panicking::",
    "std::panicking::",
    "rust_begin_unwind",
    "core::result::unwrap_failed",
];
/// Bytes of such a text.
const LENGTH: usize = 2048;

/// What a trap is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The guest gave up: a panic, an abort.
    Unreachable,
    /// It called `exit`.
    Exit,
    /// It reached outside of its memory.
    Memory,
    /// It recursed too deep.
    Stack,
    /// It called what is no such function.
    Call,
    /// It divided by zero, or converted what does not fit.
    Arithmetic,
    /// Anything else, an error of the host's included.
    Other,
}

impl Kind {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 7] = [
        Self::Unreachable,
        Self::Exit,
        Self::Memory,
        Self::Stack,
        Self::Call,
        Self::Arithmetic,
        Self::Other,
    ];

    /// In one word, for metrics.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Exit => "exit",
            Self::Memory => "memory",
            Self::Stack => "stack",
            Self::Call => "call",
            Self::Arithmetic => "arithmetic",
            Self::Other => "other",
        }
    }

    pub(crate) fn of(error: &Error) -> Self {
        if error.is::<I32Exit>() {
            return Self::Exit;
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::UnreachableCodeReached) => Self::Unreachable,
            Some(Trap::MemoryOutOfBounds | Trap::HeapMisaligned) => Self::Memory,
            Some(Trap::StackOverflow) => Self::Stack,
            Some(
                Trap::TableOutOfBounds
                | Trap::IndirectCallToNull
                | Trap::BadSignature
                | Trap::NullReference,
            ) => Self::Call,
            Some(
                Trap::IntegerOverflow | Trap::IntegerDivisionByZero | Trap::BadConversionToInteger,
            ) => Self::Arithmetic,
            _ => Self::Other,
        }
    }
}

/// What went wrong, the innermost frames of the guest, and the limit that it met, if it
/// met one.
pub(crate) fn describe_in(error: &Error, state: &State) -> String {
    let mut text = describe(error);
    let limit = limit(error, state.limits()).or_else(|| state.refusal());
    if let Some(limit) = limit {
        let _ = write!(text, "; {limit}");
    }
    text
}

/// The limit that an error is about.
fn limit(error: &Error, limits: &Limits) -> Option<String> {
    let full = matches!(error.downcast_ref(), Some(ResourceTableError::Full));
    // wasmtime keeps the types of these two to itself.
    let text = error.root_cause().to_string();
    if full || text.starts_with("cannot allocate another handle") {
        Some(format!("`handles` of {} were used up", limits.handles))
    } else if text.contains("fuel allocated for hostcalls") {
        let limit = limits.hostcall;
        Some(format!("a call may hand over `hostcall` of {limit} bytes"))
    } else {
        None
    }
}

/// What went wrong, and the innermost frames of the guest.
pub(crate) fn describe(error: &Error) -> String {
    let mut text = if let Some(trap) = error.downcast_ref::<Trap>() {
        trap.to_string()
    } else if let Some(I32Exit(status)) = error.downcast_ref() {
        format!("the guest exited with status {status}")
    } else {
        error.root_cause().to_string()
    };
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        let frames: Vec<String> = backtrace.frames().iter().map(frame).collect();
        let frames = &frames[own(&frames)..];
        for (at, frame) in frames.iter().take(FRAMES).enumerate() {
            text.push_str(if at == 0 { "; at " } else { " < " });
            text.push_str(frame);
        }
        if frames.len() > FRAMES {
            let _ = write!(text, " < {} more", frames.len() - FRAMES);
        }
    }
    if text.len() > LENGTH {
        text.truncate(text.floor_char_boundary(LENGTH));
        text.push('…');
    }
    text
}

/// A frame's function, and its line where the component says.
fn frame(frame: &FrameInfo) -> String {
    let mut text = match frame.func_name() {
        Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
        None => format!("function {}", frame.func_index()),
    };
    if let Some(symbol) = frame.symbols().first()
        && let (Some(file), Some(line)) = (symbol.file(), symbol.line())
    {
        let _ = write!(text, " ({file}:{line})");
    }
    text
}

/// The first frame that is not the machinery of a Rust panic: what panicked.
fn own(frames: &[String]) -> usize {
    let machinery = |frame: &String| PANIC.iter().any(|part| frame.contains(part));
    // Closures and shims of it have names of all kinds, so the last one that is known
    // counts, as long as there is one after it.
    let last = frames.iter().rposition(machinery);
    last.map_or(0, |at| at + 1)
        .min(frames.len().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machinery_of_a_panic_is_left_out() {
        let frames = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let panicked = frames(&[
            "std::process::abort",
            "__rust_start_panic",
            "std::panicking::rust_panic_with_hook",
            "std::sys::backtrace::__rust_end_short_backtrace",
            "core::panicking::panic_fmt",
            "guest::deeper",
            "guest::deep",
        ]);
        assert_eq!(own(&panicked), 5);
        assert_eq!(own(&frames(&["guest::divide", "guest::handle"])), 0);
        assert_eq!(own(&frames(&["core::panicking::panic"])), 0);
        assert_eq!(own(&[]), 0);
    }
}
