//! Formats of bodies.
//!
//! A plugin `logfmt.wasm` that exports one is used by `POST /v1/ingest?format=logfmt`.
//! See [`export_format!`](crate::export_format) and the example of that name.

mod fault;
mod lines;
mod options;

use std::cell::RefCell;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

pub use fault::Fault;
pub use lines::Lines;
pub use options::Options;

use crate::export::format::exports::lakehouse::plugin::ingest_format::GuestDecoder;
use crate::format_types::FormatError;
use crate::ipc;

/// A body on its way from bytes to rows.
pub trait Format: Sized + 'static {
    /// Starts on a body. `table` is the schema of the table, if it exists: columns of
    /// these names had best get these types.
    ///
    /// # Errors
    /// Options that it does not have; see [`Options::finish`].
    fn open(options: Options, table: Option<SchemaRef>) -> Result<Self, Fault>;

    /// Takes the next bytes, cut anywhere, and returns the rows that they complete.
    ///
    /// # Errors
    /// Malformed data. It is not called again then.
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<RecordBatch>, Fault>;

    /// The body is at its end: returns the last rows.
    ///
    /// # Errors
    /// Malformed data, or too little of it.
    fn finish(&mut self) -> Result<Vec<RecordBatch>, Fault>;
}

/// A format as the host calls it.
#[doc(hidden)]
#[derive(Debug)]
pub struct Session<F>(RefCell<F>);

impl<F: Format> Session<F> {
    /// `ingest-format.open`
    ///
    /// # Errors
    /// Those of the format.
    pub fn open(
        options: Vec<(String, String)>,
        table: Option<Vec<u8>>,
    ) -> Result<Self, FormatError> {
        let table = table.map(|bytes| ipc::decode_schema(&bytes)).transpose();
        let table = table.map_err(|error| FormatError::Failed(error.into()))?;
        let format = F::open(Options::new(options), table)?;
        Ok(Self(RefCell::new(format)))
    }
}

impl<F: Format> GuestDecoder for Session<F> {
    fn push(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>, FormatError> {
        encode(&self.0.borrow_mut().push(&bytes)?)
    }

    fn finish(&self) -> Result<Vec<Vec<u8>>, FormatError> {
        encode(&self.0.borrow_mut().finish()?)
    }
}

fn encode(batches: &[RecordBatch]) -> Result<Vec<Vec<u8>>, FormatError> {
    let encoded = batches.iter().map(ipc::encode).collect::<Result<_, _>>();
    encoded.map_err(|error| FormatError::Failed(error.into()))
}
