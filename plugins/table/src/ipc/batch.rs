//! Whether the buffers of an Arrow IPC batch are what its header says.
//!
//! Arrow checks most of what a batch claims, but cuts buffers out of the body,
//! makes room for decompressed ones and lays validity bitmaps over them before
//! it does, and panics where they are too short.

use std::collections::VecDeque;

use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field};
use arrow::ipc::{FieldNode, RecordBatch};

use super::fault::{IpcFault, broken};

/// Bytes of the largest batch, decompressed.
pub(super) const MAX_BYTES: u64 = 512 << 20;

/// The prefix of a buffer that is not compressed in a batch that is.
const NOT_COMPRESSED: i64 = -1;

/// Checks a batch against its body and the columns it is to fill.
pub(super) fn check<'a>(
    batch: RecordBatch<'_>,
    body: &Buffer,
    columns: impl IntoIterator<Item = &'a Field>,
) -> Result<(), IpcFault> {
    if batch.length() < 0 {
        return Err(broken("a batch of negative length"));
    }
    let mut shape = Shape {
        nodes: batch.nodes().into_iter().flatten().copied().collect(),
        lengths: lengths(&batch, body)?,
        variadic: batch.variadicBufferCounts().into_iter().flatten().collect(),
    };
    for column in columns {
        if shape.array(column.data_type()).is_none() {
            return Err(broken(&format!(
                "the buffers of column '{}' are not those of {}",
                column.name(),
                column.data_type()
            )));
        }
    }
    if !shape.variadic.is_empty() {
        return Err(broken("buffer counts that belong to no column"));
    }
    Ok(())
}

/// The length of every buffer, decompressed.
fn lengths(batch: &RecordBatch<'_>, body: &Buffer) -> Result<VecDeque<u64>, IpcFault> {
    let compressed = batch.compression().is_some();
    let mut lengths = VecDeque::new();
    let mut total = 0;
    for buffer in batch.buffers().into_iter().flatten() {
        let part = usize::try_from(buffer.offset())
            .ok()
            .zip(usize::try_from(buffer.length()).ok())
            .and_then(|(start, length)| body.get(start..start.checked_add(length)?))
            .ok_or_else(|| broken("a buffer that lies outside of its message"))?;
        let length = match part.first_chunk::<8>().filter(|_| compressed) {
            None => part.len() as u64,
            Some(prefix) => match i64::from_le_bytes(*prefix) {
                NOT_COMPRESSED => part.len() as u64 - 8,
                length => {
                    u64::try_from(length).map_err(|_| broken("a buffer of negative length"))?
                }
            },
        };
        total += length;
        if length > MAX_BYTES || total > MAX_BYTES {
            return Err(broken(&format!(
                "a batch of more than {} MiB decompressed; send smaller ones",
                MAX_BYTES >> 20
            )));
        }
        lengths.push_back(length);
    }
    Ok(lengths)
}

/// Bytes of an entry in the buffer that says where an array's values are.
fn entry(data_type: &DataType) -> u64 {
    use DataType as T;
    match data_type {
        T::Utf8 | T::Binary | T::List(_) | T::ListView(_) | T::Map(_, _) => 4,
        T::LargeUtf8 | T::LargeBinary | T::LargeList(_) | T::LargeListView(_) => 8,
        T::Utf8View | T::BinaryView => 16,
        T::Dictionary(key, _) => key.primitive_width().unwrap_or(1) as u64,
        _ => 1,
    }
}

/// What is left of a batch's header, in the order of its arrays.
struct Shape {
    nodes: VecDeque<FieldNode>,
    lengths: VecDeque<u64>,
    variadic: VecDeque<i64>,
}

impl Shape {
    /// Goes past an array and those inside of it; none if it cannot be one.
    fn array(&mut self, data_type: &DataType) -> Option<()> {
        use DataType as T;
        let node = self.nodes.pop_front()?;
        let rows = u64::try_from(node.length()).ok()?;
        let nulls = u64::try_from(node.null_count())
            .ok()
            .filter(|nulls| *nulls <= rows)?;
        if matches!(data_type, T::Null) {
            return Some(());
        }
        let validity = self.lengths.pop_front()?;
        if nulls > 0 && validity < rows.div_ceil(8) {
            return None;
        }
        let buffers = match data_type {
            T::Struct(_) | T::FixedSizeList(_, _) => 0,
            T::Utf8 | T::LargeUtf8 | T::Binary | T::LargeBinary => 2,
            T::ListView(_) | T::LargeListView(_) => 2,
            T::Utf8View | T::BinaryView => 1 + usize::try_from(self.variadic.pop_front()?).ok()?,
            _ => 1,
        };
        if buffers > self.lengths.len() {
            return None;
        }
        let whole = |length: u64| length.is_multiple_of(entry(data_type));
        if buffers > 0 && !self.lengths.front().copied().is_some_and(whole) {
            return None;
        }
        self.lengths.drain(..buffers);
        match data_type {
            T::Struct(fields) => fields
                .iter()
                .try_for_each(|field| self.array(field.data_type())),
            T::List(item)
            | T::LargeList(item)
            | T::ListView(item)
            | T::LargeListView(item)
            | T::FixedSizeList(item, _)
            | T::Map(item, _) => self.array(item.data_type()),
            _ => Some(()),
        }
    }
}
