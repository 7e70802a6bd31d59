//! Logging without end.

/// Lines of [`much`].
const LINES: usize = 20_000;

/// Some twenty megabytes.
pub fn much() {
    let line = "x".repeat(1000);
    for number in 0..LINES {
        println!("{number} {line}");
        eprintln!("{number} {line}");
    }
}

/// All that time allows.
pub fn forever() -> ! {
    loop {
        much();
    }
}
