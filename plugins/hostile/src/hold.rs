//! Holding on to the host's things, and handing over more than it should.

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::http::types::Fields;

/// A million pollables, none of which is let go.
pub fn pollables() -> usize {
    let held: Vec<_> = (0..1_000_000).map(subscribe_duration).collect();
    let count = held.len();
    std::mem::forget(held);
    count
}

/// A list of 64 MiB in one call.
pub fn hand_over() -> String {
    let entry = ("x-large".to_owned(), vec![b'x'; 64 << 20]);
    match Fields::from_list(&[entry]) {
        Ok(_) => "taken".to_owned(),
        Err(error) => format!("refused: {error:?}"),
    }
}
