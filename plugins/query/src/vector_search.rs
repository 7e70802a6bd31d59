//! `vector_search('index', vector, k [, filter])` as a table: the nearest items of one
//! of the host's vector indexes.
//!
//! The vector is an array of numbers, a text that holds a JSON array, or a parameter
//! of either kind; the filter is a JSON object as text. The index is searched when the
//! statement is planned, so that what is wrong is said before anything is read.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, RecordBatch, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type, Schema, SchemaRef};
use datafusion::catalog::{MemTable, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Expr;
use lakehouse_sdk::http::Problem;
use lakehouse_sdk::{types, vectors};

use crate::error::HostError;
use crate::request::Params;

/// The function's name.
pub const NAME: &str = "vector_search";

const USAGE: &str = "vector_search takes the name of an index, a vector, how many items to find, \
                     and perhaps a filter as JSON";

/// The table function.
#[derive(Debug)]
pub struct VectorSearch;

impl TableFunctionImpl for VectorSearch {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let params = args.session().config().get_extension::<Params>();
        let values = args
            .exprs()
            .iter()
            .map(|expr| value(expr, params.as_deref()))
            .collect::<Result<Vec<_>>>()?;
        let (index, vector, k, filter) = match &values[..] {
            [index, vector, k] => (index, vector, k, None),
            [index, vector, k, filter] => (index, vector, k, Some(filter)),
            _ => return plan_err!("{USAGE}"),
        };
        let Some(Some(index)) = index.try_as_str() else {
            return plan_err!("{USAGE}: the name is {index}");
        };
        let filter = match filter.filter(|filter| !filter.is_null()) {
            None => None,
            Some(filter) => match filter.try_as_str() {
                Some(Some(text)) => Some(text),
                _ => return plan_err!("{USAGE}: the filter is {filter}"),
            },
        };
        let hits = vectors::search(index, &numbers(vector)?, count(k)?, None, filter);
        let hits = hits.map_err(|error| match error {
            // As for tables: what a statement names must be there.
            types::Error::NotFound(_) | types::Error::Invalid(_) => {
                DataFusionError::Plan(Problem::from(error).detail)
            }
            other => HostError(other).into(),
        })?;
        Ok(Arc::new(MemTable::try_new(
            schema(),
            vec![vec![rows(&hits)?]],
        )?))
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Utf8View, false),
        Field::new("distance", DataType::Float32, false),
        Field::new("metadata", DataType::Utf8View, true),
    ]))
}

fn rows(hits: &[vectors::Hit]) -> Result<RecordBatch> {
    let ids = StringViewArray::from_iter_values(hits.iter().map(|hit| &hit.id));
    let distances = Float32Array::from_iter_values(hits.iter().map(|hit| hit.distance));
    let metadata: StringViewArray = hits.iter().map(|hit| hit.metadata.as_deref()).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(distances), Arc::new(metadata)];
    Ok(RecordBatch::try_new(schema(), columns)?)
}

/// What an argument is: a literal, or the parameter that it names.
fn value(expr: &Expr, params: Option<&Params>) -> Result<ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Ok(value.clone()),
        Expr::Placeholder(placeholder) => match params.and_then(|p| p.get(&placeholder.id)) {
            Some(value) => Ok(value.clone()),
            None => plan_err!("there is no parameter {}", placeholder.id),
        },
        other => plan_err!("{USAGE}, as literals or parameters; {other} is neither"),
    }
}

fn count(k: &ScalarValue) -> Result<u32> {
    match k.cast_to(&DataType::UInt32) {
        Ok(ScalarValue::UInt32(Some(k))) => Ok(k),
        _ => plan_err!("{USAGE}: {k} is no number of items"),
    }
}

fn numbers(vector: &ScalarValue) -> Result<Vec<f32>> {
    let list: ArrayRef = match vector {
        ScalarValue::List(list) => list.value(0),
        ScalarValue::LargeList(list) => list.value(0),
        ScalarValue::FixedSizeList(list) => list.value(0),
        other => match other.try_as_str() {
            Some(Some(text)) => {
                return serde_json::from_str(text)
                    .or_else(|error| plan_err!("the vector is no JSON array of numbers: {error}"));
            }
            _ => return plan_err!("{USAGE}: the vector is {other}"),
        },
    };
    if !list.data_type().is_numeric() {
        return plan_err!("the vector holds {}, not numbers", list.data_type());
    }
    let list = cast(&list, &DataType::Float32)?;
    if let Some(at) = (0..list.len()).find(|at| list.is_null(*at)) {
        return plan_err!("component {at} of the vector is null");
    }
    Ok(list.as_primitive::<Float32Type>().values().to_vec())
}
