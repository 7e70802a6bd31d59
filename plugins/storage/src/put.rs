//! `PUT`: writing an object.

use lakehouse_sdk::http::{Problem, Request, Response};
use lakehouse_sdk::store::{self, ObjectMeta, PutMode};
use lakehouse_sdk::types::Error;
use serde::Serialize;

use crate::conditions::Tags;
use crate::get::failed;
use crate::{shown, stored};

/// Most bytes moved by one call of the host.
const STEP: u64 = 8 << 20;

#[derive(Serialize)]
struct Written<'m> {
    key: &'m str,
    size: u64,
    etag: &'m str,
}

/// Stores the body under the key; nothing of it if it does not come whole.
///
/// # Errors
/// 400 if the body breaks off, 412 if a condition does not hold, or what the
/// store says.
pub fn put(key: String, request: Request) -> Result<Response, Problem> {
    if request.header("content-range").is_some() {
        return Err(Problem::bad_request(
            "Content-Range: a part of an object cannot be written",
        ));
    }
    let mode = mode(&key, &request)?;
    let conditional = !matches!(mode, PutMode::Overwrite);
    let meta = write(&stored(&key), &mode, request).map_err(|failure| match failure {
        Failure::Body(problem) => problem,
        Failure::Store(Error::AlreadyExists(_)) if conditional => {
            precondition(&key, "it exists already")
        }
        // An object that is gone has no ETag to match.
        Failure::Store(Error::PreconditionFailed(_) | Error::NotFound(_)) if conditional => {
            precondition(&key, "its ETag is not the one asked for")
        }
        Failure::Store(error) => failed(&key, error),
    })?;
    let written = Written {
        key: shown(&meta.key),
        size: meta.size,
        etag: &meta.etag,
    };
    Ok(Response::new(201)
        .header("etag", format!("\"{}\"", meta.etag))
        .json(&written))
}

enum Failure {
    Body(Problem),
    Store(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

fn write(stored: &str, mode: &PutMode, request: Request) -> Result<ObjectMeta, Failure> {
    let upload = store::start_upload(stored, mode)?;
    let body = request.into_body();
    let announced = body.announced();
    let mut size = 0;
    if let Some(stream) = body.into_stream() {
        loop {
            match upload.splice(&stream, STEP) {
                Ok(0) => break,
                Ok(moved) => size += moved,
                Err(Error::Invalid(text)) => {
                    return Err(Failure::Body(Problem::bad_request(format!(
                        "nothing was stored: {text}, after {size} bytes"
                    ))));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    // Dropping the upload leaves nothing behind.
    match announced {
        Some(announced) if announced != size => Err(Failure::Body(Problem::bad_request(format!(
            "the body ends after {size} of {announced} bytes; nothing was stored"
        )))),
        _ => Ok(upload.finish()?),
    }
}

/// The store's condition for the request's.
fn mode(key: &str, request: &Request) -> Result<PutMode, Problem> {
    let if_match = Tags::of(request, "if-match");
    let if_none_match = Tags::of(request, "if-none-match");
    if if_match.is_none() {
        match &if_none_match {
            None => return Ok(PutMode::Overwrite),
            Some(Tags::Any) => return Ok(PutMode::Create),
            Some(Tags::List(_)) => {}
        }
    }
    if let (Some(tags), None) = (&if_match, &if_none_match)
        && let Some(etag) = tags.single()
    {
        return Ok(PutMode::Update(etag.to_owned()));
    }
    // The rest asks about the state that is there now; the put then holds only
    // for that very state.
    let current = match store::head(&stored(key)) {
        Ok(meta) => Some(meta.etag),
        Err(Error::NotFound(_)) => None,
        Err(error) => return Err(failed(key, error)),
    };
    let etag = current.as_deref();
    if if_match.is_some_and(|tags| !etag.is_some_and(|etag| tags.has_strong(etag))) {
        return Err(precondition(key, "If-Match does not hold"));
    }
    if if_none_match.is_some_and(|tags| etag.is_some_and(|etag| tags.has_weak(etag))) {
        return Err(precondition(key, "If-None-Match does not hold"));
    }
    Ok(current.map_or(PutMode::Create, PutMode::Update))
}

fn precondition(key: &str, text: &str) -> Problem {
    Problem::new(412, format!("`{key}` was not written: {text}"))
}
