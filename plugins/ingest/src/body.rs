//! From a request to the data itself: multipart, compression, format.

use std::io::{self, BufRead, BufReader, Read};

use lakehouse_sdk::http::{BodyReader, Problem, Request};

use crate::fault::Fault;
use crate::multipart;
use crate::params::Format;
use crate::source::Reader;

/// Bytes read ahead of a decompressor.
const BUFFER: usize = 256 * 1024;

/// The data of a request and how to read it.
pub(crate) struct Body {
    pub reader: Reader,
    pub format: Format,
}

/// Unwraps the request's body. `format` is what the query said.
pub(crate) fn open(request: Request, format: Option<Format>) -> Result<Body, Fault> {
    let content_type = request
        .header("content-type")
        .unwrap_or_default()
        .to_owned();
    let encoding = request.header("content-encoding").map(str::to_owned);
    let reader = decode(request.into_body(), encoding.as_deref())?;
    if let Some(boundary) = multipart::boundary(&content_type)? {
        let part = multipart::file(reader, boundary)?;
        let format = format
            .or_else(|| Format::from_content_type(&part.content_type))
            .or_else(|| Format::from_file_name(&part.file_name));
        let format = format.ok_or_else(|| {
            unknown(&format!(
                "the part 'file' (file name '{}', content type '{}')",
                part.file_name, part.content_type
            ))
        })?;
        let reader = by_file_name(part.reader, &part.file_name)?;
        return Ok(Body { reader, format });
    }
    let format = format
        .or_else(|| Format::from_content_type(&content_type))
        .ok_or_else(|| unknown(&format!("the content type '{content_type}'")))?;
    Ok(Body { reader, format })
}

fn unknown(what: &str) -> Problem {
    Problem::new(
        415,
        format!("{what} does not say the format; add format=csv, ndjson, json, parquet or arrow"),
    )
}

/// Undoes `Content-Encoding`.
fn decode(body: BodyReader, encoding: Option<&str>) -> Result<Reader, Fault> {
    match encoding
        .map(|encoding| encoding.trim().to_ascii_lowercase())
        .as_deref()
    {
        None | Some("" | "identity") => Ok(Box::new(body)),
        Some("gzip" | "x-gzip") => Ok(gunzip(body)),
        Some("zstd") => unzstd(body),
        Some(other) => Err(Fault::Other(
            Problem::new(
                415,
                format!("content encoding '{other}' is not known; gzip and zstd are"),
            )
            .header("accept-encoding", "gzip, zstd"),
        )),
    }
}

/// Undoes the compression that a file name tells of.
fn by_file_name(reader: Reader, name: &str) -> Result<Reader, Fault> {
    match name
        .rsplit_once('.')
        .map(|(_, end)| end.to_ascii_lowercase())
        .as_deref()
    {
        Some("gz") => Ok(gunzip(reader)),
        Some("zst") => unzstd(reader),
        _ => Ok(reader),
    }
}

fn gunzip(reader: impl Read + Send + 'static) -> Reader {
    let buffered = BufReader::with_capacity(BUFFER, reader);
    Box::new(Named(
        "gzip",
        flate2::bufread::MultiGzDecoder::new(buffered),
    ))
}

fn unzstd(reader: impl Read + Send + 'static) -> Result<Reader, Fault> {
    let buffered = BufReader::with_capacity(BUFFER, reader);
    Ok(Box::new(Named(
        "zstd",
        zstd::stream::read::Decoder::with_buffer(buffered)?,
    )))
}

/// Says in errors which compression is broken.
struct Named<R>(&'static str, R);

impl<R: Read> Read for Named<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1.read(buffer).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("the {} data is broken: {error}", self.0),
            )
        })
    }
}

/// Bytes kept of what stands behind the data.
const TAIL: usize = 6;

/// Reads to the end; the last bytes. What stands behind the end of a format may
/// be there, but a body that breaks off there is not whole.
pub(crate) fn tail(reader: &mut dyn Read) -> Result<Vec<u8>, Fault> {
    let mut rest = BufReader::with_capacity(BUFFER, reader);
    let mut kept = Vec::new();
    loop {
        let part = rest.fill_buf()?;
        let length = part.len();
        if length == 0 {
            return Ok(kept);
        }
        kept.extend_from_slice(&part[length.saturating_sub(TAIL)..]);
        kept.drain(..kept.len().saturating_sub(TAIL));
        rest.consume(length);
    }
}
