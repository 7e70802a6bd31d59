//! From records to typed columns.

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, PrimitiveBuilder, RecordBatch, StringBuilder,
};
use arrow::compute::kernels::cast_utils::{Parser, parse_decimal, string_to_datetime};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type,
    Int64Type, SchemaRef, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use chrono::Utc;

use super::records::{Records, Text};
use crate::fault::{Fault, Place};

/// Longest text of a decimal: 38 digits, sign, point, exponent and leading zeros.
const MAX_DECIMAL: usize = 100;

/// Whether a value stands for null.
#[inline]
pub(crate) fn is_null(value: &str, nulls: &[String]) -> bool {
    match nulls {
        [only] if only.is_empty() => value.is_empty(),
        _ => nulls.iter().any(|null| null == value),
    }
}

/// Whether [`parse`] knows the type.
pub(crate) fn parses(data_type: &DataType) -> bool {
    use DataType as T;
    matches!(
        data_type,
        T::Boolean
            | T::Int32
            | T::Int64
            | T::Float32
            | T::Float64
            | T::Decimal128(_, _)
            | T::Date32
            | T::Time64(TimeUnit::Microsecond)
            | T::Timestamp(TimeUnit::Microsecond, _)
            | T::Utf8
            | T::Binary
    )
}

/// All records as a batch.
///
/// # Errors
/// The first value of the leftmost column that does not parse, with its line.
pub(crate) fn parse(
    records: &Records,
    schema: &SchemaRef,
    nulls: &[String],
) -> Result<RecordBatch, Fault> {
    let text = records.text()?;
    let rows = records.rows();
    let mut columns = Vec::with_capacity(schema.fields().len());
    // Of all bad values the one in the first row is told, whichever its column.
    let mut bad: Option<(usize, usize)> = None;
    for (index, field) in schema.fields().iter().enumerate() {
        let column = Column {
            text,
            rows,
            index,
            nulls,
        };
        match column.build(field.data_type()) {
            Ok(array) => columns.push(array),
            Err(row) if bad.is_none_or(|(first, _)| row < first) => bad = Some((row, index)),
            Err(_) => {}
        }
    }
    let Some((row, index)) = bad else {
        return Ok(RecordBatch::try_new(Arc::clone(schema), columns)?);
    };
    let (line, field) = (records.line(row), schema.field(index));
    let value: String = text.field(row, index).chars().take(100).collect();
    Err(Fault::at(
        Place::line(line)
            .column(index as u64 + 1)
            .name(field.name()),
        format!(
            "line {line}, column {} ('{}'): '{value}' is not {}",
            index + 1,
            field.name(),
            describe(field.data_type())
        ),
    ))
}

fn describe(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "true or false".to_owned(),
        DataType::Int32 => "a 32-bit integer".to_owned(),
        DataType::Int64 => "a 64-bit integer".to_owned(),
        DataType::Float32 | DataType::Float64 => "a number".to_owned(),
        DataType::Decimal128(precision, scale) => format!("a decimal({precision},{scale})"),
        DataType::Date32 => "a date (YYYY-MM-DD)".to_owned(),
        DataType::Time64(_) => "a time (HH:MM:SS)".to_owned(),
        DataType::Timestamp(_, _) => "a timestamp (YYYY-MM-DD HH:MM:SS)".to_owned(),
        other => other.to_string(),
    }
}

/// One column of the records.
struct Column<'a> {
    text: Text<'a>,
    rows: usize,
    index: usize,
    nulls: &'a [String],
}

/// The column, or the first row that does not parse.
type Built = Result<ArrayRef, usize>;

impl Column<'_> {
    fn build(&self, data_type: &DataType) -> Built {
        match data_type {
            DataType::Boolean => self.booleans(),
            DataType::Int32 => self.primitives::<Int32Type>(Int32Type::parse),
            DataType::Int64 => self.primitives::<Int64Type>(Int64Type::parse),
            DataType::Float32 => self.primitives::<Float32Type>(Float32Type::parse),
            DataType::Float64 => self.primitives::<Float64Type>(Float64Type::parse),
            DataType::Date32 => self.primitives::<Date32Type>(Date32Type::parse),
            DataType::Time64(_) => {
                self.primitives::<Time64MicrosecondType>(Time64MicrosecondType::parse)
            }
            DataType::Timestamp(_, zone) => self.timestamps(zone.as_deref(), data_type),
            DataType::Decimal128(precision, scale) => {
                self.typed::<Decimal128Type>(data_type, |value| decimal(value, *precision, *scale))
            }
            DataType::Binary => Ok(self.binaries()),
            _ => Ok(self.texts()),
        }
    }

    #[inline]
    fn value(&self, row: usize) -> Option<&str> {
        let value = self.text.field(row, self.index);
        (!is_null(value, self.nulls)).then_some(value)
    }

    fn primitives<T: ArrowPrimitiveType>(
        &self,
        parse: impl Fn(&str) -> Option<T::Native>,
    ) -> Built {
        self.typed::<T>(&T::DATA_TYPE, parse)
    }

    fn typed<T: ArrowPrimitiveType>(
        &self,
        data_type: &DataType,
        parse: impl Fn(&str) -> Option<T::Native>,
    ) -> Built {
        let mut builder =
            PrimitiveBuilder::<T>::with_capacity(self.rows).with_data_type(data_type.clone());
        for row in 0..self.rows {
            match self.value(row) {
                None => builder.append_null(),
                Some(value) => builder.append_value(parse(value).ok_or(row)?),
            }
        }
        Ok(Arc::new(builder.finish()))
    }

    fn timestamps(&self, zone: Option<&str>, data_type: &DataType) -> Built {
        // Without a zone in the text, the time is meant in the column's zone.
        match zone.map(Tz::from_str) {
            None | Some(Err(_)) => self.typed::<TimestampMicrosecondType>(data_type, |value| {
                Some(string_to_datetime(&Utc, value).ok()?.timestamp_micros())
            }),
            Some(Ok(zone)) => self.typed::<TimestampMicrosecondType>(data_type, |value| {
                Some(string_to_datetime(&zone, value).ok()?.timestamp_micros())
            }),
        }
    }

    fn booleans(&self) -> Built {
        let mut builder = BooleanBuilder::with_capacity(self.rows);
        for row in 0..self.rows {
            match self.value(row) {
                None => builder.append_null(),
                Some(value) => builder.append_value(boolean(value).ok_or(row)?),
            }
        }
        Ok(Arc::new(builder.finish()))
    }

    fn texts(&self) -> ArrayRef {
        let mut builder = StringBuilder::with_capacity(self.rows, self.text.share());
        for row in 0..self.rows {
            builder.append_option(self.value(row));
        }
        Arc::new(builder.finish())
    }

    fn binaries(&self) -> ArrayRef {
        let mut builder = BinaryBuilder::with_capacity(self.rows, self.text.share());
        for row in 0..self.rows {
            builder.append_option(self.value(row));
        }
        Arc::new(builder.finish())
    }
}

fn boolean(value: &str) -> Option<bool> {
    let is = |names: &[&str]| names.iter().any(|name| value.eq_ignore_ascii_case(name));
    if is(&["true", "t", "1"]) {
        Some(true)
    } else if is(&["false", "f", "0"]) {
        Some(false)
    } else {
        None
    }
}

/// Exact: digits beyond the scale must be zeros. Arrow's parser drops them.
fn decimal(value: &str, precision: u8, scale: i8) -> Option<i128> {
    let value = value.trim_ascii();
    let plain = value.len() <= MAX_DECIMAL && !value.contains(['e', 'E']);
    if !plain || !value.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if let Some((_, fraction)) = value.split_once('.') {
        let kept = usize::try_from(scale).unwrap_or(0).min(fraction.len());
        if fraction.as_bytes()[kept..].iter().any(|byte| *byte != b'0') {
            return None;
        }
    }
    parse_decimal::<Decimal128Type>(value, precision, scale).ok()
}
