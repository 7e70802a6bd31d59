//! Arrow IPC, stream or file. A file is a stream between two magic words and a
//! footer, so both are read front to back.

use std::io::Read;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use lakehouse_table::ipc;

use crate::body::tail;
use crate::fault::Fault;
use crate::source::{Reader, Source};

/// First bytes of the file format, padded to eight.
const MAGIC: &[u8; 8] = b"ARROW1\0\0";
/// Last bytes of the file format.
const END_MAGIC: &[u8] = b"ARROW1";

/// An Arrow body as batches.
pub(crate) struct ArrowSource {
    stream: ipc::Reader<Reader>,
    /// Whether it is a file, and so has an end that must be there.
    file: bool,
    ended: bool,
}

impl ArrowSource {
    pub(crate) fn open(mut reader: Reader) -> Result<Self, Fault> {
        let mut start = Vec::with_capacity(MAGIC.len());
        reader
            .by_ref()
            .take(MAGIC.len() as u64)
            .read_to_end(&mut start)?;
        if start.is_empty() {
            return Err(Fault::data("the body is empty"));
        }
        let file = start == MAGIC;
        if !file {
            reader = Box::new(std::io::Cursor::new(start).chain(reader));
        }
        Ok(Self {
            stream: ipc::Reader::open(reader)?,
            file,
            ended: false,
        })
    }
}

impl Source for ArrowSource {
    fn schema(&self) -> &SchemaRef {
        self.stream.schema()
    }

    fn typed(&self) -> bool {
        true
    }

    fn next(&mut self) -> Result<Option<RecordBatch>, Fault> {
        if self.ended {
            return Ok(None);
        }
        let batch = self.stream.next_batch()?;
        if batch.is_none() {
            self.ended = true;
            if tail(self.stream.rest())? != END_MAGIC && self.file {
                return Err(Fault::data(
                    "the Arrow file is cut: its footer is not whole",
                ));
            }
        }
        Ok(batch)
    }
}
