//! Aggregates: states that rows are taken into.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, UInt32Type};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Error;

/// The state of one group of rows. Between two calls it is bytes, with the engine.
pub trait Aggregate: Default + Serialize + DeserializeOwned + 'static {
    /// Takes rows in: row `i` belongs to `states[groups[i]]`. `rows` has a column for
    /// each argument.
    ///
    /// # Errors
    /// Arguments that it cannot take.
    fn accumulate(states: &mut [Self], groups: &[u32], rows: &RecordBatch) -> Result<(), Error>;

    /// Takes in what another state has.
    ///
    /// # Errors
    /// If both together are too much.
    fn merge(&mut self, other: Self) -> Result<(), Error>;

    /// The values: one row for each state.
    ///
    /// # Errors
    /// States that have no value.
    fn evaluate(states: Vec<Self>) -> Result<ArrayRef, Error>;
}

/// An aggregate's steps, over states as bytes.
pub(super) struct Steps {
    pub(super) accumulate: fn(&RecordBatch, &RecordBatch) -> Result<RecordBatch, Error>,
    pub(super) merge: fn(&RecordBatch, &RecordBatch) -> Result<RecordBatch, Error>,
    pub(super) evaluate: fn(&RecordBatch) -> Result<ArrayRef, Error>,
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steps").finish_non_exhaustive()
    }
}

impl Steps {
    pub(super) fn of<A: Aggregate>() -> Self {
        Self {
            accumulate: |states, rows| {
                let mut states = load::<A>(states)?;
                let columns: Vec<usize> = (1..rows.num_columns()).collect();
                A::accumulate(&mut states, groups(rows)?, &rows.project(&columns)?)?;
                save(&states)
            },
            merge: |states, others| {
                let mut states = load::<A>(states)?;
                let others_states = load::<A>(&others.project(&[1])?)?;
                for (group, other) in groups(others)?.iter().zip(others_states) {
                    let state = states.get_mut(*group as usize);
                    state.ok_or_else(no_group)?.merge(other)?;
                }
                save(&states)
            },
            evaluate: |states| A::evaluate(load(states)?),
        }
    }
}

fn load<A: Aggregate>(states: &RecordBatch) -> Result<Vec<A>, Error> {
    let states = states
        .column(0)
        .as_binary_opt::<i32>()
        .ok_or_else(|| Error::Internal("the states of an aggregate are not binary".to_owned()))?;
    let load = |state| match state {
        None => Ok(A::default()),
        Some(bytes) => postcard::from_bytes(bytes)
            .map_err(|error| Error::Internal(format!("a state of an aggregate: {error}"))),
    };
    states.iter().map(load).collect()
}

fn save<A: Aggregate>(states: &[A]) -> Result<RecordBatch, Error> {
    let saved = states
        .iter()
        .map(postcard::to_stdvec)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::Internal(format!("a state of an aggregate: {error}")))?;
    let saved = BinaryArray::from_iter_values(saved);
    let schema = Schema::new(vec![Field::new("state", DataType::Binary, true)]);
    Ok(RecordBatch::try_new(
        Arc::new(schema),
        vec![Arc::new(saved)],
    )?)
}

fn groups(rows: &RecordBatch) -> Result<&[u32], Error> {
    let groups = rows.columns().first();
    let groups = groups.and_then(|groups| groups.as_primitive_opt::<UInt32Type>());
    Ok(groups
        .filter(|groups| groups.null_count() == 0)
        .ok_or_else(no_group)?
        .values())
}

fn no_group() -> Error {
    Error::Internal("a row of an aggregate belongs to no state".to_owned())
}
