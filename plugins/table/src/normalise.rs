//! From any Arrow type to the one that stands for it in an Iceberg v2 table.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};

use crate::{Error, align};

/// Metadata key under which a field carries its Iceberg field id.
const FIELD_ID: &str = "PARQUET:field_id";

/// Decimals of Iceberg have at most this many digits.
const MAX_PRECISION: u8 = 38;

/// The schema that a table made from `schema` has.
///
/// Every column becomes optional, so that later data may leave it out. Of a
/// field's metadata only the Iceberg field id is kept.
///
/// # Errors
/// Types without a counterpart (intervals, durations, unions), and names that
/// are empty or occur twice in the same struct.
pub fn normalise_schema(schema: &Schema) -> Result<SchemaRef, Error> {
    if schema.fields().is_empty() {
        return Err(Error::NoColumns);
    }
    Ok(Arc::new(Schema::new(normalise_fields(
        schema.fields(),
        "",
    )?)))
}

/// `batch` under its [`normalise_schema`].
pub fn normalise_batch(batch: &RecordBatch) -> Result<RecordBatch, Error> {
    align(batch, &normalise_schema(batch.schema_ref())?, 0)
}

/// The type that stands for `data_type`; `column` names it in errors.
pub fn normalise_type(data_type: &DataType, column: &str) -> Result<DataType, Error> {
    use DataType as T;
    Ok(match data_type {
        T::Boolean => T::Boolean,
        T::Int8 | T::Int16 | T::Int32 | T::UInt8 | T::UInt16 => T::Int32,
        T::Int64 | T::UInt32 => T::Int64,
        T::UInt64 => T::Decimal128(20, 0),
        T::Float16 | T::Float32 => T::Float32,
        T::Float64 => T::Float64,
        T::Decimal32(precision, scale)
        | T::Decimal64(precision, scale)
        | T::Decimal128(precision, scale)
        | T::Decimal256(precision, scale) => {
            decimal(*precision, *scale).ok_or_else(|| unsupported(data_type, column))?
        }
        T::Date32 | T::Date64 => T::Date32,
        T::Time32(_) | T::Time64(_) => T::Time64(TimeUnit::Microsecond),
        T::Timestamp(_, None) => T::Timestamp(TimeUnit::Microsecond, None),
        T::Timestamp(_, Some(_)) => T::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        T::Null | T::Utf8 | T::LargeUtf8 | T::Utf8View => T::Utf8,
        T::Binary | T::LargeBinary | T::BinaryView => T::Binary,
        T::FixedSizeBinary(size) if *size > 0 => T::FixedSizeBinary(*size),
        T::Dictionary(_, value) => normalise_type(value, column)?,
        T::RunEndEncoded(_, values) => normalise_type(values.data_type(), column)?,
        T::Struct(fields) if !fields.is_empty() => T::Struct(normalise_fields(fields, column)?),
        T::List(item)
        | T::LargeList(item)
        | T::ListView(item)
        | T::LargeListView(item)
        | T::FixedSizeList(item, _) => T::List(child(item, "element", column, true)?),
        T::Map(entries, sorted) => T::Map(normalise_entries(entries, column, data_type)?, *sorted),
        T::FixedSizeBinary(_) | T::Struct(_) | T::Duration(_) | T::Interval(_) | T::Union(_, _) => {
            return Err(unsupported(data_type, column));
        }
    })
}

/// A decimal with non-negative scale that holds all values of the given one.
fn decimal(precision: u8, scale: i8) -> Option<DataType> {
    let widened = precision.checked_add(scale.min(0).unsigned_abs())?;
    let scale = scale.max(0);
    let fits = u8::try_from(scale).ok()? <= MAX_PRECISION;
    fits.then(|| DataType::Decimal128(widened.min(MAX_PRECISION), scale))
}

fn normalise_fields(fields: &Fields, parent: &str) -> Result<Fields, Error> {
    let mut seen = HashSet::new();
    fields
        .iter()
        .enumerate()
        .map(|(at, field)| {
            if field.name().is_empty() {
                return Err(Error::EmptyName(at + 1));
            }
            let path = join(parent, field.name());
            if !seen.insert(field.name().as_str()) {
                return Err(Error::DuplicateColumn(path));
            }
            child(field, field.name(), parent, true)
        })
        .collect()
}

/// The key and value of a map; keys stay required, as Iceberg wants them.
fn normalise_entries(entries: &FieldRef, column: &str, map: &DataType) -> Result<FieldRef, Error> {
    let DataType::Struct(pair) = entries.data_type() else {
        return Err(unsupported(map, column));
    };
    let [key, value] = pair.as_ref() else {
        return Err(unsupported(map, column));
    };
    let pair = vec![
        child(key, "key", column, false)?,
        child(value, "value", column, true)?,
    ];
    Ok(Arc::new(Field::new(
        "key_value",
        DataType::Struct(pair.into()),
        false,
    )))
}

fn child(field: &FieldRef, name: &str, parent: &str, nullable: bool) -> Result<FieldRef, Error> {
    let data_type = normalise_type(field.data_type(), &join(parent, name))?;
    let metadata: HashMap<String, String> = field
        .metadata()
        .get(FIELD_ID)
        .map(|id| (FIELD_ID.to_owned(), id.clone()))
        .into_iter()
        .collect();
    Ok(Arc::new(
        Field::new(name, data_type, nullable).with_metadata(metadata),
    ))
}

/// The path of a nested column.
pub(crate) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}.{name}")
    }
}

fn unsupported(data_type: &DataType, column: &str) -> Error {
    Error::UnsupportedType {
        column: column.to_owned(),
        data_type: data_type.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{IntervalUnit, UnionFields, UnionMode};

    fn of(data_type: DataType) -> DataType {
        normalise_type(&data_type, "c").unwrap()
    }

    #[test]
    fn primitive_types_map_to_icebergs() {
        use DataType as T;
        for narrow in [T::Int8, T::Int16, T::Int32, T::UInt8, T::UInt16] {
            assert_eq!(of(narrow), T::Int32);
        }
        assert_eq!(of(T::UInt32), T::Int64);
        assert_eq!(of(T::UInt64), T::Decimal128(20, 0));
        assert_eq!(of(T::Float16), T::Float32);
        assert_eq!(of(T::Null), T::Utf8);
        assert_eq!(of(T::Utf8View), T::Utf8);
        assert_eq!(of(T::BinaryView), T::Binary);
        assert_eq!(of(T::Date64), T::Date32);
        assert_eq!(
            of(T::Time32(TimeUnit::Second)),
            T::Time64(TimeUnit::Microsecond)
        );
        assert_eq!(
            of(T::Timestamp(
                TimeUnit::Nanosecond,
                Some("Europe/Paris".into())
            )),
            T::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        );
        assert_eq!(of(T::Decimal256(50, 4)), T::Decimal128(38, 4));
        assert_eq!(of(T::Decimal32(5, -2)), T::Decimal128(7, 0));
        assert_eq!(
            of(T::Dictionary(Box::new(T::Int8), Box::new(T::LargeUtf8))),
            T::Utf8
        );
    }

    #[test]
    fn nested_types_are_mapped_all_the_way_down() {
        let inner = Field::new("item", DataType::Int8, false);
        let list = DataType::LargeList(Arc::new(inner));
        let outer = DataType::Struct(vec![Field::new("l", list, false)].into());
        let element = Arc::new(Field::new("element", DataType::Int32, true));
        let want = DataType::Struct(vec![Field::new("l", DataType::List(element), true)].into());
        assert_eq!(of(outer), want);
    }

    #[test]
    fn what_iceberg_lacks_is_named() {
        let schema = Schema::new(vec![
            Field::new("ok", DataType::Int64, true),
            Field::new("span", DataType::Interval(IntervalUnit::DayTime), true),
        ]);
        let error = normalise_schema(&schema).unwrap_err().to_string();
        assert!(error.contains("'span'"), "{error}");
        let union = DataType::Union(UnionFields::empty(), UnionMode::Sparse);
        assert!(normalise_type(&union, "u").is_err());
        assert!(normalise_type(&DataType::Duration(TimeUnit::Second), "d").is_err());
    }

    #[test]
    fn names_must_be_there_and_unique() {
        let twice = Schema::new(vec![
            Field::new("a", DataType::Int64, true),
            Field::new("a", DataType::Int64, true),
        ]);
        assert!(
            matches!(normalise_schema(&twice), Err(Error::DuplicateColumn(name)) if name == "a")
        );
        let empty = Schema::new(vec![Field::new("", DataType::Int64, true)]);
        assert!(matches!(normalise_schema(&empty), Err(Error::EmptyName(1))));
        assert!(matches!(
            normalise_schema(&Schema::empty()),
            Err(Error::NoColumns)
        ));
    }
}
