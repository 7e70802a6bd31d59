//! `multipart/form-data` with a part `file`, streamed.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use futures::executor::block_on;
use futures::stream;
use lakehouse_sdk::http::Problem;
use multer::{Field, Multipart};

use crate::fault::Fault;
use crate::source::Reader;

/// Bytes read from the body at a time.
const CHUNK: usize = 256 * 1024;

/// The part `file`.
pub(crate) struct Part {
    pub reader: Reader,
    pub file_name: String,
    pub content_type: String,
}

/// The boundary, if the content type says multipart.
pub(crate) fn boundary(content_type: &str) -> Result<Option<String>, Fault> {
    let media = content_type.split(';').next().unwrap_or_default().trim();
    if !media.to_ascii_lowercase().starts_with("multipart/") {
        return Ok(None);
    }
    multer::parse_boundary(content_type)
        .map(Some)
        .map_err(|error| {
            Fault::Other(Problem::new(
                415,
                format!("content type '{content_type}': {error}"),
            ))
        })
}

/// Skips to the part `file`.
pub(crate) fn file(reader: Reader, boundary: String) -> Result<Part, Fault> {
    // The body blocks, so every poll is ready and `block_on` never waits.
    let chunks = stream::iter(Chunks(Some(reader)));
    let mut parts = Multipart::new(chunks, boundary);
    while let Some(field) = block_on(parts.next_field()).map_err(broken)? {
        if field.name() == Some("file") {
            return Ok(Part {
                file_name: field.file_name().unwrap_or_default().to_owned(),
                content_type: field
                    .content_type()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                reader: Box::new(PartReader {
                    field,
                    chunk: Bytes::new(),
                }),
            });
        }
    }
    Err(Fault::data("the multipart body has no part named 'file'"))
}

/// Keeps the reason if the body itself failed, so that its status is right.
fn broken(error: multer::Error) -> Fault {
    match error {
        multer::Error::StreamReadFailed(cause) => match cause.downcast::<io::Error>() {
            Ok(error) => Fault::Body(*error),
            Err(other) => Fault::data(format!("the multipart body is broken: {other}")),
        },
        other => Fault::data(format!("the multipart body is broken: {other}")),
    }
}

struct Chunks(Option<Reader>);

impl Iterator for Chunks {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = self.0.as_mut()?;
        let mut chunk = vec![0; CHUNK];
        match reader.read(&mut chunk) {
            Ok(0) => {
                self.0 = None;
                None
            }
            Ok(length) => {
                chunk.truncate(length);
                Some(Ok(chunk.into()))
            }
            Err(error) => {
                self.0 = None;
                Some(Err(error))
            }
        }
    }
}

struct PartReader {
    field: Field<'static>,
    chunk: Bytes,
}

impl Read for PartReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match block_on(self.field.chunk()) {
                Ok(Some(chunk)) => self.chunk = chunk,
                Ok(None) => return Ok(0),
                Err(error) => {
                    return Err(match broken(error) {
                        Fault::Body(error) => error,
                        Fault::Data(_, detail) => {
                            io::Error::new(io::ErrorKind::InvalidData, detail)
                        }
                        _ => io::Error::from(io::ErrorKind::InvalidData),
                    });
                }
            }
        }
        let length = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
