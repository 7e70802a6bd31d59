//! Which types the columns of a sample look like.

use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimeUnit};
use chrono::Utc;

use super::columns::is_null;
use super::records::Records;
use crate::fault::Fault;

/// The type of each of `columns`: the first of boolean, 64-bit integer, 64-bit
/// float, date and timestamp whose parser takes all values, else text.
pub(crate) fn types(
    sample: &Records,
    columns: &[usize],
    nulls: &[String],
) -> Result<Vec<DataType>, Fault> {
    let text = sample.text()?;
    let infer = |column: &usize| {
        let mut candidates = Candidates::default();
        for row in 0..sample.rows() {
            let value = text.field(row, *column);
            if !is_null(value, nulls) {
                candidates.narrow(value);
                if candidates.left == 0 {
                    break;
                }
            }
        }
        candidates.data_type()
    };
    Ok(columns.iter().map(infer).collect())
}

const BOOLEAN: u8 = 1;
const INTEGER: u8 = 2;
const FLOAT: u8 = 4;
const DATE: u8 = 8;
const TIMESTAMP: u8 = 16;
const ALL: u8 = 31;

/// The types that took every value so far.
struct Candidates {
    left: u8,
    seen: bool,
}

impl Default for Candidates {
    fn default() -> Self {
        Self {
            left: ALL,
            seen: false,
        }
    }
}

impl Candidates {
    fn narrow(&mut self, value: &str) {
        self.seen = true;
        let mut takes = |candidate: u8, test: fn(&str) -> bool| {
            if self.left & candidate != 0 && !test(value) {
                self.left &= !candidate;
            }
        };
        takes(BOOLEAN, |value| {
            value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
        });
        takes(FLOAT, is_float);
        takes(INTEGER, |value| Int64Type::parse(value).is_some());
        takes(DATE, is_date);
        takes(TIMESTAMP, |value| is_date(value) || is_timestamp(value));
    }

    fn data_type(&self) -> DataType {
        if !self.seen {
            return DataType::Utf8;
        }
        match self.left {
            left if left & BOOLEAN != 0 => DataType::Boolean,
            left if left & INTEGER != 0 => DataType::Int64,
            left if left & FLOAT != 0 => DataType::Float64,
            left if left & DATE != 0 => DataType::Date32,
            left if left & TIMESTAMP != 0 => DataType::Timestamp(TimeUnit::Microsecond, None),
            _ => DataType::Utf8,
        }
    }
}

/// A whole number beyond 64 bits is no float: it would lose digits.
fn is_float(value: &str) -> bool {
    let digits = value.trim_ascii().trim_start_matches(['-', '+']);
    let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole {
        Int64Type::parse(value).is_some()
    } else {
        Float64Type::parse(value).is_some()
    }
}

fn is_date(value: &str) -> bool {
    value.len() == 10 && has_hyphens(value) && Date32Type::parse(value).is_some()
}

fn is_timestamp(value: &str) -> bool {
    value.len() > 10 && has_hyphens(value) && string_to_datetime(&Utc, value).is_ok()
}

fn has_hyphens(value: &str) -> bool {
    let bytes = value.as_bytes();
    bytes[4] == b'-' && bytes[7] == b'-'
}
