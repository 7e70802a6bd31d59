//! The format logfmt: lines of `key=value`, as many programs log.
//!
//! `POST /v1/ingest?table=logs&format=logfmt` makes a column of each key. The keys and
//! types of a new table are those of the first rows, at most 8192 of them.

mod batch;
mod line;

use lakehouse_sdk::arrow::array::RecordBatch;
use lakehouse_sdk::arrow::datatypes::SchemaRef;
use lakehouse_sdk::format::{Fault, Format, Lines, Options};

use batch::Columns;
use line::Row;

/// Rows of one batch.
const ROWS: usize = 8192;
/// Bytes of lines in one batch, after which it is closed early.
const BYTES: usize = 4 << 20;

struct Logfmt {
    table: Option<SchemaRef>,
    lines: Lines,
    rows: Vec<Row>,
    bytes: usize,
    /// Decided by the first batch.
    columns: Option<Columns>,
}

impl Format for Logfmt {
    fn open(options: Options, table: Option<SchemaRef>) -> Result<Self, Fault> {
        options.finish()?;
        Ok(Self {
            table,
            lines: Lines::default(),
            rows: Vec::new(),
            bytes: 0,
            columns: None,
        })
    }

    fn push(&mut self, bytes: &[u8]) -> Result<Vec<RecordBatch>, Fault> {
        let mut lines = std::mem::take(&mut self.lines);
        let mut batches = Vec::new();
        lines.push(bytes, |number, line| {
            self.take(number, line)?;
            if self.rows.len() == ROWS || self.bytes > BYTES {
                batches.extend(self.batch()?);
            }
            Ok(())
        })?;
        self.lines = lines;
        Ok(batches)
    }

    fn finish(&mut self) -> Result<Vec<RecordBatch>, Fault> {
        let mut lines = std::mem::take(&mut self.lines);
        lines.finish(|number, line| self.take(number, line))?;
        Ok(self.batch()?.into_iter().collect())
    }
}

impl Logfmt {
    fn take(&mut self, number: u64, line: &[u8]) -> Result<(), Fault> {
        let row = Row::read(number, line)?;
        if !row.pairs.is_empty() {
            self.bytes += line.len();
            self.rows.push(row);
        }
        Ok(())
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>, Fault> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let columns = match self.columns.take() {
            Some(columns) => columns,
            None => Columns::of(&self.rows, self.table.as_deref()),
        };
        let batch = columns.batch(&self.rows)?;
        self.columns = Some(columns);
        self.rows.clear();
        self.bytes = 0;
        Ok(Some(batch))
    }
}

lakehouse_sdk::export_format!(Logfmt);
