//! What manifests tell of data files, in the engine's terms.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::error::Result;
use lakehouse_sdk::catalog::{ColumnStats, DataFile};
use lakehouse_sdk::types::Literal;

/// Statistics of one file, by the columns of the table's schema.
#[must_use]
pub fn of_file(file: &DataFile, schema: &Schema, field_ids: &[Option<i32>]) -> Statistics {
    let columns = schema.fields().iter().zip(field_ids).map(|(field, id)| {
        file.columns
            .iter()
            .find(|column| Some(column.field_id) == *id)
            .map_or_else(ColumnStatistics::new_unknown, |column| {
                of_column(column, field)
            })
    });
    Statistics {
        num_rows: exact(file.rows),
        total_byte_size: exact(file.bytes).to_inexact(),
        column_statistics: columns.collect(),
    }
}

/// Statistics of all files of a scan together.
///
/// # Errors
/// Statistics that do not fit the schema.
pub fn of_scan(files: &FileGroup, schema: &SchemaRef) -> Result<Statistics> {
    Statistics::try_merge_iter(
        files.iter().filter_map(|file| file.statistics.as_deref()),
        schema,
    )
}

fn of_column(column: &ColumnStats, field: &Field) -> ColumnStatistics {
    // Bounds of texts and bytes may be cut short, and those of floats leave
    // NaN out: good for skipping files, not for answering MIN and MAX.
    let tight = !matches!(
        field.data_type(),
        DataType::Utf8View
            | DataType::Utf8
            | DataType::BinaryView
            | DataType::Binary
            | DataType::Float16
            | DataType::Float32
            | DataType::Float64
    );
    let bound = |literal: &Option<Literal>| {
        let value = literal
            .as_ref()
            .and_then(|literal| scalar(literal, field.data_type()));
        match value {
            Some(value) if tight => Precision::Exact(value),
            Some(value) => Precision::Inexact(value),
            None => Precision::Absent,
        }
    };
    let has_nans = column.nans.is_none_or(|nans| nans > 0) && field.data_type().is_floating();
    ColumnStatistics {
        null_count: column.nulls.map_or(Precision::Absent, exact),
        max_value: if has_nans {
            Precision::Absent
        } else {
            bound(&column.upper)
        },
        min_value: bound(&column.lower),
        sum_value: Precision::Absent,
        distinct_count: Precision::Absent,
        byte_size: column
            .size
            .map_or(Precision::Absent, |size| exact(size).to_inexact()),
    }
}

fn exact(number: u64) -> Precision<usize> {
    usize::try_from(number).map_or(Precision::Absent, Precision::Exact)
}

/// A literal as a value of a column's type; none where the two do not fit.
fn scalar(literal: &Literal, data_type: &DataType) -> Option<ScalarValue> {
    let value = match (literal, data_type) {
        (Literal::Boolean(value), DataType::Boolean) => ScalarValue::Boolean(Some(*value)),
        (Literal::Integer(value), DataType::Int32) => {
            ScalarValue::Int32(Some(i32::try_from(*value).ok()?))
        }
        (Literal::Integer(value), DataType::Int64) => ScalarValue::Int64(Some(*value)),
        (Literal::Floating(value), DataType::Float32) => ScalarValue::Float32(Some(*value as f32)),
        (Literal::Floating(value), DataType::Float64) => ScalarValue::Float64(Some(*value)),
        (Literal::Decimal((unscaled, scale)), DataType::Decimal128(precision, of_column))
            if i64::from(*scale) == i64::from(*of_column) =>
        {
            ScalarValue::Decimal128(Some(big_endian(unscaled)?), *precision, *of_column)
        }
        (Literal::Date(days), DataType::Date32) => ScalarValue::Date32(Some(*days)),
        (Literal::Time(micros), DataType::Time64(TimeUnit::Microsecond)) => {
            ScalarValue::Time64Microsecond(Some(*micros))
        }
        (Literal::Timestamp(micros), DataType::Timestamp(TimeUnit::Microsecond, zone)) => {
            ScalarValue::TimestampMicrosecond(Some(*micros), zone.clone())
        }
        (Literal::Text(text), DataType::Utf8View) => ScalarValue::Utf8View(Some(text.clone())),
        (Literal::Text(text), DataType::Utf8) => ScalarValue::Utf8(Some(text.clone())),
        (Literal::Binary(bytes), DataType::BinaryView) => {
            ScalarValue::BinaryView(Some(bytes.clone()))
        }
        (Literal::Binary(bytes), DataType::Binary) => ScalarValue::Binary(Some(bytes.clone())),
        (Literal::Binary(bytes), DataType::FixedSizeBinary(size))
            if usize::try_from(*size) == Ok(bytes.len()) =>
        {
            ScalarValue::FixedSizeBinary(*size, Some(bytes.clone()))
        }
        _ => return None,
    };
    Some(value)
}

/// Two's-complement big-endian bytes as a number; none over 128 bits.
fn big_endian(bytes: &[u8]) -> Option<i128> {
    let first = *bytes.first()?;
    if bytes.len() > 16 {
        return None;
    }
    let sign = if first & 0x80 == 0 { 0_i128 } else { -1 };
    Some(
        bytes
            .iter()
            .fold(sign, |number, byte| (number << 8) | i128::from(*byte)),
    )
}
