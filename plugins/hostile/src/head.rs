//! Heads without measure.

use wasip2::http::types::{Fields, OutgoingBody, ResponseOutparam};

use crate::begin;

/// A million headers, or as many as it gets.
pub fn many(out: ResponseOutparam) {
    let headers = Fields::new();
    for number in 0..1_000_000 {
        if headers.append(&format!("x-{number}"), b"value").is_err() {
            break;
        }
    }
    let _ = OutgoingBody::finish(begin(out, 200, headers), None);
}

/// One header of a megabyte.
pub fn large(out: ResponseOutparam) {
    let headers = Fields::new();
    let _ = headers.append("x-large", &vec![b'x'; 1 << 20]);
    let _ = OutgoingBody::finish(begin(out, 200, headers), None);
}
