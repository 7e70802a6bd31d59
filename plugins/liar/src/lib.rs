//! SQL functions that return what they must not, and a format that does. A function is
//! `name(BIGINT) -> BIGINT` unless it says otherwise; `same` is honest.

mod format;
mod lies;

use lakehouse_sdk::arrow::array::RecordBatch;
use lakehouse_sdk::arrow::datatypes::{DataType, Field, Schema};
use lakehouse_sdk::export::functions::exports::lakehouse::plugin::sql_functions::Guest;
use lakehouse_sdk::ipc;
use lakehouse_sdk::sql_types::{FunctionKind, FunctionSignature, Volatility};
use lakehouse_sdk::types::Error;

struct Liar;

/// Scalars from BIGINT to BIGINT.
const SCALARS: [&str; 12] = [
    "same",
    "lie_rows",
    "lie_type",
    "lie_columns",
    "lie_nothing",
    "lie_cut",
    "lie_noise",
    "lie_huge",
    "lie_flip",
    "lie_panic",
    "lie_spin",
    // SQL has this one already.
    "abs",
];
/// Scalars from BIGINT to VARCHAR.
const TEXTS: [&str; 2] = ["lie_offsets", "lie_utf8"];
/// Aggregates of BIGINT to BIGINT.
const AGGREGATES: [&str; 3] = ["lie_states", "lie_state_type", "lie_value"];
/// What cannot be a name.
const NAMELESS: [&str; 3] = ["", "Not A Name", "1st"];

impl Guest for Liar {
    fn list() -> Result<Vec<FunctionSignature>, Error> {
        let scalar = FunctionKind::Scalar;
        let all = SCALARS
            .iter()
            .chain(&NAMELESS)
            .map(|name| (*name, scalar, DataType::Int64))
            .chain(TEXTS.map(|name| (name, scalar, DataType::Utf8)))
            .chain(AGGREGATES.map(|name| (name, FunctionKind::Aggregate, DataType::Int64)));
        let mut all = all
            .map(|(name, kind, returns)| signature(name, kind, returns))
            .collect::<Result<Vec<_>, _>>()?;
        // One whose schemas are none.
        all.push(FunctionSignature {
            name: "lie_schema".to_owned(),
            kind: scalar,
            arguments: b"no schema".to_vec(),
            returns: Vec::new(),
            volatility: Volatility::Immutable,
        });
        Ok(all)
    }

    fn call(name: String, rows: Vec<u8>) -> Result<Vec<u8>, Error> {
        lies::scalar(&name, &ipc::decode(&rows)?)
    }

    fn accumulate(name: String, states: Vec<u8>, _rows: Vec<u8>) -> Result<Vec<u8>, Error> {
        lies::states(&name, &ipc::decode(&states)?)
    }

    fn merge(name: String, states: Vec<u8>, _others: Vec<u8>) -> Result<Vec<u8>, Error> {
        lies::states(&name, &ipc::decode(&states)?)
    }

    fn evaluate(_name: String, states: Vec<u8>) -> Result<Vec<u8>, Error> {
        // As many values as states, and none of the type that was promised.
        lies::texts(ipc::decode(&states)?.num_rows())
    }
}

fn signature(
    name: &str,
    kind: FunctionKind,
    returns: DataType,
) -> Result<FunctionSignature, Error> {
    let schema = |ty| ipc::encode_schema(&Schema::new(vec![Field::new("x", ty, true)]));
    Ok(FunctionSignature {
        name: name.to_owned(),
        kind,
        arguments: schema(DataType::Int64)?,
        returns: schema(returns)?,
        volatility: Volatility::Immutable,
    })
}

/// One column as a stream.
fn encode(column: lakehouse_sdk::arrow::array::ArrayRef) -> Result<Vec<u8>, Error> {
    Ok(ipc::encode(&RecordBatch::try_from_iter([(
        "value", column,
    )])?)?)
}

lakehouse_sdk::export::functions::__export_functions!(
    Liar with_types_in lakehouse_sdk::export::functions
);
lakehouse_sdk::export::format::__export_format!(
    Liar with_types_in lakehouse_sdk::export::format
);
