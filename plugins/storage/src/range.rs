//! The `Range` header, RFC 9110 section 14.

use http_range_header::{EndPosition, RangeUnsatisfiableError, StartPosition, parse_range_header};
use lakehouse_sdk::store::ByteRange;

/// What a `Range` asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Everything: no range, a unit other than bytes, or several ranges. A
    /// server may answer those with the whole, and every client takes it.
    Whole,
    /// One span that is there.
    Part { offset: u64, length: u64 },
    /// 416, with the reason.
    Unsatisfiable(String),
}

impl Wanted {
    /// Reads a header against an object of `size` bytes.
    pub fn read(header: Option<&str>, size: u64) -> Self {
        let Some(header) = header.map(str::trim) else {
            return Self::Whole;
        };
        if !header.starts_with("bytes=") {
            return Self::Whole;
        }
        let range = match parse_range_header(header) {
            Ok(parsed) => match parsed.ranges.as_slice() {
                [range] => *range,
                _ => return Self::Whole,
            },
            Err(RangeUnsatisfiableError::ZeroSuffix) => {
                return Self::Unsatisfiable("the range asks for no byte".to_owned());
            }
            Err(_) => {
                return Self::Unsatisfiable(format!("`{header}` is not a range of bytes"));
            }
        };
        let last = size.saturating_sub(1);
        let (first, last) = match (range.start, range.end) {
            (StartPosition::FromLast(length), _) => (size.saturating_sub(length), last),
            (StartPosition::Index(first), EndPosition::LastByte) => (first, last),
            (StartPosition::Index(first), EndPosition::Index(end)) if end < first => {
                return Self::Unsatisfiable(format!("`{header}` ends before it begins"));
            }
            (StartPosition::Index(first), EndPosition::Index(end)) => (first, end.min(last)),
        };
        if first >= size {
            return Self::Unsatisfiable(format!(
                "the range begins at byte {first} and the object has {size} bytes"
            ));
        }
        Self::Part {
            offset: first,
            length: last - first + 1,
        }
    }

    /// The part to read of the store.
    pub fn part(&self) -> Option<ByteRange> {
        match *self {
            Self::Part { offset, length } => Some(ByteRange { offset, length }),
            Self::Whole | Self::Unsatisfiable(_) => None,
        }
    }
}
