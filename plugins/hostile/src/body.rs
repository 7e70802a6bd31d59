//! Bodies that are not read, do not end, or are not as announced.

use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, ResponseOutparam};

use crate::{PIECE, begin};

/// Takes the request's body, reads none of it and waits for ever.
pub fn stall(request: &IncomingRequest) -> ! {
    let body = request.consume().expect("its first body");
    let _stream = body.stream().expect("its first stream");
    loop {
        wasip2::clocks::monotonic_clock::subscribe_duration(u64::MAX).block();
    }
}

/// Sends without end.
pub fn endless(out: ResponseOutparam) {
    send(out, Fields::new(), u64::MAX);
}

/// Announces more than anyone may send.
pub fn announced(out: ResponseOutparam) {
    send(out, length(1 << 50), 1 << 50);
}

/// Sends fewer bytes than it announces.
pub fn short(out: ResponseOutparam) {
    send(out, length(100), 10);
}

/// Sends more bytes than it announces.
pub fn long(out: ResponseOutparam) {
    send(out, length(10), 100);
}

fn length(bytes: u64) -> Fields {
    let headers = Fields::new();
    headers
        .append("content-length", bytes.to_string().as_bytes())
        .expect("a length");
    headers
}

fn send(out: ResponseOutparam, headers: Fields, mut bytes: u64) {
    let body = begin(out, 200, headers);
    {
        let stream = body.write().expect("its first stream");
        let piece = [b'x'; PIECE];
        while bytes > 0 {
            let now = usize::try_from(bytes).unwrap_or(PIECE).min(PIECE);
            if stream.blocking_write_and_flush(&piece[..now]).is_err() {
                break;
            }
            bytes -= now as u64;
        }
    }
    let _ = OutgoingBody::finish(body, None);
}
