//! One function where it is: batches out, and what comes back, checked.

use std::cell::RefCell;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BinaryArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::array::{AsArray, UInt32Array};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::Result;
use lakehouse_sdk::functions::{self, Function};
use lakehouse_sdk::types;
use lakehouse_table::ipc;

use crate::error::HostError;

/// A call that takes rows into the states of an aggregate: of this plugin, the function of
/// this name, states and rows as Arrow IPC streams; the states that come of it.
type Step = fn(&str, &str, &[u8], &[u8]) -> Result<Vec<u8>, types::Error>;

/// Bytes of rows or states in one call, if they can be parted: well below what a plugin
/// may hand over, in the one direction and in the other.
pub const PIECE: usize = 8 << 20;

/// The call that failed last.
struct Failed {
    plugin: String,
    name: String,
    bytes: Vec<u8>,
    error: types::Error,
}

thread_local! {
    /// The engine computes constants while it plans, and again and again where that
    /// fails: a plugin that traps, or runs out of time, must do so once a statement.
    static FAILED: RefCell<Option<Failed>> = const { RefCell::new(None) };
}

/// A statement begins.
pub fn begin() {
    FAILED.take();
}

/// A function of a plugin.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Remote {
    plugin: String,
    name: String,
    /// A field for each argument.
    arguments: SchemaRef,
    returns: DataType,
}

impl Remote {
    pub fn new(function: &Function, arguments: &[DataType], returns: DataType) -> Self {
        Self {
            plugin: function.plugin.clone(),
            name: function.signature.name.clone(),
            arguments: schema(arguments.iter().cloned()),
            returns,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn returns(&self) -> &DataType {
        &self.returns
    }

    /// A scalar's values for `rows` rows of arguments.
    pub fn call(&self, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        in_pieces(arguments, rows, |piece, rows| {
            let batch = batch(Arc::clone(&self.arguments), piece.to_vec(), rows)?;
            let bytes = encode(&batch)?;
            if let Some(error) = self.failed_before(&bytes) {
                return Err(HostError(error).into());
            }
            let returned = functions::call(&self.plugin, &self.name, &bytes);
            if let Err(error) = &returned {
                FAILED.replace(Some(Failed {
                    plugin: self.plugin.clone(),
                    name: self.name.clone(),
                    bytes,
                    error: error.clone(),
                }));
            }
            self.column(returned, &self.returns, rows)
        })
    }

    /// The error, if this statement has made this call already.
    fn failed_before(&self, bytes: &[u8]) -> Option<types::Error> {
        FAILED.with_borrow(|failed| {
            let failed = failed.as_ref()?;
            let same =
                failed.name == self.name && failed.plugin == self.plugin && failed.bytes == bytes;
            same.then(|| failed.error.clone())
        })
    }

    /// An aggregate's states with rows taken in, each into the state of its group.
    pub fn accumulate(
        &self,
        states: BinaryArray,
        groups: Vec<u32>,
        arguments: &[ArrayRef],
    ) -> Result<BinaryArray> {
        self.step(functions::accumulate, states, groups, arguments)
    }

    /// An aggregate's states with others taken in, each into the state of its group.
    pub fn merge(
        &self,
        states: BinaryArray,
        groups: Vec<u32>,
        others: &[ArrayRef],
    ) -> Result<BinaryArray> {
        self.step(functions::merge, states, groups, others)
    }

    fn step(
        &self,
        call: Step,
        states: BinaryArray,
        groups: Vec<u32>,
        columns: &[ArrayRef],
    ) -> Result<BinaryArray> {
        let rows = groups.len();
        let types = columns.iter().map(|column| column.data_type().clone());
        let schema = schema([DataType::UInt32].into_iter().chain(types));
        let mut all: Vec<ArrayRef> = vec![Arc::new(UInt32Array::from(groups))];
        all.extend(columns.iter().map(Arc::clone));
        let rows = encode(&batch(schema, all, rows)?)?;
        let count = states.len();
        let states = encode(&column(Arc::new(states))?)?;
        let returned = call(&self.plugin, &self.name, &states, &rows);
        let changed = self.column(returned, &DataType::Binary, count)?;
        Ok(changed.as_binary::<i32>().clone())
    }

    /// The values of an aggregate's states.
    pub fn evaluate(&self, states: BinaryArray) -> Result<ArrayRef> {
        let count = states.len();
        in_pieces(&[Arc::new(states)], count, |piece, rows| {
            let states = encode(&column(Arc::clone(&piece[0]))?)?;
            let returned = functions::evaluate(&self.plugin, &self.name, &states);
            self.column(returned, &self.returns, rows)
        })
    }

    /// What the plugin returned, if it is a column of that type with as many rows.
    fn column(
        &self,
        returned: Result<Vec<u8>, types::Error>,
        ty: &DataType,
        rows: usize,
    ) -> Result<ArrayRef> {
        let bytes = returned.map_err(HostError)?;
        let mut reader =
            ipc::Reader::open(&*bytes).map_err(|fault| self.broken(&fault.to_string()))?;
        let batch = reader.next_batch();
        let batch = batch.map_err(|fault| self.broken(&fault.to_string()))?;
        let batch = batch.ok_or_else(|| self.broken("a stream without a batch"))?;
        let [column] = batch.columns() else {
            let text = format!("{} columns instead of one", batch.num_columns());
            return Err(self.broken(&text));
        };
        if column.data_type() != ty {
            let text = format!("a column of {} instead of {ty}", column.data_type());
            return Err(self.broken(&text));
        }
        if column.len() != rows {
            let text = format!("{} rows instead of {rows}", column.len());
            return Err(self.broken(&text));
        }
        Ok(Arc::clone(column))
    }

    fn broken(&self, what: &str) -> datafusion::error::DataFusionError {
        HostError(types::Error::Internal(format!(
            "SQL function `{}` of plugin `{}` returned what it must not: {what}",
            self.name, self.plugin
        )))
        .into()
    }
}

/// Bytes of these columns, as they would be in a call.
///
/// # Errors
/// A type that Arrow cannot measure.
pub fn size(columns: &[ArrayRef]) -> Result<usize> {
    // What is small with all its buffers needs no closer look.
    let whole = columns.iter().map(|column| column.get_array_memory_size());
    let whole: usize = whole.sum();
    if whole <= PIECE {
        return Ok(whole);
    }
    columns.iter().try_fold(0, |size, column| {
        Ok(size + column.to_data().get_slice_memory_size()?)
    })
}

/// Makes a column of rows with a call for each piece of them that is small enough.
fn in_pieces(
    columns: &[ArrayRef],
    rows: usize,
    mut call: impl FnMut(&[ArrayRef], usize) -> Result<ArrayRef>,
) -> Result<ArrayRef> {
    let mut made = Vec::new();
    let mut left = vec![(columns.to_vec(), rows)];
    while let Some((columns, rows)) = left.pop() {
        if rows > 1 && size(&columns)? > PIECE {
            let slice = |from: usize, rows: usize| {
                let columns = columns.iter().map(|column| column.slice(from, rows));
                (columns.collect::<Vec<_>>(), rows)
            };
            let half = rows / 2;
            left.extend([slice(half, rows - half), slice(0, half)]);
        } else {
            made.push(call(&columns, rows)?);
        }
    }
    match &*made {
        [one] => Ok(Arc::clone(one)),
        many => Ok(concat(&many.iter().map(AsRef::as_ref).collect::<Vec<_>>())?),
    }
}

fn schema(types: impl IntoIterator<Item = DataType>) -> SchemaRef {
    let fields = types.into_iter().enumerate();
    let fields = fields.map(|(at, ty)| Field::new(at.to_string(), ty, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn batch(schema: SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}

fn column(values: ArrayRef) -> Result<RecordBatch> {
    let rows = values.len();
    batch(schema([values.data_type().clone()]), vec![values], rows)
}

fn encode(batch: &RecordBatch) -> Result<Vec<u8>> {
    Ok(ipc::encode(batch)?)
}
