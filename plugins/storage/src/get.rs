//! `GET` and `HEAD`: reading an object.

use lakehouse_sdk::http::{Problem, Request, Response};
use lakehouse_sdk::store::{self, ObjectMeta};
use lakehouse_sdk::types::Error;

use crate::conditions::{Conditions, Outcome, last_modified};
use crate::range::Wanted;
use crate::{PREFIX, stored};

/// How often a read starts over because the object changed between the look at
/// its metadata and the read.
const ATTEMPTS: usize = 5;

/// Answers a read.
///
/// # Errors
/// 404, 412, 416, or what the store says.
pub fn get(key: &str, request: &Request) -> Result<Response, Problem> {
    let stored = stored(key);
    let conditions = Conditions::of(request);
    let is_head = request.method() == "HEAD";
    // A range is defined for GET alone.
    let range = request.header("range").filter(|_| !is_head);
    if !is_head && range.is_none() && conditions.is_empty() {
        let (meta, stream) = store::open(&stored, None).map_err(|error| failed(key, error))?;
        return Ok(described(200, &meta).stream(stream, Some(meta.size)));
    }
    for _ in 0..ATTEMPTS {
        let meta = store::head(&stored).map_err(|error| failed(key, error))?;
        match conditions.evaluate(&meta) {
            Outcome::Go => {}
            Outcome::NotModified => return Ok(described(304, &meta)),
            Outcome::Failed(header) => {
                return Err(Problem::new(
                    412,
                    format!(
                        "{header} does not hold: the ETag of `{key}` is \"{}\"",
                        meta.etag
                    ),
                ));
            }
        }
        if is_head {
            return Ok(described(200, &meta).omit_body(meta.size));
        }
        let range = range.filter(|_| conditions.allow_range(&meta));
        let wanted = Wanted::read(range, meta.size);
        if let Wanted::Unsatisfiable(reason) = wanted {
            return Err(
                Problem::new(416, reason).header("content-range", format!("bytes */{}", meta.size))
            );
        }
        let (found, stream) = match store::open(&stored, wanted.part()) {
            Ok((found, stream)) if found.etag == meta.etag => (found, stream),
            Ok(_) | Err(Error::RangeNotSatisfiable(_)) => continue,
            Err(error) => return Err(failed(key, error)),
        };
        return Ok(match wanted {
            Wanted::Part { offset, length } => described(206, &found)
                .header(
                    "content-range",
                    format!("bytes {offset}-{}/{}", offset + length - 1, found.size),
                )
                .stream(stream, Some(length)),
            _ => described(200, &found).stream(stream, Some(found.size)),
        });
    }
    Err(Problem::new(
        503,
        format!("`{key}` is being replaced too fast to be read"),
    )
    .header("retry-after", "1"))
}

/// An answer with what HTTP says about an object. The content is the client's:
/// no browser shall guess its type and run it.
fn described(status: u16, meta: &ObjectMeta) -> Response {
    Response::new(status)
        .header("content-type", "application/octet-stream")
        .header("x-content-type-options", "nosniff")
        .header("accept-ranges", "bytes")
        .header("etag", format!("\"{}\"", meta.etag))
        .header(
            "last-modified",
            httpdate::fmt_http_date(last_modified(meta)),
        )
}

/// The store's failure in the client's words.
pub fn failed(key: &str, error: Error) -> Problem {
    match error {
        Error::NotFound(_) => Problem::not_found(format!("there is no object `{key}`")),
        error => {
            let mut problem = Problem::from(error);
            // The client knows the object by its own name.
            problem.detail = problem.detail.replace(&format!("`{PREFIX}"), "`");
            problem
        }
    }
}
