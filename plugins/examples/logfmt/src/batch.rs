//! Rows as columns.

use std::collections::HashMap;
use std::sync::Arc;

use lakehouse_sdk::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
};
use lakehouse_sdk::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use lakehouse_sdk::format::Fault;

use crate::line::{Pair, Row};

/// The columns of a body.
pub(crate) struct Columns {
    schema: SchemaRef,
    places: HashMap<String, usize>,
}

/// A value and the line it is in; none for null.
type Cell<'a> = Option<(u64, &'a Pair)>;

impl Columns {
    /// The keys of these rows. What the table says of a column's type wins over what
    /// the values look like.
    pub(crate) fn of(rows: &[Row], table: Option<&Schema>) -> Self {
        let mut places = HashMap::new();
        let mut values: Vec<(&str, Vec<&str>)> = Vec::new();
        for pair in rows.iter().flat_map(|row| &row.pairs) {
            let place = *places.entry(pair.key.clone()).or_insert_with(|| {
                values.push((&pair.key, Vec::new()));
                values.len() - 1
            });
            values[place].1.push(&pair.value);
        }
        let fields = values.into_iter().map(|(key, values)| {
            let known = table.and_then(|table| table.field_with_name(key).ok());
            let ty = match known.map(Field::data_type) {
                Some(DataType::Boolean) => DataType::Boolean,
                Some(DataType::Int64 | DataType::Int32) => DataType::Int64,
                Some(DataType::Float64 | DataType::Float32) => DataType::Float64,
                // Any other type is cast from text when it is written.
                Some(_) => DataType::Utf8,
                None => infer(&values),
            };
            Field::new(key, ty, true)
        });
        Self {
            schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
            places,
        }
    }

    /// These rows as a batch.
    pub(crate) fn batch(&self, rows: &[Row]) -> Result<RecordBatch, Fault> {
        let mut columns: Vec<Vec<Cell<'_>>> = vec![vec![None; rows.len()]; self.places.len()];
        for (at, row) in rows.iter().enumerate() {
            for pair in &row.pairs {
                let place = self.places.get(&pair.key).ok_or_else(|| {
                    let key = &pair.key;
                    Fault::new(format!(
                        "the first rows, which make the columns, have no '{key}'"
                    ))
                    .line(row.line)
                    .column(pair.column)
                    .name(key)
                })?;
                columns[*place][at] = Some((row.line, pair));
            }
        }
        let arrays = self.schema.fields().iter().zip(&columns);
        let arrays = arrays.map(|(field, cells)| array(field.data_type(), cells));
        let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), arrays)?)
    }
}

/// The narrowest type that holds all these values.
fn infer(values: &[&str]) -> DataType {
    let all = |fits: fn(&str) -> bool| values.iter().all(|value| fits(value));
    if all(|value| value.parse::<bool>().is_ok()) {
        DataType::Boolean
    } else if all(|value| value.parse::<i64>().is_ok()) {
        DataType::Int64
    } else if all(|value| value.parse::<f64>().is_ok()) {
        DataType::Float64
    } else {
        DataType::Utf8
    }
}

fn array(ty: &DataType, cells: &[Cell<'_>]) -> Result<ArrayRef, Fault> {
    Ok(match ty {
        DataType::Boolean => {
            Arc::new(parse::<bool>(cells, "neither true nor false")?.collect::<BooleanArray>())
        }
        DataType::Int64 => {
            Arc::new(parse::<i64>(cells, "not a 64-bit integer")?.collect::<Int64Array>())
        }
        DataType::Float64 => {
            Arc::new(parse::<f64>(cells, "not a number")?.collect::<Float64Array>())
        }
        _ => {
            let texts = cells
                .iter()
                .map(|cell| cell.map(|(_, pair)| pair.value.as_str()));
            Arc::new(texts.collect::<StringArray>())
        }
    })
}

/// Values of a type; an empty one is null.
fn parse<T: std::str::FromStr>(
    cells: &[Cell<'_>],
    otherwise: &str,
) -> Result<impl Iterator<Item = Option<T>> + use<T>, Fault> {
    let values = cells.iter().map(|cell| {
        let Some((line, pair)) = cell.filter(|(_, pair)| !pair.value.is_empty()) else {
            return Ok(None);
        };
        pair.value.parse().map(Some).map_err(|_| {
            Fault::new(format!("'{}' is {otherwise}", pair.value))
                .line(line)
                .column(pair.column)
                .name(&pair.key)
        })
    });
    let values: Vec<Option<T>> = values.collect::<Result<_, _>>()?;
    Ok(values.into_iter())
}
