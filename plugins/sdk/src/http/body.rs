//! Bodies, read and written in pieces.

use std::io::{self, Read, Write};
use std::ops::Deref;

use wasip2::http::types::{ErrorCode, IncomingBody, IncomingRequest, http_error_code};
use wasip2::io::poll::Pollable;
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

use super::Problem;

/// Bytes fetched from the host or handed to it at a time.
const CHUNK: usize = 64 * 1024;

/// The stream of a request's body, for [`Upload::splice`](crate::store::Upload::splice).
#[derive(Debug)]
pub struct BodyStream {
    // Before its parent: a stream must be dropped before the body it came from.
    stream: InputStream,
    _body: IncomingBody,
}

impl Deref for BodyStream {
    type Target = InputStream;

    fn deref(&self) -> &InputStream {
        &self.stream
    }
}

/// Reads a request's body. One that breaks off is an error, never an end:
/// [`io::ErrorKind::UnexpectedEof`] if the client or its connection stopped,
/// [`io::ErrorKind::FileTooLarge`] if the host allows no more.
#[derive(Debug)]
pub struct BodyReader {
    stream: Option<BodyStream>,
    chunk: Vec<u8>,
    taken: usize,
    received: u64,
    announced: Option<u64>,
    failed: Option<(io::ErrorKind, String)>,
}

impl BodyReader {
    pub(super) fn empty() -> Self {
        Self {
            stream: None,
            chunk: Vec::new(),
            taken: 0,
            received: 0,
            announced: None,
            failed: None,
        }
    }

    pub(super) fn new(request: &IncomingRequest, announced: Option<u64>) -> Self {
        // Both calls fail only when made twice; the request makes them once.
        let stream = request.consume().ok().and_then(|body| {
            let stream = body.stream().ok()?;
            Some(BodyStream {
                stream,
                _body: body,
            })
        });
        Self {
            stream,
            announced,
            ..Self::empty()
        }
    }

    /// The length that the client announced, in bytes.
    pub fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// The host's stream, for splicing; nothing may have been read before.
    /// None for a body that was read to its end.
    ///
    /// Compare what came with [`Self::announced`] if the client must not be
    /// trusted to send it all.
    pub fn into_stream(self) -> Option<BodyStream> {
        self.stream
    }

    /// The next bytes as they came, at most 64 KiB; none at the end.
    ///
    /// # Errors
    /// If the body breaks off.
    pub fn next_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.taken < self.chunk.len() {
            let rest = self.chunk.split_off(self.taken);
            self.chunk.clear();
            self.taken = 0;
            return Ok(Some(rest));
        }
        self.fetch()
    }

    fn fetch(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some((kind, text)) = &self.failed {
            return Err(io::Error::new(*kind, text.clone()));
        }
        let Some(stream) = &self.stream else {
            return Ok(None);
        };
        loop {
            match stream.blocking_read(CHUNK as u64) {
                Ok(chunk) if chunk.is_empty() => {}
                Ok(chunk) => {
                    self.received += chunk.len() as u64;
                    return Ok(Some(chunk));
                }
                Err(StreamError::Closed) => {
                    self.stream = None;
                    return match self.announced {
                        Some(announced) if self.received < announced => Err(self.fail(
                            io::ErrorKind::UnexpectedEof,
                            format!("the body ends after {} of {announced} bytes", self.received),
                        )),
                        _ => Ok(None),
                    };
                }
                Err(StreamError::LastOperationFailed(error)) => {
                    let received = self.received;
                    let failure = match http_error_code(&error) {
                        Some(ErrorCode::HttpRequestBodySize(_)) => self.fail(
                            io::ErrorKind::FileTooLarge,
                            "the body is longer than the host allows".to_owned(),
                        ),
                        _ => self.fail(
                            io::ErrorKind::UnexpectedEof,
                            format!(
                                "the body breaks off after {received} bytes: {}",
                                error.to_debug_string()
                            ),
                        ),
                    };
                    drop(error);
                    self.stream = None;
                    return Err(failure);
                }
            }
        }
    }

    fn fail(&mut self, kind: io::ErrorKind, text: String) -> io::Error {
        self.failed = Some((kind, text.clone()));
        io::Error::new(kind, text)
    }

    /// Everything that is left, or none if that is more than `limit` bytes.
    pub(super) fn read_all(&mut self, limit: usize) -> Result<Option<Vec<u8>>, Problem> {
        let mut all = Vec::new();
        while let Some(chunk) = self
            .next_chunk()
            .map_err(|e| Problem::from_body_error(&e))?
        {
            if all.len() + chunk.len() > limit {
                return Ok(None);
            }
            all.extend_from_slice(&chunk);
        }
        Ok(Some(all))
    }
}

impl Read for BodyReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        if self.taken == self.chunk.len() {
            self.chunk = self.fetch()?.unwrap_or_default();
            self.taken = 0;
        }
        let rest = &self.chunk[self.taken..];
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        self.taken += len;
        Ok(len)
    }
}

/// Writes an answer's body. Blocks while the client is behind; when the client
/// went away every call fails with [`io::ErrorKind::BrokenPipe`].
#[derive(Debug)]
pub struct BodyWriter {
    // Before its parent, the stream.
    ready: Option<Pollable>,
    stream: OutputStream,
    buffer: Vec<u8>,
    permit: u64,
}

impl BodyWriter {
    pub(super) fn new(stream: OutputStream) -> Self {
        Self {
            ready: None,
            stream,
            buffer: Vec::new(),
            permit: 0,
        }
    }

    /// Waits until the host takes bytes.
    fn wait(&mut self) -> io::Result<()> {
        while self.permit == 0 {
            self.permit = self.stream.check_write().map_err(closed)?;
            if self.permit == 0 {
                self.ready
                    .get_or_insert_with(|| self.stream.subscribe())
                    .block();
            }
        }
        Ok(())
    }

    /// Hands bytes to the host, past the buffer.
    pub(super) fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.wait()?;
            let len = usize::try_from(self.permit)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            let (now, later) = bytes.split_at(len);
            self.stream.write(now).map_err(closed)?;
            // One permit is good for one write: the host counts chunks too.
            self.permit = 0;
            bytes = later;
        }
        Ok(())
    }

    /// Moves a stream to its end, or `length` bytes of it, into the body without
    /// crossing the guest's memory.
    pub(super) fn splice(&mut self, source: &InputStream, length: Option<u64>) -> io::Result<u64> {
        self.flush()?;
        let mut moved = 0;
        while length.is_none_or(|length| moved < length) {
            let most = length.map_or(u64::MAX, |length| length - moved);
            match self.stream.blocking_splice(source, most) {
                Ok(len) => moved += len,
                Err(StreamError::Closed) => {
                    // Either side may have closed.
                    self.stream.check_write().map_err(closed)?;
                    break;
                }
                Err(error) => return Err(closed(error)),
            }
        }
        match length {
            Some(length) if moved < length => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the content ends after {moved} of {length} bytes"),
            )),
            _ => Ok(moved),
        }
    }
}

fn closed(error: StreamError) -> io::Error {
    match error {
        StreamError::Closed => io::Error::new(io::ErrorKind::BrokenPipe, "the client went away"),
        StreamError::LastOperationFailed(error) => io::Error::other(error.to_debug_string()),
    }
}

impl Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > CHUNK {
            self.send_buffer()?;
        }
        if bytes.len() >= CHUNK {
            self.send(bytes)?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_buffer()?;
        self.stream.flush().map_err(closed)?;
        // A flush takes the permits back until it is through.
        self.permit = 0;
        Ok(())
    }
}

impl BodyWriter {
    fn send_buffer(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        self.send(&buffer)?;
        buffer.clear();
        self.buffer = buffer;
        Ok(())
    }
}
