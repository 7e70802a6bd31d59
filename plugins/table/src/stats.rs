//! Iceberg column statistics out of the row-group statistics of a written file.

use std::collections::BTreeMap;

use lakehouse_sdk::catalog::ColumnStats;
use lakehouse_sdk::types::Literal;
use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as PhysicalType};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescriptor;

/// Bounds of texts are cut to this many characters, those of binaries to this
/// many bytes; Iceberg's default.
const TRUNCATE: usize = 16;

/// Statistics of every leaf column that has a field id, by id.
pub(crate) fn column_stats(metadata: &ParquetMetaData) -> Vec<ColumnStats> {
    let mut columns: BTreeMap<i32, Column> = BTreeMap::new();
    for group in metadata.row_groups() {
        for chunk in group.columns() {
            let info = chunk.column_descr().self_type().get_basic_info();
            if info.has_id() {
                columns.entry(info.id()).or_default().add(chunk);
            }
        }
    }
    columns
        .into_iter()
        .map(|(id, column)| column.finish(id))
        .collect()
}

/// Offset of the first byte of each row group.
pub(crate) fn split_offsets(metadata: &ParquetMetaData) -> Vec<i64> {
    let first_byte = |chunk: &ColumnChunkMetaData| {
        chunk
            .dictionary_page_offset()
            .unwrap_or_else(|| chunk.data_page_offset())
    };
    metadata
        .row_groups()
        .iter()
        .filter_map(|group| group.columns().first().map(first_byte))
        .collect()
}

/// What the row groups seen so far say of one column.
#[derive(Default)]
struct Column {
    size: u64,
    /// Inside of a list or a map, where Parquet counts empty ones as nulls and
    /// Iceberg keeps no bounds.
    repeated: bool,
    values: u64,
    /// None once a row group did not say.
    nulls: Option<u64>,
    bounds: Bounds,
    started: bool,
}

#[derive(Default)]
enum Bounds {
    /// Nothing but nulls so far.
    #[default]
    Empty,
    Known(Literal, Literal),
    /// A row group with values did not say.
    Unknown,
}

impl Column {
    fn add(&mut self, chunk: &ColumnChunkMetaData) {
        let values = unsigned(chunk.num_values());
        let descriptor = chunk.column_descr();
        // A required value in an optional struct is never null, though Parquet
        // counts it where the struct is.
        let inside = descriptor.max_def_level() > 0
            && descriptor.self_type().get_basic_info().repetition() == Repetition::REQUIRED;
        let nulls = chunk
            .statistics()
            .and_then(Statistics::null_count_opt)
            .filter(|_| !inside);
        self.size += unsigned(chunk.compressed_size());
        self.values += values;
        self.nulls = if self.started {
            self.nulls.zip(nulls).map(|(sum, more)| sum + more)
        } else {
            nulls
        };
        self.started = true;
        self.repeated = descriptor.max_rep_level() > 0;
        if nulls == Some(values) {
            return;
        }
        let new = chunk
            .statistics()
            .and_then(|statistics| bounds(statistics, descriptor));
        self.bounds = match (std::mem::take(&mut self.bounds), new) {
            (Bounds::Empty, Some((lower, upper))) => Bounds::Known(lower, upper),
            (Bounds::Known(lower, upper), Some((other_lower, other_upper))) => Bounds::Known(
                if less(&other_lower, &lower) {
                    other_lower
                } else {
                    lower
                },
                if less(&upper, &other_upper) {
                    other_upper
                } else {
                    upper
                },
            ),
            _ => Bounds::Unknown,
        };
    }

    fn finish(self, field_id: i32) -> ColumnStats {
        if self.repeated {
            return ColumnStats {
                field_id,
                size: Some(self.size),
                values: None,
                nulls: None,
                nans: None,
                lower: None,
                upper: None,
            };
        }
        let (lower, upper) = match self.bounds {
            Bounds::Known(lower, upper) => (Some(truncate_lower(lower)), truncate_upper(upper)),
            Bounds::Empty | Bounds::Unknown => (None, None),
        };
        ColumnStats {
            field_id,
            size: Some(self.size),
            values: Some(self.values),
            nulls: self.nulls,
            nans: None,
            lower,
            upper,
        }
    }
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn bounds(statistics: &Statistics, column: &ColumnDescriptor) -> Option<(Literal, Literal)> {
    let minimum = literal(statistics.min_bytes_opt()?, column)?;
    let maximum = literal(statistics.max_bytes_opt()?, column)?;
    Some((minimum, maximum))
}

/// Reads a statistic, which Parquet keeps in PLAIN encoding.
fn literal(bytes: &[u8], column: &ColumnDescriptor) -> Option<Literal> {
    use LogicalType as L;
    let logical = column.logical_type_ref();
    let decimal = match (logical, column.converted_type()) {
        (Some(L::Decimal(decimal)), _) => u32::try_from(decimal.scale).ok(),
        (None, ConvertedType::DECIMAL) => u32::try_from(column.type_scale()).ok(),
        _ => None,
    };
    Some(match column.physical_type() {
        PhysicalType::BOOLEAN => Literal::Boolean(*bytes.first()? != 0),
        PhysicalType::INT32 => {
            let value = i32::from_le_bytes(bytes.try_into().ok()?);
            match (logical, decimal) {
                (_, Some(scale)) => Literal::Decimal((value.to_be_bytes().to_vec(), scale)),
                (Some(L::Date), _) => Literal::Date(value),
                _ => Literal::Integer(i64::from(value)),
            }
        }
        PhysicalType::INT64 => {
            let value = i64::from_le_bytes(bytes.try_into().ok()?);
            match (logical, decimal) {
                (_, Some(scale)) => Literal::Decimal((value.to_be_bytes().to_vec(), scale)),
                (Some(L::Timestamp(_)), _) => Literal::Timestamp(value),
                (Some(L::Time(_)), _) => Literal::Time(value),
                _ => Literal::Integer(value),
            }
        }
        PhysicalType::FLOAT => {
            Literal::Floating(f64::from(f32::from_le_bytes(bytes.try_into().ok()?)))
        }
        PhysicalType::DOUBLE => Literal::Floating(f64::from_le_bytes(bytes.try_into().ok()?)),
        PhysicalType::BYTE_ARRAY | PhysicalType::FIXED_LEN_BYTE_ARRAY => match (logical, decimal) {
            (_, Some(scale)) => Literal::Decimal((bytes.to_vec(), scale)),
            (Some(L::String), _) => Literal::Text(std::str::from_utf8(bytes).ok()?.to_owned()),
            _ => Literal::Binary(bytes.to_vec()),
        },
        PhysicalType::INT96 => return None,
    })
}

/// Whether `a` is below `b`; both are of the same column.
fn less(a: &Literal, b: &Literal) -> bool {
    match (a, b) {
        (Literal::Boolean(a), Literal::Boolean(b)) => a < b,
        (Literal::Floating(a), Literal::Floating(b)) => a < b,
        (Literal::Integer(a), Literal::Integer(b))
        | (Literal::Time(a), Literal::Time(b))
        | (Literal::Timestamp(a), Literal::Timestamp(b)) => a < b,
        (Literal::Date(a), Literal::Date(b)) => a < b,
        (Literal::Text(a), Literal::Text(b)) => a < b,
        (Literal::Binary(a), Literal::Binary(b)) => a < b,
        (Literal::Decimal((a, _)), Literal::Decimal((b, _))) => unscaled(a) < unscaled(b),
        _ => false,
    }
}

/// Two's complement, big-endian, at most 16 bytes.
fn unscaled(bytes: &[u8]) -> i128 {
    let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
        -1
    } else {
        0
    };
    bytes
        .iter()
        .fold(sign, |value: i128, byte| (value << 8) | i128::from(*byte))
}

/// A prefix sorts before what it is a prefix of.
fn truncate_lower(bound: Literal) -> Literal {
    match bound {
        Literal::Text(text) => Literal::Text(text.chars().take(TRUNCATE).collect()),
        Literal::Binary(mut bytes) => {
            bytes.truncate(TRUNCATE);
            Literal::Binary(bytes)
        }
        other => other,
    }
}

/// A prefix must be raised to stay above; none if it cannot be.
fn truncate_upper(bound: Literal) -> Option<Literal> {
    match bound {
        Literal::Text(text) => {
            let mut prefix: Vec<char> = text.chars().take(TRUNCATE).collect();
            if prefix.iter().map(|c| c.len_utf8()).sum::<usize>() == text.len() {
                return Some(Literal::Text(text));
            }
            while let Some(last) = prefix.pop() {
                if let Some(next) = next_char(last) {
                    prefix.push(next);
                    return Some(Literal::Text(prefix.into_iter().collect()));
                }
            }
            None
        }
        Literal::Binary(mut bytes) => {
            if bytes.len() <= TRUNCATE {
                return Some(Literal::Binary(bytes));
            }
            bytes.truncate(TRUNCATE);
            while let Some(last) = bytes.pop() {
                if let Some(next) = last.checked_add(1) {
                    bytes.push(next);
                    return Some(Literal::Binary(bytes));
                }
            }
            None
        }
        other => Some(other),
    }
}

/// The next Unicode scalar value; UTF-8 sorts as they do.
fn next_char(c: char) -> Option<char> {
    (c..=char::MAX).nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Literal {
        Literal::Text(value.to_owned())
    }

    fn as_text(literal: Option<Literal>) -> Option<String> {
        match literal {
            Some(Literal::Text(text)) => Some(text),
            _ => None,
        }
    }

    #[test]
    fn short_bounds_stay_as_they_are() {
        assert_eq!(as_text(Some(truncate_lower(text("abc")))).unwrap(), "abc");
        assert_eq!(
            as_text(truncate_upper(text("exactly sixteen!"))).unwrap(),
            "exactly sixteen!"
        );
    }

    #[test]
    fn a_long_lower_bound_is_cut_and_an_upper_one_raised() {
        let long = "abcdefghijklmnopqrstuvwxyz";
        assert_eq!(
            as_text(Some(truncate_lower(text(long)))).unwrap(),
            "abcdefghijklmnop"
        );
        assert_eq!(
            as_text(truncate_upper(text(long))).unwrap(),
            "abcdefghijklmnoq"
        );
    }

    #[test]
    fn raising_skips_surrogates_and_carries_over_the_last_character() {
        let before_surrogates = format!("{}\u{D7FF}tail", "a".repeat(15));
        let raised = as_text(truncate_upper(text(&before_surrogates))).unwrap();
        assert_eq!(raised, format!("{}\u{E000}", "a".repeat(15)));
        let at_the_end = format!("{}{}tail", "a".repeat(14), "\u{10FFFF}".repeat(2));
        let raised = as_text(truncate_upper(text(&at_the_end))).unwrap();
        assert_eq!(raised, format!("{}b", "a".repeat(13)));
        assert!(truncate_upper(text(&"\u{10FFFF}".repeat(17))).is_none());
    }

    #[test]
    fn binary_bounds_follow_the_same_rule() {
        let Some(Literal::Binary(raised)) = truncate_upper(Literal::Binary(vec![0xFE; 17])) else {
            panic!("no bound");
        };
        assert_eq!((raised.len(), raised[15]), (16, 0xFF));
        assert!(truncate_upper(Literal::Binary(vec![0xFF; 17])).is_none());
    }

    #[test]
    fn decimals_compare_by_value_and_not_by_bytes() {
        let of = |value: i64| Literal::Decimal((value.to_be_bytes().to_vec(), 2));
        assert!(less(&of(-1), &of(1)));
        assert!(less(&of(-200), &of(-100)));
        assert!(!less(&of(5), &of(5)));
        assert_eq!(unscaled(&[0xFF]), -1);
        assert_eq!(unscaled(&[0x00, 0xFF]), 255);
    }
}
