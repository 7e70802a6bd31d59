//! What can go wrong between batches and data files.

use arrow::error::ArrowError;
use lakehouse_sdk::types;
use parquet::errors::ParquetError;

/// Why batches could not be written, or files not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A column's type has no counterpart in Iceberg v2.
    #[error("column '{column}' has type {data_type}, which a table cannot hold")]
    UnsupportedType {
        /// Path of the column, nested names joined by dots.
        column: String,
        /// The Arrow type.
        data_type: String,
    },
    /// Two columns share a name.
    #[error("column name '{0}' occurs more than once")]
    DuplicateColumn(String),
    /// A column has no name.
    #[error("column {0} has an empty name")]
    EmptyName(usize),
    /// A schema without columns.
    #[error("the schema has no columns")]
    NoColumns,
    /// A batch has columns that the target does not have.
    #[error("the table has no column {}", .0.join(", "))]
    UnknownColumns(Vec<String>),
    /// A value does not fit its column.
    #[error("column '{column}'{}: {reason}", .row.map(|row| format!(", row {row}")).unwrap_or_default())]
    Value {
        /// Path of the column, nested names joined by dots.
        column: String,
        /// Row, counted from 1 over all that was written; none where it is not known.
        row: Option<u64>,
        /// What is wrong with it.
        reason: String,
    },
    /// A data file cannot be read as one of its table.
    #[error("{0}")]
    Unreadable(String),
    /// The store refused.
    #[error("{}", message(.0))]
    Store(types::Error),
    /// Encoding or decoding failed for another reason.
    #[error("{0}")]
    Arrow(#[from] ArrowError),
    /// Writing Parquet failed for another reason.
    #[error("{0}")]
    Parquet(#[from] ParquetError),
}

impl From<types::Error> for Error {
    fn from(error: types::Error) -> Self {
        Self::Store(error)
    }
}

impl From<Error> for types::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(error) => error,
            Error::Parquet(_) => Self::Internal(error.to_string()),
            Error::Unreadable(text) => Self::Unsupported(text),
            other => Self::Invalid(other.to_string()),
        }
    }
}

/// The text of a store's error.
fn message(error: &types::Error) -> &str {
    use types::Error as E;
    match error {
        E::NotFound(text)
        | E::AlreadyExists(text)
        | E::Conflict(text)
        | E::PreconditionFailed(text)
        | E::Denied(text)
        | E::Invalid(text)
        | E::RangeNotSatisfiable(text)
        | E::Exhausted(text)
        | E::Unavailable(text)
        | E::Unsupported(text)
        | E::Internal(text) => text,
    }
}
