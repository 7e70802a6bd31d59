//! Rows as columns.

use std::collections::HashMap;
use std::sync::Arc;

use lakehouse_sdk::arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use lakehouse_sdk::arrow::compute::{can_cast_types, cast};
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
                Some(ty) if can_cast_types(&DataType::Utf8, ty) => ty.clone(),
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

/// The narrowest type that holds all these values; empty ones are null in any but text.
fn infer(values: &[&str]) -> DataType {
    let some = || values.iter().filter(|value| !value.is_empty());
    let all = |fits: fn(&str) -> bool| some().all(|value| fits(value));
    if some().next().is_none() {
        DataType::Utf8
    } else if all(|value| value.parse::<bool>().is_ok()) {
        DataType::Boolean
    } else if all(|value| value.parse::<i64>().is_ok()) {
        DataType::Int64
    } else if all(|value| value.parse::<f64>().is_ok()) {
        DataType::Float64
    } else {
        DataType::Utf8
    }
}

/// A column of these values.
fn array(ty: &DataType, cells: &[Cell<'_>]) -> Result<ArrayRef, Fault> {
    let is_text = *ty == DataType::Utf8;
    let texts = cells.iter().map(|cell| {
        let (_, pair) = (*cell)?;
        (is_text || !pair.value.is_empty()).then_some(pair.value.as_str())
    });
    let texts = texts.collect::<StringArray>();
    if is_text {
        return Ok(Arc::new(texts));
    }
    // A value that is none of the type becomes null, and is found by that.
    let values = cast(&texts, ty)?;
    let lost = (0..cells.len()).find(|at| texts.is_valid(*at) && values.is_null(*at));
    match lost.and_then(|at| cells[at]) {
        None => Ok(values),
        Some((line, pair)) => {
            let text = format!("'{}' is not of type {ty}", pair.value);
            let fault = Fault::new(text).line(line).column(pair.column);
            Err(fault.name(&pair.key))
        }
    }
}
