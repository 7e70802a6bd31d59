//! Ending without an answer.

/// As the machine does it.
pub fn trap() -> ! {
    #[cfg(target_arch = "wasm32")]
    std::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    std::process::abort()
}

/// As Rust does it, with a message.
pub fn panic() -> ! {
    panic!("a panic on purpose")
}

/// As if all were well.
pub fn exit() -> ! {
    std::process::exit(0)
}
