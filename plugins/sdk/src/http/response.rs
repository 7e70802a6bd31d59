//! What a plugin answers.

use std::fmt;
use std::io::{self, Write};

use wasip2::http::types::{ErrorCode, Fields, OutgoingBody, OutgoingResponse, ResponseOutparam};
use wasip2::io::streams::InputStream;

use super::{BodyWriter, Problem};

type WriteBody = Box<dyn FnOnce(&mut BodyWriter) -> io::Result<()>>;

enum Body {
    Empty,
    /// Announced, but not sent: the answer to a `HEAD`.
    Omitted(u64),
    Bytes(Vec<u8>),
    Stream(InputStream, Option<u64>),
    Writer(WriteBody),
}

/// An answer.
///
/// A body that is streamed and fails in its middle ends abnormally: the client
/// sees a broken answer, never one that looks whole.
pub struct Response {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Body,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.headers.len())
            .finish_non_exhaustive()
    }
}

impl Response {
    /// An answer with this status, no headers and no body.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Empty,
        }
    }

    /// Its status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Adds a header. `content-length` is set from the body where it is known.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    fn has(&self, header: &str) -> bool {
        self.headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(header))
    }

    fn default_type(self, media: &str) -> Self {
        if self.has("content-type") {
            self
        } else {
            self.header("content-type", media)
        }
    }

    /// A body in memory.
    #[must_use]
    pub fn bytes(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Bytes(body.into());
        self
    }

    /// A body of text, `text/plain; charset=utf-8` if no type was set before.
    #[must_use]
    pub fn text(self, body: impl Into<String>) -> Self {
        self.default_type("text/plain; charset=utf-8")
            .bytes(body.into())
    }

    /// A JSON body, `application/json` if no type was set before. A value that
    /// cannot be JSON (a map whose keys are not text) becomes a 500.
    #[must_use]
    pub fn json<T: serde::Serialize + ?Sized>(self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => self.default_type("application/json").bytes(body),
            Err(error) => {
                Problem::new(500, format!("the answer is not JSON: {error}")).into_response()
            }
        }
    }

    /// A body that the host moves by itself, such as one of
    /// [`store::open`](crate::store::open). With a `length` exactly so many
    /// bytes are sent.
    #[must_use]
    pub fn stream(mut self, source: InputStream, length: Option<u64>) -> Self {
        self.body = Body::Stream(source, length);
        self
    }

    /// No body, but the length that it would have: for `HEAD`.
    #[must_use]
    pub fn omit_body(mut self, length: u64) -> Self {
        self.body = Body::Omitted(length);
        self
    }

    /// A body written piece by piece after the head was sent. An error ends the
    /// answer abnormally.
    #[must_use]
    pub fn writer(
        mut self,
        write: impl FnOnce(&mut BodyWriter) -> io::Result<()> + 'static,
    ) -> Self {
        self.body = Body::Writer(Box::new(write));
        self
    }

    pub(super) fn send(mut self, out: ResponseOutparam) {
        let length = match &self.body {
            // 1xx, 204 and 304 must not announce a body.
            Body::Empty => (self.status >= 200 && !matches!(self.status, 204 | 304)).then_some(0),
            Body::Omitted(length) => Some(*length),
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::Stream(_, length) => *length,
            Body::Writer(_) => None,
        };
        if let Some(length) = length
            && !self.has("content-length")
        {
            self.headers
                .push(("content-length".to_owned(), length.to_string().into_bytes()));
        }
        let Some(response) = head(self.status, &self.headers) else {
            eprintln!(
                "the answer's status {} or its headers are not valid",
                self.status
            );
            ResponseOutparam::set(out, Err(ErrorCode::InternalError(None)));
            return;
        };
        if matches!(self.body, Body::Empty | Body::Omitted(_)) {
            ResponseOutparam::set(out, Ok(response));
            return;
        }
        let Ok(body) = response.body() else {
            ResponseOutparam::set(out, Err(ErrorCode::InternalError(None)));
            return;
        };
        // The head goes first: the host takes no byte of the body before.
        ResponseOutparam::set(out, Ok(response));
        match fill(&body, self.body) {
            Ok(()) => {
                if let Err(error) = OutgoingBody::finish(body, None) {
                    eprintln!("the answer's body is not as announced: {error:?}");
                }
            }
            // Dropping the body without finishing it breaks the answer off.
            Err(error) => {
                drop(body);
                if error.kind() != io::ErrorKind::BrokenPipe {
                    eprintln!("the answer broke off: {error}");
                }
            }
        }
    }
}

fn head(status: u16, headers: &[(String, Vec<u8>)]) -> Option<OutgoingResponse> {
    let fields = Fields::from_list(headers).ok()?;
    let response = OutgoingResponse::new(fields);
    // A response begins as 200.
    if status != 200 {
        response.set_status_code(status).ok()?;
    }
    Some(response)
}

/// Writes the body; the stream is closed when this returns.
fn fill(body: &OutgoingBody, content: Body) -> io::Result<()> {
    let stream = body
        .write()
        .map_err(|()| io::Error::other("the body was taken before"))?;
    let mut writer = BodyWriter::new(stream);
    match content {
        Body::Empty | Body::Omitted(_) => {}
        Body::Bytes(bytes) => return writer.send(&bytes),
        Body::Stream(source, length) => {
            writer.splice(&source, length)?;
        }
        Body::Writer(write) => write(&mut writer)?,
    }
    writer.flush()
}
