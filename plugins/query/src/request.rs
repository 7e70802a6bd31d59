//! What a client asks to run.

use std::sync::Arc;

use arrow::array::{Array, Float64Array};
use datafusion::common::ScalarValue;
use datafusion::common::utils::SingleRowListArrayBuilder;
use lakehouse_sdk::http::{Problem, Request, parse_json};
use serde::Deserialize;
use serde_json::Value;

/// Bytes of the longest request.
const LIMIT: usize = 16 << 20;

/// A statement and its parameters.
#[derive(Debug)]
pub struct Query {
    /// The SQL text.
    pub sql: String,
    /// Values of `$1`, `$2`, ….
    pub params: Params,
}

/// Values of placeholders, in order.
#[derive(Debug, Clone, Default)]
pub struct Params(pub Vec<ScalarValue>);

impl Params {
    /// The value of a placeholder, `$1`.
    #[must_use]
    pub fn get(&self, placeholder: &str) -> Option<&ScalarValue> {
        let number: usize = placeholder.strip_prefix('$')?.parse().ok()?;
        self.0.get(number.checked_sub(1)?)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    sql: String,
    #[serde(default)]
    params: Vec<Value>,
}

impl Query {
    /// Reads it from JSON or from plain text.
    ///
    /// `application/x-www-form-urlencoded` is what `curl -d` says of a body unless
    /// told otherwise. No form is wanted here, so it is read as what it is: JSON
    /// where it begins with a brace, as no SQL does, else SQL.
    ///
    /// # Errors
    /// 415 for other media types, 413 over 16 MiB, 400 for what is not as it
    /// should be.
    pub fn read(request: &mut Request) -> Result<Self, Problem> {
        let media = request
            .header("content-type")
            .map(|value| value.split(';').next().unwrap_or_default().trim())
            .unwrap_or("text/plain")
            .to_ascii_lowercase();
        match media.as_str() {
            "application/json" => Self::from_json(&request.read_body(LIMIT)?),
            "text/plain" | "application/sql" => Self::from_text(request.read_body(LIMIT)?),
            "application/x-www-form-urlencoded" => {
                let body = request.read_body(LIMIT)?;
                if body.trim_ascii_start().starts_with(b"{") {
                    Self::from_json(&body)
                } else {
                    Self::from_text(body)
                }
            }
            other => Err(Problem::new(
                415,
                format!("the content type {other:?} is neither application/json nor text/plain"),
            )),
        }
    }

    fn from_json(body: &[u8]) -> Result<Self, Problem> {
        let body: Body = parse_json(body)?;
        let params = body
            .params
            .into_iter()
            .enumerate()
            .map(|(index, value)| parameter(index, value))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            sql: body.sql,
            params: Params(params),
        })
    }

    fn from_text(body: Vec<u8>) -> Result<Self, Problem> {
        let sql = String::from_utf8(body).map_err(|error| {
            Problem::bad_request(format!(
                "the SQL text is not UTF-8 at byte {}",
                error.utf8_error().valid_up_to()
            ))
        })?;
        Ok(Self {
            sql,
            params: Params::default(),
        })
    }
}

fn parameter(index: usize, value: Value) -> Result<ScalarValue, Problem> {
    Ok(match value {
        Value::Null => ScalarValue::Null,
        Value::Bool(value) => ScalarValue::Boolean(Some(value)),
        Value::String(value) => ScalarValue::Utf8(Some(value)),
        Value::Number(number) => {
            if let Some(value) = number.as_i64() {
                ScalarValue::Int64(Some(value))
            } else if let Some(value) = number.as_u64() {
                ScalarValue::UInt64(Some(value))
            } else {
                ScalarValue::Float64(number.as_f64())
            }
        }
        Value::Array(values) => numbers(&values).ok_or_else(|| {
            Problem::bad_request(format!(
                "parameter ${} is an array of something else than numbers",
                index + 1
            ))
        })?,
        Value::Object(_) => {
            return Err(Problem::bad_request(format!(
                "parameter ${} is an object; parameters are null, booleans, numbers, strings and \
                 arrays of numbers",
                index + 1
            )));
        }
    })
}

/// A vector.
fn numbers(values: &[Value]) -> Option<ScalarValue> {
    let values: Float64Array = values.iter().map(Value::as_f64).collect();
    (values.null_count() == 0)
        .then(|| SingleRowListArrayBuilder::new(Arc::new(values)).build_list_scalar())
}
