//! Data files and their column statistics, between callers and manifests.

use std::cmp::Ordering;
use std::collections::HashMap;

use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, PrimitiveLiteral,
    PrimitiveType, Schema, Struct,
};
use lakehouse_sdk::catalog_export::{ColumnStats, DataFile as ApiFile};
use lakehouse_sdk::types::{Error, Literal};

/// Characters of a text, or bytes of a binary, that a bound keeps. Iceberg's
/// default: long values would make manifests as large as the data.
const BOUND_LENGTH: usize = 16;

/// A manifest's data file out of a caller's.
///
/// # Errors
/// [`Error::Invalid`] that names the file and what does not fit the schema.
pub fn to_iceberg(
    file: &ApiFile,
    location: String,
    schema: &Schema,
    spec_id: i32,
) -> Result<DataFile, Error> {
    let wrong = |what: String| Error::Invalid(format!("file {}: {what}", file.key));
    let mut sizes = HashMap::new();
    let mut values = HashMap::new();
    let mut nulls = HashMap::new();
    let mut nans = HashMap::new();
    let mut lower = HashMap::new();
    let mut upper = HashMap::new();
    for column in &file.columns {
        let id = column.field_id;
        let field = schema
            .field_by_id(id)
            .ok_or_else(|| wrong(format!("field id {id} is not in the schema")))?;
        let name = &field.name;
        if field.required && column.nulls.is_some_and(|nulls| nulls > 0) {
            return Err(wrong(format!("column {name:?} is required and has nulls")));
        }
        let count = |map: &mut HashMap<i32, u64>, count: Option<u64>| {
            if let Some(count) = count {
                map.insert(id, count);
            }
        };
        count(&mut sizes, column.size);
        count(&mut values, column.values);
        count(&mut nulls, column.nulls);
        count(&mut nans, column.nans);
        let Some(kind) = field.field_type.as_primitive_type() else {
            continue;
        };
        let bound = |literal: &Literal| -> Result<Option<Datum>, Error> {
            let datum = to_datum(literal, kind).ok_or_else(|| {
                wrong(format!(
                    "the statistics of column {name:?} are not of its type {kind}"
                ))
            })?;
            // A NaN says nothing about the other values.
            Ok((!datum.is_nan()).then_some(datum))
        };
        if let Some(datum) = column.lower.as_ref().map(bound).transpose()?.flatten() {
            lower.insert(id, cut_lower(datum));
        }
        let highest = column.upper.as_ref().map(bound).transpose()?.flatten();
        if let Some(datum) = highest.and_then(cut_upper) {
            upper.insert(id, datum);
        }
    }
    if !file.split_offsets.is_sorted() {
        return Err(wrong("the split offsets are not ascending".to_owned()));
    }
    DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(location)
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::empty())
        .partition_spec_id(spec_id)
        .record_count(file.rows)
        .file_size_in_bytes(file.bytes)
        .column_sizes(sizes)
        .value_counts(values)
        .null_value_counts(nulls)
        .nan_value_counts(nans)
        .lower_bounds(lower)
        .upper_bounds(upper)
        .split_offsets((!file.split_offsets.is_empty()).then(|| file.split_offsets.clone()))
        .build()
        .map_err(|e| wrong(e.to_string()))
}

/// What a caller sees of a manifest's data file.
pub fn from_iceberg(file: &DataFile, key: String) -> ApiFile {
    let mut ids: Vec<i32> = [
        file.column_sizes(),
        file.value_counts(),
        file.null_value_counts(),
        file.nan_value_counts(),
    ]
    .into_iter()
    .flat_map(HashMap::keys)
    .chain(file.lower_bounds().keys())
    .chain(file.upper_bounds().keys())
    .copied()
    .collect();
    ids.sort_unstable();
    ids.dedup();
    let columns = ids
        .into_iter()
        .map(|id| ColumnStats {
            field_id: id,
            size: file.column_sizes().get(&id).copied(),
            values: file.value_counts().get(&id).copied(),
            nulls: file.null_value_counts().get(&id).copied(),
            nans: file.nan_value_counts().get(&id).copied(),
            lower: file
                .lower_bounds()
                .get(&id)
                .and_then(|d| to_literal(d, Ordering::Less)),
            upper: file
                .upper_bounds()
                .get(&id)
                .and_then(|d| to_literal(d, Ordering::Greater)),
        })
        .collect();
    ApiFile {
        key,
        rows: file.record_count(),
        bytes: file.file_size_in_bytes(),
        split_offsets: file.split_offsets().unwrap_or_default().to_vec(),
        columns,
    }
}

/// A caller's value as a value of a column's type; none if it is of another.
fn to_datum(literal: &Literal, kind: &PrimitiveType) -> Option<Datum> {
    Some(match (kind, literal) {
        (PrimitiveType::Boolean, Literal::Boolean(v)) => Datum::bool(*v),
        (PrimitiveType::Int, Literal::Integer(v)) => Datum::int(i32::try_from(*v).ok()?),
        (PrimitiveType::Long, Literal::Integer(v)) => Datum::long(*v),
        (PrimitiveType::Float, Literal::Floating(v)) => {
            let narrow = *v as f32;
            if f64::from(narrow) != *v && !v.is_nan() {
                return None;
            }
            Datum::float(narrow)
        }
        (PrimitiveType::Double, Literal::Floating(v)) => Datum::double(*v),
        (PrimitiveType::Decimal { scale, .. }, Literal::Decimal((bytes, given))) => {
            if scale != given || bytes.is_empty() {
                return None;
            }
            Datum::try_from_bytes(bytes, kind.clone()).ok()?
        }
        (PrimitiveType::Date, Literal::Date(v)) => Datum::date(*v),
        (PrimitiveType::Time, Literal::Time(v)) => Datum::time_micros(*v).ok()?,
        (PrimitiveType::Timestamp, Literal::Timestamp(v)) => Datum::timestamp_micros(*v),
        (PrimitiveType::Timestamptz, Literal::Timestamp(v)) => Datum::timestamptz_micros(*v),
        (PrimitiveType::String, Literal::Text(v)) => Datum::string(v),
        (
            PrimitiveType::Uuid | PrimitiveType::Fixed(_) | PrimitiveType::Binary,
            Literal::Binary(v),
        ) => Datum::try_from_bytes(v, kind.clone()).ok()?,
        _ => return None,
    })
}

/// A bound as callers see it. `towards` says which way a value may be rounded
/// that callers cannot express: nanoseconds.
pub fn to_literal(datum: &Datum, towards: Ordering) -> Option<Literal> {
    Some(match (datum.data_type(), datum.literal()) {
        (PrimitiveType::Date, PrimitiveLiteral::Int(v)) => Literal::Date(*v),
        (PrimitiveType::Time, PrimitiveLiteral::Long(v)) => Literal::Time(*v),
        (PrimitiveType::Timestamp | PrimitiveType::Timestamptz, PrimitiveLiteral::Long(v)) => {
            Literal::Timestamp(*v)
        }
        (PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs, PrimitiveLiteral::Long(v)) => {
            let up = towards == Ordering::Greater && v.rem_euclid(1000) != 0;
            Literal::Timestamp(v.div_euclid(1000) + i64::from(up))
        }
        (_, PrimitiveLiteral::Boolean(v)) => Literal::Boolean(*v),
        (_, PrimitiveLiteral::Int(v)) => Literal::Integer(i64::from(*v)),
        (_, PrimitiveLiteral::Long(v)) => Literal::Integer(*v),
        (_, PrimitiveLiteral::Float(v)) => Literal::Floating(f64::from(v.0)),
        (_, PrimitiveLiteral::Double(v)) => Literal::Floating(v.0),
        (_, PrimitiveLiteral::String(v)) => Literal::Text(v.clone()),
        (_, PrimitiveLiteral::Binary(v)) => Literal::Binary(v.clone()),
        (_, PrimitiveLiteral::UInt128(v)) => Literal::Binary(v.to_be_bytes().to_vec()),
        (PrimitiveType::Decimal { scale, .. }, PrimitiveLiteral::Int128(v)) => {
            Literal::Decimal((v.to_be_bytes().to_vec(), *scale))
        }
        _ => return None,
    })
}

/// A lower bound of bounded length that is not above the value.
fn cut_lower(datum: Datum) -> Datum {
    match (datum.data_type(), datum.literal()) {
        (_, PrimitiveLiteral::String(v)) => match v.char_indices().nth(BOUND_LENGTH) {
            Some((end, _)) => Datum::string(&v[..end]),
            None => datum,
        },
        (PrimitiveType::Binary, PrimitiveLiteral::Binary(v)) if v.len() > BOUND_LENGTH => {
            Datum::binary(v[..BOUND_LENGTH].iter().copied())
        }
        _ => datum,
    }
}

/// An upper bound of bounded length that is not below the value; none if there
/// is no such one.
fn cut_upper(datum: Datum) -> Option<Datum> {
    match (datum.data_type(), datum.literal()) {
        (_, PrimitiveLiteral::String(v)) => {
            if v.chars().nth(BOUND_LENGTH).is_none() {
                return Some(datum);
            }
            let mut kept: Vec<char> = v.chars().take(BOUND_LENGTH).collect();
            while let Some(last) = kept.pop() {
                // The next character, over the gap of the surrogates.
                let next = match last {
                    '\u{D7FF}' => Some('\u{E000}'),
                    other => char::from_u32(u32::from(other) + 1),
                };
                if let Some(next) = next {
                    kept.push(next);
                    return Some(Datum::string(kept.into_iter().collect::<String>()));
                }
            }
            None
        }
        (PrimitiveType::Binary, PrimitiveLiteral::Binary(v)) if v.len() > BOUND_LENGTH => {
            let mut kept = v[..BOUND_LENGTH].to_vec();
            while let Some(last) = kept.pop() {
                if last < u8::MAX {
                    kept.push(last + 1);
                    return Some(Datum::binary(kept));
                }
            }
            None
        }
        _ => Some(datum),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use iceberg::spec::{NestedField, Type};

    use super::*;

    fn schema() -> Schema {
        let kinds = [
            PrimitiveType::Boolean,
            PrimitiveType::Int,
            PrimitiveType::Long,
            PrimitiveType::Float,
            PrimitiveType::Double,
            PrimitiveType::Decimal {
                precision: 15,
                scale: 2,
            },
            PrimitiveType::Date,
            PrimitiveType::Time,
            PrimitiveType::Timestamp,
            PrimitiveType::Timestamptz,
            PrimitiveType::String,
            PrimitiveType::Uuid,
            PrimitiveType::Fixed(3),
            PrimitiveType::Binary,
        ];
        let fields = kinds.into_iter().zip(1..).map(|(kind, id)| {
            let name = format!("c{id}");
            Arc::new(NestedField::optional(id, name, Type::Primitive(kind)))
        });
        Schema::builder().with_fields(fields).build().unwrap()
    }

    fn column(field_id: i32, lower: Literal, upper: Literal) -> ColumnStats {
        ColumnStats {
            field_id,
            size: Some(10),
            values: Some(5),
            nulls: Some(1),
            nans: None,
            lower: Some(lower),
            upper: Some(upper),
        }
    }

    fn file(columns: Vec<ColumnStats>) -> ApiFile {
        ApiFile {
            key: "warehouse/ns/t/data/a.parquet".to_owned(),
            rows: 5,
            bytes: 100,
            split_offsets: vec![4, 50],
            columns,
        }
    }

    fn decimal(value: i128, scale: u32) -> Literal {
        Literal::Decimal((value.to_be_bytes().to_vec(), scale))
    }

    #[test]
    fn statistics_of_every_type_come_back() {
        let values = [
            (Literal::Boolean(false), Literal::Boolean(true)),
            (Literal::Integer(-7), Literal::Integer(7)),
            (Literal::Integer(i64::MIN), Literal::Integer(i64::MAX)),
            (Literal::Floating(-0.5), Literal::Floating(0.25)),
            (Literal::Floating(-0.1), Literal::Floating(f64::INFINITY)),
            (decimal(-123_456, 2), decimal(99, 2)),
            (Literal::Date(-1), Literal::Date(20_000)),
            (Literal::Time(0), Literal::Time(86_399_999_999)),
            (Literal::Timestamp(-1), Literal::Timestamp(1)),
            (Literal::Timestamp(-1), Literal::Timestamp(1)),
            (Literal::Text(String::new()), Literal::Text("é".to_owned())),
            (Literal::Binary(vec![0; 16]), Literal::Binary(vec![255; 16])),
            (
                Literal::Binary(vec![1, 2, 3]),
                Literal::Binary(vec![3, 2, 1]),
            ),
            (Literal::Binary(vec![]), Literal::Binary(vec![0])),
        ];
        let columns = values
            .into_iter()
            .zip(1..)
            .map(|((low, high), id)| column(id, low, high));
        let original = file(columns.collect());
        let stored = to_iceberg(&original, "x".to_owned(), &schema(), 0).unwrap();
        assert_eq!(from_iceberg(&stored, original.key.clone()), original);
    }

    #[test]
    fn a_value_of_another_type_is_refused_with_file_and_column() {
        for (id, literal) in [
            (2, Literal::Integer(i64::MAX)),
            (2, Literal::Text("7".to_owned())),
            (4, Literal::Floating(0.1)),
            (6, decimal(1, 3)),
            (12, Literal::Binary(vec![1])),
        ] {
            let file = file(vec![column(id, literal.clone(), literal)]);
            let Err(Error::Invalid(text)) = to_iceberg(&file, "x".to_owned(), &schema(), 0) else {
                panic!("{id}")
            };
            assert!(
                text.contains("a.parquet") && text.contains(&format!("c{id}")),
                "{text}"
            );
        }
        let file = file(vec![column(99, Literal::Integer(0), Literal::Integer(0))]);
        assert!(to_iceberg(&file, "x".to_owned(), &schema(), 0).is_err());
    }

    #[test]
    fn nan_is_no_bound() {
        let nan = || Literal::Floating(f64::NAN);
        let file = file(vec![column(5, nan(), nan())]);
        let stored = to_iceberg(&file, "x".to_owned(), &schema(), 0).unwrap();
        assert!(stored.lower_bounds().is_empty() && stored.upper_bounds().is_empty());
    }

    #[test]
    fn long_bounds_are_cut_to_the_safe_side() {
        let text = |s: &str| Datum::string(s);
        let long = "abcdefghijklmnopqrstuvwxyz";
        assert_eq!(cut_lower(text(long)), text("abcdefghijklmnop"));
        assert_eq!(cut_upper(text(long)), Some(text("abcdefghijklmnoq")));
        assert_eq!(cut_upper(text("short")), Some(text("short")));
        let highest: String = std::iter::repeat_n(char::MAX, 20).collect();
        assert_eq!(cut_upper(text(&highest)), None);
        let carry = format!("a{highest}");
        assert_eq!(cut_upper(text(&carry)), Some(text("b")));
        let gap: String = std::iter::repeat_n('\u{D7FF}', 20).collect();
        let Some(cut) = cut_upper(text(&gap)) else {
            panic!("no bound")
        };
        assert!(cut.to_human_string() > gap);
        let bytes = Datum::binary([255; 20]);
        assert_eq!(cut_upper(bytes), None);
        let bytes = Datum::binary([7; 20]);
        assert_eq!(cut_lower(bytes), Datum::binary([7; 16]));
    }
}
