//! A body that another plugin knows how to read.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use lakehouse_sdk::format_types::{FormatError, Malformation};
use lakehouse_sdk::formats::{self, Decoder};
use lakehouse_sdk::types;
use lakehouse_table::{ipc, schema_to_ipc};

use crate::fault::{Fault, Place};
use crate::source::{Reader, Source};

/// Bytes of a body that the plugin is given at a time.
const CHUNK: usize = 256 * 1024;

/// A body as the batches that a plugin makes of it.
pub(crate) struct FormatSource {
    reader: Reader,
    /// The plugin's name.
    name: String,
    decoder: Decoder,
    chunk: Vec<u8>,
    schema: SchemaRef,
    ready: VecDeque<RecordBatch>,
    typed: bool,
    ended: bool,
}

impl FormatSource {
    /// Starts on a body and reads up to its first rows, which say what its columns are.
    pub(crate) fn open(
        reader: Reader,
        name: String,
        options: &[(String, String)],
        table: Option<&Schema>,
    ) -> Result<Self, Fault> {
        let known = table.map(schema_to_ipc).transpose()?;
        let decoder = formats::open(&name, options, known.as_deref())?;
        let mut source = Self {
            reader,
            name,
            decoder,
            chunk: vec![0; CHUNK],
            schema: Arc::new(Schema::empty()),
            ready: VecDeque::new(),
            typed: false,
            ended: false,
        };
        source.fill()?;
        source.typed = !source.ready.is_empty();
        source.schema = match (source.ready.front(), table) {
            (Some(batch), _) => batch.schema(),
            // No row says nothing of columns: the table's own fit.
            (None, Some(table)) => Arc::new(table.clone()),
            (None, None) => Arc::new(Schema::empty()),
        };
        Ok(source)
    }

    /// Gives the plugin more of the body until there are rows, or the body ends.
    fn fill(&mut self) -> Result<(), Fault> {
        while self.ready.is_empty() && !self.ended {
            let length = self.reader.read(&mut self.chunk)?;
            let streams = if length == 0 {
                self.ended = true;
                self.decoder.finish()?
            } else {
                self.decoder.push(&self.chunk[..length])?
            };
            for stream in streams {
                let batch = self.decode(&stream)?;
                self.ready.extend((batch.num_rows() > 0).then_some(batch));
            }
        }
        Ok(())
    }

    /// A stream of the plugin's as a batch. What is wrong with it is the plugin's fault
    /// and not the body's.
    fn decode(&self, stream: &[u8]) -> Result<RecordBatch, Fault> {
        let broken = |what: String| {
            types::Error::Internal(format!(
                "format `{}` made rows that are none: {what}",
                self.name
            ))
        };
        let mut reader = ipc::Reader::open(stream).map_err(|fault| broken(fault.to_string()))?;
        let batch = reader.next_batch();
        let batch = batch.map_err(|fault| broken(fault.to_string()))?;
        Ok(batch.ok_or_else(|| broken("a stream without a batch".to_owned()))?)
    }
}

impl Source for FormatSource {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn typed(&self) -> bool {
        self.typed
    }

    fn next(&mut self) -> Result<Option<RecordBatch>, Fault> {
        self.fill()?;
        Ok(self.ready.pop_front())
    }
}

impl From<FormatError> for Fault {
    fn from(error: FormatError) -> Self {
        match error {
            FormatError::Malformed(Malformation {
                detail,
                line,
                column,
                column_name: name,
            }) => Self::at(Place { line, column, name }, detail),
            FormatError::Failed(error) => Self::Host(error),
        }
    }
}
