//! CSV: records by `csv-core`, values by Arrow's parsers.
//!
//! Arrow's own CSV reader counts records where a person counts lines, and holds
//! a fixed number of rows however large they are; so the two halves are put
//! together here, with line numbers and a bound on bytes.

mod columns;
mod infer;
mod records;
mod tokenizer;

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::fault::{Fault, Place};
use crate::source::{Reader, Source};
use records::{Limit, Records};
use tokenizer::Tokenizer;

/// Bytes read from the body at a time.
const CHUNK: usize = 256 * 1024;

/// What types are inferred from.
const SAMPLE: Limit = Limit {
    rows: 100_000,
    bytes: 4 << 20,
};

/// What is parsed at once.
const BATCH: Limit = Limit {
    rows: 16 * 1024,
    bytes: 8 << 20,
};

/// How the CSV is written.
#[derive(Debug, Clone)]
pub(crate) struct CsvOptions {
    /// Whether the first row holds names.
    pub header: bool,
    /// Between fields; a comma if not given.
    pub delimiter: Option<u8>,
    /// Around fields; none for no quoting.
    pub quote: Option<u8>,
    /// Texts that stand for null.
    pub nulls: Vec<String>,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            header: true,
            delimiter: None,
            quote: Some(b'"'),
            nulls: vec![String::new()],
        }
    }
}

/// A CSV body as batches.
pub(crate) struct CsvSource {
    input: Input,
    tokenizer: Tokenizer,
    schema: SchemaRef,
    nulls: Vec<String>,
    /// The rows that types were inferred from.
    sample: Option<Records>,
    records: Records,
    typed: bool,
}

impl CsvSource {
    pub(crate) fn open(
        reader: Reader,
        options: CsvOptions,
        table: Option<&Schema>,
    ) -> Result<Self, Fault> {
        let mut input = Input::open(reader)?;
        let mut tokenizer = Tokenizer::new(options.delimiter.unwrap_or(b','), options.quote);
        let mut sample = Records::default();
        let mut header = None;
        if options.header {
            input.fill(&mut tokenizer, &mut sample, Limit { rows: 1, ..SAMPLE })?;
            if sample.rows() == 0 {
                return Err(Fault::data("the body holds nothing but empty lines"));
            }
            let line = sample.line(0);
            let names = sample.text()?.row(0).map(str::to_owned).collect();
            header = Some((names, line));
            sample.clear();
        }
        input.fill(&mut tokenizer, &mut sample, SAMPLE)?;
        let (names, line) = match header {
            Some(header) => header,
            None => (unnamed(sample.columns(), table)?, 1),
        };
        let names = checked(names, line)?;
        let typed = sample.rows() > 0;
        let schema = schema(&names, &sample, &options.nulls, table)?;
        let records = Records::like(&sample);
        let nulls = options.nulls;
        Ok(Self {
            input,
            tokenizer,
            schema,
            nulls,
            sample: Some(sample),
            records,
            typed,
        })
    }
}

impl Source for CsvSource {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn typed(&self) -> bool {
        self.typed
    }

    fn next(&mut self) -> Result<Option<RecordBatch>, Fault> {
        if let Some(sample) = self.sample.take()
            && sample.rows() > 0
        {
            return columns::parse(&sample, &self.schema, &self.nulls).map(Some);
        }
        self.records.clear();
        self.input
            .fill(&mut self.tokenizer, &mut self.records, BATCH)?;
        if self.records.rows() == 0 {
            return Ok(None);
        }
        columns::parse(&self.records, &self.schema, &self.nulls).map(Some)
    }
}

/// The body, read ahead by a chunk.
struct Input {
    reader: Reader,
    chunk: Vec<u8>,
    start: usize,
    end: usize,
    done: bool,
}

impl Input {
    /// Reads the first chunk; strips a byte order mark.
    fn open(reader: Reader) -> Result<Self, Fault> {
        let mut input = Self {
            reader,
            chunk: vec![0; CHUNK],
            start: 0,
            end: 0,
            done: false,
        };
        while input.end < 3 && !input.done {
            input.read()?;
        }
        match &input.chunk[..input.end] {
            [] => return Err(Fault::data("the body is empty")),
            [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => {
                return Err(Fault::at(
                    Place::line(1),
                    "the body is UTF-16; send it as UTF-8",
                ));
            }
            [0xEF, 0xBB, 0xBF, ..] => input.start = 3,
            _ => {}
        }
        Ok(input)
    }

    fn read(&mut self) -> Result<(), Fault> {
        let length = self.reader.read(&mut self.chunk[self.end..])?;
        self.end += length;
        self.done = length == 0;
        Ok(())
    }

    /// Adds records until `limit` is reached or the body ends.
    fn fill(
        &mut self,
        tokenizer: &mut Tokenizer,
        records: &mut Records,
        limit: Limit,
    ) -> Result<(), Fault> {
        while tokenizer.is_open() || !limit.reached(records) {
            if self.start == self.end {
                if self.done {
                    return tokenizer.finish(records);
                }
                (self.start, self.end) = (0, 0);
                self.read()?;
                continue;
            }
            self.start += tokenizer.feed(&self.chunk[self.start..self.end], records, limit)?;
        }
        Ok(())
    }
}

/// Names of the columns of a body without a header: those of the table, in
/// order, else numbers.
fn unnamed(columns: usize, table: Option<&Schema>) -> Result<Vec<String>, Fault> {
    let Some(table) = table else {
        return Ok((1..=columns)
            .map(|number| format!("column_{number}"))
            .collect());
    };
    let names: Vec<_> = table
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    if columns != 0 && columns != names.len() {
        return Err(Fault::Misfit(
            format!(
                "without a header every row must have the table's {} columns; the first has {columns}",
                names.len()
            ),
            names,
        ));
    }
    Ok(names)
}

/// Names columns that have none and refuses names that occur twice.
fn checked(mut names: Vec<String>, line: u64) -> Result<Vec<String>, Fault> {
    for (at, name) in names.iter_mut().enumerate() {
        if name.is_empty() {
            *name = format!("column_{}", at + 1);
        }
    }
    let mut seen = HashSet::new();
    let twice: Vec<_> = names
        .iter()
        .filter(|name| !seen.insert(name.as_str()))
        .map(|name| format!("'{name}'"))
        .collect();
    if twice.is_empty() {
        return Ok(names);
    }
    Err(Fault::at(
        Place::line(line),
        format!(
            "line {line}: these column names occur more than once: {}",
            twice.join(", ")
        ),
    ))
}

/// Types: the table's where it knows the column, else what the sample looks like.
fn schema(
    names: &[String],
    sample: &Records,
    nulls: &[String],
    table: Option<&Schema>,
) -> Result<SchemaRef, Fault> {
    let known = |name: &str| -> Option<DataType> {
        Some(table?.field_with_name(name).ok()?.data_type().clone())
    };
    let unknown: Vec<usize> = (0..names.len())
        .filter(|column| known(&names[*column]).is_none())
        .collect();
    let mut inferred = infer::types(sample, &unknown, nulls)?.into_iter();
    let fields: Vec<Field> = names
        .iter()
        .map(|name| {
            let data_type = known(name)
                .or_else(|| inferred.next())
                .unwrap_or(DataType::Utf8);
            Field::new(name, data_type, true)
        })
        .collect();
    let nested: Vec<_> = fields
        .iter()
        .filter(|field| !columns::parses(field.data_type()))
        .collect();
    if nested.is_empty() {
        return Ok(Arc::new(Schema::new(fields)));
    }
    let list: Vec<_> = nested
        .iter()
        .map(|field| format!("'{}' ({})", field.name(), field.data_type()))
        .collect();
    Err(Fault::Misfit(
        format!("CSV cannot hold the values of {}", list.join(", ")),
        nested.iter().map(|field| field.name().clone()).collect(),
    ))
}

#[cfg(test)]
mod tests;
