//! A plugin that does harm, one crime a path. `tests/tests/hostile` mirrors it: each
//! crime costs its own request and no other.
//!
//! | file | paths | crime |
//! |---|---|---|
//! | `compute` | `/spin`, `/spin-late`, `/recurse` | computes and recurses for ever |
//! | `memory` | `/allocate` | takes all memory it can get |
//! | `end` | `/trap`, `/panic`, `/exit`, `/silent` | ends without an answer |
//! | `log` | `/log`, `/log-forever` | logs without end |
//! | `reach` | `/files`, `/environment`, `/sockets`, `/fetch` | reaches for what it was not given |
//! | `body` | `/ignore`, `/stall`, `/endless`, `/announced`, `/short`, `/long` | bodies that are not read, do not end, or are not as announced |
//! | `head` | `/headers`, `/header` | a million headers, and a large one |
//! | `hold` | `/hold`, `/hand-over` | holds a million handles; hands over too much |
//!
//! Anything else is answered with `ok`: it can behave if it wants to.

mod body;
mod compute;
mod end;
mod head;
mod hold;
mod log;
mod memory;
mod reach;

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::StreamError;

/// Bytes that go out in one piece.
const PIECE: usize = 4096;

struct Hostile;

impl Guest for Hostile {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let crime = path.rsplit('/').next().unwrap_or_default();
        match crime {
            "spin" => compute::spin(),
            "spin-late" => compute::spin_late(out),
            "recurse" => answer(out, 200, &compute::recurse(1).to_string()),
            "allocate" => answer(out, 200, &memory::allocate().to_string()),
            "trap" => end::trap(),
            "panic" => end::panic(),
            "exit" => end::exit(),
            "silent" => drop(out),
            "log" => {
                log::much();
                answer(out, 200, "logged");
            }
            "log-forever" => log::forever(),
            "files" => answer(out, 200, &reach::files()),
            "environment" => answer(out, 200, &reach::environment()),
            "sockets" => answer(out, 200, &reach::sockets(query)),
            "fetch" => answer(out, 200, &reach::fetch(query)),
            "ignore" => answer(out, 200, "not read"),
            "stall" => body::stall(&request),
            "endless" => body::endless(out),
            "announced" => body::announced(out),
            "short" => body::short(out),
            "long" => body::long(out),
            "headers" => head::many(out),
            "header" => head::large(out),
            "hold" => answer(out, 200, &hold::pollables().to_string()),
            "hand-over" => answer(out, 200, &hold::hand_over()),
            _ => answer(out, 200, "ok"),
        }
    }
}

wasip2::http::proxy::export!(Hostile);

/// Sends an answer as it should be.
fn answer(out: ResponseOutparam, status: u16, text: &str) {
    let body = begin(out, status, Fields::new());
    if write(&body, text.as_bytes()).is_ok() {
        let _ = OutgoingBody::finish(body, None);
    }
}

/// Sends a head.
fn begin(out: ResponseOutparam, status: u16, headers: Fields) -> OutgoingBody {
    let response = OutgoingResponse::new(headers);
    response.set_status_code(status).expect("a status");
    let body = response.body().expect("its first body");
    ResponseOutparam::set(out, Ok(response));
    body
}

/// Sends a part of a body.
fn write(body: &OutgoingBody, bytes: &[u8]) -> Result<(), StreamError> {
    let stream = body.write().expect("its first stream");
    bytes
        .chunks(PIECE)
        .try_for_each(|piece| stream.blocking_write_and_flush(piece))
}
