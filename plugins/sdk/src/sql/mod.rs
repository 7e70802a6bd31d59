//! SQL functions.
//!
//! ```ignore
//! use std::sync::Arc;
//!
//! use lakehouse_sdk::arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
//! use lakehouse_sdk::arrow::datatypes::DataType;
//! use lakehouse_sdk::sql::{Error, Function, Functions};
//!
//! struct Text;
//!
//! impl Functions for Text {
//!     fn functions() -> Vec<Function> {
//!         vec![Function::scalar("words", [DataType::Utf8], DataType::Int64, words)]
//!     }
//! }
//!
//! fn words(rows: &RecordBatch) -> Result<ArrayRef, Error> {
//!     let texts = rows.column(0).as_string::<i32>().iter();
//!     let counts = texts.map(|text| Some(text?.split_whitespace().count() as i64));
//!     Ok(Arc::new(counts.collect::<Int64Array>()))
//! }
//!
//! lakehouse_sdk::export_functions!(Text);
//! ```

mod aggregate;
mod registry;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::DataType;

pub use crate::sql_types::Volatility;
pub use crate::types::Error;
pub use aggregate::Aggregate;
#[doc(hidden)]
pub use registry::Registry;

use aggregate::Steps;

/// What a plugin with SQL functions implements. See
/// [`export_functions!`](crate::export_functions).
pub trait Functions {
    /// All of them, each of a name of its own.
    fn functions() -> Vec<Function>;
}

/// One function.
#[derive(Debug)]
pub struct Function {
    name: String,
    arguments: Vec<DataType>,
    returns: DataType,
    volatility: Volatility,
    body: Body,
}

/// Computes a column from rows.
type Scalar = fn(&RecordBatch) -> Result<ArrayRef, Error>;

#[derive(Debug)]
enum Body {
    Scalar(Scalar),
    Aggregate(Steps),
}

impl Function {
    /// A function of each row. `body` gets a column for each argument, of these types,
    /// and returns a column of the type `returns` with as many rows.
    pub fn scalar(
        name: &str,
        arguments: impl IntoIterator<Item = DataType>,
        returns: DataType,
        body: Scalar,
    ) -> Self {
        Self::new(name, arguments, returns, Body::Scalar(body))
    }

    /// A function of groups of rows.
    pub fn aggregate<A: Aggregate>(
        name: &str,
        arguments: impl IntoIterator<Item = DataType>,
        returns: DataType,
    ) -> Self {
        Self::new(name, arguments, returns, Body::Aggregate(Steps::of::<A>()))
    }

    fn new(
        name: &str,
        arguments: impl IntoIterator<Item = DataType>,
        returns: DataType,
        body: Body,
    ) -> Self {
        Self {
            name: name.to_owned(),
            arguments: arguments.into_iter().collect(),
            returns,
            volatility: Volatility::Immutable,
            body,
        }
    }

    /// Says that the same arguments need not give the same value.
    #[must_use]
    pub fn with_volatility(mut self, volatility: Volatility) -> Self {
        self.volatility = volatility;
        self
    }
}
