//! The sizes that a Parquet file's pages declare, before anything believes them.
//!
//! The Parquet reader makes room for as many bytes as a page header says it
//! decompresses to, and there is no catching a failed allocation in a guest.

use std::io::{self, Read};

use thrift::TConfiguration;
use thrift::protocol::{TCompactInputProtocol, TInputProtocol, TType};

use crate::fault::Fault;

/// Bytes of the largest page, decompressed. Writers make pages of about 1 MiB.
const MAX_PAGE: i32 = 256 << 20;

/// Bytes of the largest text in a page header: a bound in its statistics.
const MAX_TEXT: usize = 1 << 20;

/// Sizes of one page.
struct PageSizes {
    header: u64,
    compressed: i32,
    uncompressed: i32,
}

/// Checks every page from `start` to `end`. `read_from` reads the file from an
/// offset.
pub(crate) fn check<R: Read>(
    start: u64,
    end: u64,
    read_from: impl Fn(u64) -> R,
) -> Result<(), Fault> {
    let mut at = start;
    while at < end {
        let page = sizes(read_from(at)).map_err(|error| {
            Fault::data(format!(
                "the Parquet file is broken: the page header at byte {at}: {error}"
            ))
        })?;
        let next = u64::try_from(page.compressed)
            .ok()
            .map(|size| at + page.header + size)
            .filter(|next| *next <= end);
        match next {
            Some(next) if (0..=MAX_PAGE).contains(&page.uncompressed) => at = next,
            _ => {
                return Err(Fault::data(format!(
                    "the Parquet file is broken: the page at byte {at} claims {} bytes, {} \
                     decompressed",
                    page.compressed, page.uncompressed
                )));
            }
        }
    }
    Ok(())
}

/// Reads the struct `PageHeader` as far as sizes go.
fn sizes(reader: impl Read) -> thrift::Result<PageSizes> {
    let mut counted = Counted(reader, 0);
    let config = TConfiguration::builder()
        .max_string_size(Some(MAX_TEXT))
        .build()?;
    let mut protocol = TCompactInputProtocol::with_config(&mut counted, config);
    let (mut compressed, mut uncompressed) = (-1, -1);
    protocol.read_struct_begin()?;
    loop {
        let field = protocol.read_field_begin()?;
        match (field.field_type, field.id) {
            (TType::Stop, _) => break,
            (TType::I32, Some(2)) => uncompressed = protocol.read_i32()?,
            (TType::I32, Some(3)) => compressed = protocol.read_i32()?,
            (other, _) => protocol.skip(other)?,
        }
    }
    Ok(PageSizes {
        header: counted.1,
        compressed,
        uncompressed,
    })
}

struct Counted<R>(R, u64);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.0.read(buffer)?;
        self.1 += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `PageHeader { type: 0, uncompressed, compressed }`, zigzag and one byte each.
    fn header(uncompressed: u8, compressed: u8) -> Vec<u8> {
        vec![0x15, 0, 0x15, uncompressed * 2, 0x15, compressed * 2, 0]
    }

    fn checked(bytes: &[u8]) -> Result<(), Fault> {
        check(0, bytes.len() as u64, |at| {
            &bytes[usize::try_from(at).unwrap()..]
        })
    }

    #[test]
    fn pages_that_fit_are_taken() {
        let mut pages = header(50, 3);
        pages.extend_from_slice(b"abc");
        pages.extend(header(0, 0));
        assert!(checked(&pages).is_ok());
    }

    #[test]
    fn pages_that_reach_beyond_the_end_or_claim_too_much_are_refused() {
        assert!(checked(&header(50, 3)).is_err());
        let huge = [0x15, 0, 0x15, 0xFE, 0xFF, 0xFF, 0xFF, 0x0F, 0x15, 0, 0];
        assert!(checked(&huge).is_err());
        let negative = [0x15, 0, 0x15, 0, 0x15, 1, 0];
        assert!(checked(&negative).is_err());
        assert!(checked(b"no header").is_err());
        assert!(checked(&[0x15]).is_err());
    }
}
