//! Fitting a batch to a table's schema: columns by name, values by cast.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, RecordBatchOptions, StructArray,
    new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};

use crate::Error;
use crate::normalise::join;

/// `batch` with the columns, order and types of `target`.
///
/// Columns are matched by name, at every level of nesting; what `batch` lacks
/// is filled with null. `rows_before` is added to row numbers in errors.
///
/// # Errors
/// A column that `target` lacks, a value that its type cannot hold, a null
/// where the target demands a value.
pub fn align(
    batch: &RecordBatch,
    target: &SchemaRef,
    rows_before: u64,
) -> Result<RecordBatch, Error> {
    let unknown: Vec<String> = batch
        .schema_ref()
        .fields()
        .iter()
        .filter(|field| target.index_of(field.name()).is_err())
        .map(|field| format!("'{}'", field.name()))
        .collect();
    if !unknown.is_empty() {
        return Err(Error::UnknownColumns(unknown));
    }
    let columns = target
        .fields()
        .iter()
        .map(|field| {
            let column = match batch.column_by_name(field.name()) {
                Some(column) => align_array(column, field, field.name()),
                None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            };
            let column = column.map_err(|error| shift(error, rows_before))?;
            required(&column, field, rows_before)?;
            Ok(column)
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(target),
        columns,
        &options,
    )?)
}

fn required(column: &ArrayRef, field: &Field, rows_before: u64) -> Result<(), Error> {
    if field.is_nullable() || column.null_count() == 0 {
        return Ok(());
    }
    let row = (0..column.len()).find(|row| column.is_null(*row));
    Err(Error::Value {
        column: field.name().clone(),
        row: row.map(|row| rows_before + row as u64 + 1),
        reason: "is null, but the column is required".to_owned(),
    })
}

fn shift(error: Error, rows_before: u64) -> Error {
    match error {
        Error::Value {
            column,
            row: Some(row),
            reason,
        } => Error::Value {
            column,
            row: Some(row + rows_before),
            reason,
        },
        other => other,
    }
}

fn align_array(array: &ArrayRef, field: &Field, path: &str) -> Result<ArrayRef, Error> {
    if array.data_type() == field.data_type() {
        return Ok(Arc::clone(array));
    }
    match (array.data_type(), field.data_type()) {
        (DataType::Struct(_), DataType::Struct(fields)) => {
            align_struct(array.as_struct(), fields, path)
        }
        (
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::ListView(item)
            | DataType::LargeListView(item)
            | DataType::FixedSizeList(item, _),
            DataType::List(element),
        ) => {
            let plain = cast(array, &DataType::List(Arc::clone(item)), path)?;
            let (_, offsets, values, nulls) = plain.as_list::<i32>().clone().into_parts();
            let values = align_array(&values, element, &join(path, element.name()))?;
            let element = Arc::clone(element);
            Ok(Arc::new(ListArray::try_new(
                element, offsets, values, nulls,
            )?))
        }
        (DataType::Map(_, _), DataType::Map(pair, sorted)) => {
            let (_, offsets, entries, nulls, _) = array.as_map().clone().into_parts();
            let entries = align_entries(&entries, pair, path)?;
            let pair = Arc::clone(pair);
            Ok(Arc::new(MapArray::try_new(
                pair, offsets, entries, nulls, *sorted,
            )?))
        }
        _ => cast(array, field.data_type(), path),
    }
}

fn align_struct(
    array: &StructArray,
    fields: &arrow::datatypes::Fields,
    path: &str,
) -> Result<ArrayRef, Error> {
    for name in array.column_names() {
        if !fields.iter().any(|field| field.name() == name) {
            return Err(Error::UnknownColumns(vec![format!(
                "'{}'",
                join(path, name)
            )]));
        }
    }
    let columns = fields
        .iter()
        .map(|field| match array.column_by_name(field.name()) {
            Some(column) => align_array(column, field, &join(path, field.name())),
            None => Ok(new_null_array(field.data_type(), array.len())),
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let nulls = array.nulls().cloned();
    let aligned = if columns.is_empty() {
        StructArray::new_empty_fields(array.len(), nulls)
    } else {
        StructArray::try_new(fields.clone(), columns, nulls)?
    };
    Ok(Arc::new(aligned))
}

/// Keys and values of a map go by position: writers name them as they like.
fn align_entries(entries: &StructArray, pair: &FieldRef, path: &str) -> Result<StructArray, Error> {
    let DataType::Struct(fields) = pair.data_type() else {
        return Err(mismatch(entries.data_type(), pair.data_type(), path));
    };
    let columns = fields
        .iter()
        .zip(entries.columns())
        .map(|(field, column)| align_array(column, field, &join(path, field.name())))
        .collect::<Result<Vec<_>, Error>>()?;
    Ok(StructArray::try_new(
        fields.clone(),
        columns,
        entries.nulls().cloned(),
    )?)
}

fn cast(array: &ArrayRef, to: &DataType, path: &str) -> Result<ArrayRef, Error> {
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let error = match cast_with_options(array, to, &strict) {
        Ok(array) => return Ok(array),
        Err(error) => error,
    };
    // A lenient cast turns what does not fit into null: the first such row is the culprit.
    let Ok(lenient) = cast_with_options(array, to, &CastOptions::default()) else {
        return Err(mismatch(array.data_type(), to, path));
    };
    let row = (0..array.len()).find(|row| array.is_valid(*row) && lenient.is_null(*row));
    Err(Error::Value {
        column: path.to_owned(),
        row: row.map(|row| row as u64 + 1),
        reason: format!("does not fit {to}: {error}"),
    })
}

fn mismatch(from: &DataType, to: &DataType, path: &str) -> Error {
    Error::Value {
        column: path.to_owned(),
        row: None,
        reason: format!("is {from} and cannot become {to}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalise_batch;
    use arrow::array::{
        Int8Array, Int64Array, LargeListArray, StringArray, TimestampSecondArray, UInt64Array,
    };
    use arrow::datatypes::{Int8Type, Int32Type, Schema, TimeUnit};

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn integers(values: &[i64]) -> ArrayRef {
        Arc::new(Int64Array::from(values.to_vec()))
    }

    fn texts(values: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    fn target(fields: Vec<Field>) -> SchemaRef {
        Arc::new(Schema::new(fields))
    }

    #[test]
    fn columns_are_ordered_by_name_and_missing_ones_are_null() {
        let small: ArrayRef = Arc::new(Int8Array::from(vec![1, 2]));
        let batch = batch(vec![("b", texts(&["x", "y"])), ("a", small)]);
        let schema = target(vec![
            Field::new("a", DataType::Int64, true),
            Field::new("b", DataType::Utf8, true),
            Field::new("c", DataType::Float64, true),
        ]);
        let aligned = align(&batch, &schema, 0).unwrap();
        assert_eq!(aligned.column(0).as_ref(), &Int64Array::from(vec![1, 2]));
        assert_eq!(
            aligned.column(1).as_ref(),
            &StringArray::from(vec!["x", "y"])
        );
        assert_eq!(aligned.column(2).null_count(), 2);
    }

    #[test]
    fn a_value_that_does_not_fit_is_named_by_column_and_row() {
        let batch = batch(vec![("n", texts(&["1", "two"]))]);
        let schema = target(vec![Field::new("n", DataType::Int64, true)]);
        let error = align(&batch, &schema, 10).unwrap_err();
        assert!(
            matches!(error, Error::Value { row: Some(12), .. }),
            "{error}"
        );
        assert!(
            error.to_string().starts_with("column 'n', row 12"),
            "{error}"
        );
    }

    #[test]
    fn a_timestamp_beyond_microseconds_is_an_error() {
        let column: ArrayRef = Arc::new(TimestampSecondArray::from(vec![0, i64::MAX]));
        let batch = RecordBatch::try_from_iter([("t", column)]).unwrap();
        let error = normalise_batch(&batch).unwrap_err();
        assert!(
            matches!(error, Error::Value { row: Some(2), .. }),
            "{error}"
        );
    }

    #[test]
    fn null_in_a_required_column_is_an_error() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let batch = batch(vec![("n", column)]);
        let schema = target(vec![Field::new("n", DataType::Int64, false)]);
        assert!(matches!(
            align(&batch, &schema, 0),
            Err(Error::Value { row: Some(2), .. })
        ));
    }

    #[test]
    fn unknown_columns_are_all_named() {
        let batch = batch(vec![
            ("x", integers(&[1])),
            ("a", integers(&[1])),
            ("y", integers(&[1])),
        ]);
        let schema = target(vec![Field::new("a", DataType::Int64, true)]);
        let error = align(&batch, &schema, 0).unwrap_err().to_string();
        assert!(error.contains("'x', 'y'"), "{error}");
    }

    #[test]
    fn the_largest_unsigned_integer_survives() {
        let column: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
        let batch = RecordBatch::try_from_iter([("u", column)]).unwrap();
        let decimal = normalise_batch(&batch).unwrap();
        let value = decimal
            .column(0)
            .as_primitive::<arrow::datatypes::Decimal128Type>()
            .value(0);
        assert_eq!(value, i128::from(u64::MAX));
    }

    #[test]
    fn lists_and_structs_are_rebuilt_level_by_level() {
        let list = LargeListArray::from_iter_primitive::<Int8Type, _, _>([
            Some(vec![Some(1), None]),
            None,
        ]);
        let number: ArrayRef = Arc::new(Int8Array::from(vec![5, 6]));
        let inner = StructArray::from(vec![
            (Arc::new(Field::new("n", DataType::Int8, true)), number),
            (
                Arc::new(Field::new("l", list.data_type().clone(), true)),
                Arc::new(list) as ArrayRef,
            ),
        ]);
        let batch = RecordBatch::try_from_iter([("s", Arc::new(inner) as ArrayRef)]).unwrap();
        let fitted = normalise_batch(&batch).unwrap();
        let inner = fitted.column(0).as_struct();
        let list = inner.column_by_name("l").unwrap().as_list::<i32>();
        assert_eq!(list.value(0).as_primitive::<Int32Type>().value(0), 1);
        assert!(list.is_null(1));
        let time = DataType::Timestamp(TimeUnit::Microsecond, None);
        let schema = target(vec![Field::new("s", time, true)]);
        assert!(matches!(
            align(&batch, &schema, 0),
            Err(Error::Value { row: None, .. })
        ));
    }
}
