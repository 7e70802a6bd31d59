//! From bytes to records, with the line that each begins at.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use crate::fault::{Fault, Place};
use crate::lines::LineCounter;

/// Bytes of the largest record: far more is a quote that nothing closes.
const MAX_RECORD: usize = 16 << 20;

/// Ends of fields beyond the expected ones that are still counted.
const SPARE_ENDS: usize = 64;

/// Most columns of a header.
const MAX_COLUMNS: usize = 100_000;

/// When enough records are gathered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub rows: usize,
    pub bytes: usize,
}

impl Limit {
    pub(crate) fn reached(self, records: &Records) -> bool {
        records.lines.len() >= self.rows || records.data_len >= self.bytes
    }
}

/// Whole records: unquoted fields one after the other, and where they end.
#[derive(Debug, Default)]
pub(crate) struct Records {
    data: Vec<u8>,
    /// Used bytes of `data`; the rest is room that was cleared once.
    data_len: usize,
    /// End of every field in `data`, `columns` a record.
    ends: Vec<usize>,
    ends_len: usize,
    lines: Vec<u64>,
    /// 0 before the first record.
    columns: usize,
}

impl Records {
    /// Empty, for records of as many columns as `other` has.
    pub(crate) fn like(other: &Self) -> Self {
        Self {
            columns: other.columns,
            ..Self::default()
        }
    }

    /// Forgets the records, not the number of columns.
    pub(crate) fn clear(&mut self) {
        self.data_len = 0;
        self.ends_len = 0;
        self.lines.clear();
    }

    pub(crate) fn rows(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// The line at which a record begins.
    pub(crate) fn line(&self, row: usize) -> u64 {
        self.lines.get(row).copied().unwrap_or(1)
    }

    /// The fields as text.
    pub(crate) fn text(&self) -> Result<Text<'_>, Fault> {
        let data = &self.data[..self.data_len];
        let ends = &self.ends[..self.ends_len];
        let invalid = |field: usize| {
            let (row, column) = (field / self.columns.max(1), field % self.columns.max(1));
            let line = self.line(row);
            Fault::at(
                Place::line(line).column(column as u64 + 1),
                format!(
                    "line {line}, column {}: the text is not valid UTF-8",
                    column + 1
                ),
            )
        };
        let text = std::str::from_utf8(data)
            .map_err(|error| invalid(ends.partition_point(|end| *end <= error.valid_up_to())))?;
        if !text.is_ascii()
            && let Some(field) = ends.iter().position(|end| !text.is_char_boundary(*end))
        {
            return Err(invalid(field));
        }
        Ok(Text {
            text,
            ends,
            columns: self.columns,
        })
    }
}

/// Records as text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a> {
    text: &'a str,
    ends: &'a [usize],
    columns: usize,
}

impl<'a> Text<'a> {
    /// One field; an empty one beyond the end.
    #[inline]
    pub(crate) fn field(&self, row: usize, column: usize) -> &'a str {
        let at = row * self.columns + column;
        let start = if at == 0 {
            0
        } else {
            self.ends.get(at - 1).copied().unwrap_or(0)
        };
        let end = self.ends.get(at).copied().unwrap_or(0);
        self.text.get(start..end).unwrap_or_default()
    }

    /// The fields of a record.
    pub(crate) fn row(&self, row: usize) -> impl Iterator<Item = &'a str> {
        let this = *self;
        (0..this.columns).map(move |column| this.field(row, column))
    }

    /// Fields of a record.
    pub(crate) fn width(&self) -> usize {
        self.columns
    }

    /// Bytes of all fields together.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }
}

/// Cuts bytes that come in pieces into records.
pub(crate) struct Tokenizer {
    parser: Reader,
    lines: LineCounter,
    /// The record under way, if one is.
    open: Option<Open>,
}

/// A record whose end has not come yet.
struct Open {
    line: u64,
    fields: usize,
    bytes: usize,
    /// Where its first field starts in the records' data.
    start: usize,
}

impl Tokenizer {
    pub(crate) fn new(delimiter: u8, quote: Option<u8>) -> Self {
        let mut builder = ReaderBuilder::new();
        builder.delimiter(delimiter).quoting(quote.is_some());
        if let Some(quote) = quote {
            builder.quote(quote);
        }
        Self {
            parser: builder.build(),
            lines: LineCounter::default(),
            open: None,
        }
    }

    /// Whether a record was begun and not ended.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Adds the records in `input` until the limit; returns how far it came. A
    /// record cut by the end of `input` goes on with the next call, which must
    /// be given the same `records`.
    pub(crate) fn feed(
        &mut self,
        input: &[u8],
        records: &mut Records,
        limit: Limit,
    ) -> Result<usize, Fault> {
        if let Some(at) = memchr::memchr(0, input) {
            self.lines.advance(&input[..at]);
            let line = self.lines.line();
            return Err(Fault::at(
                Place::line(line),
                format!("line {line} holds a NUL byte"),
            ));
        }
        records
            .data
            .resize(records.data.len().max(records.data_len + input.len()), 0);
        let mut at = 0;
        while at < input.len() && !(self.open.is_none() && limit.reached(records)) {
            if self.open.is_none() {
                // Empty lines and the second half of a line end belong to no record.
                let skip = input[at..]
                    .iter()
                    .take_while(|byte| matches!(byte, b'\r' | b'\n'))
                    .count();
                self.lines.advance(&input[at..at + skip]);
                at += skip;
                if at == input.len() {
                    break;
                }
            }
            at += self.step(&input[at..], records)?;
        }
        Ok(at)
    }

    /// Ends the last record.
    pub(crate) fn finish(&mut self, records: &mut Records) -> Result<(), Fault> {
        let Some(open) = &self.open else {
            return Ok(());
        };
        // Outside of quotes a line end finishes the record; inside it is data.
        let mut probe = self.parser.clone();
        let (result, ..) = probe.read_record(b"\n", &mut [0; 8], &mut [0; 8]);
        if matches!(result, ReadRecordResult::InputEmpty) {
            return Err(Fault::at(
                Place::line(open.line),
                format!(
                    "the row that begins in line {} has a quote that is never closed",
                    open.line
                ),
            ));
        }
        self.step(&[], records)?;
        Ok(())
    }

    /// Reads up to the end of one record.
    fn step(&mut self, input: &[u8], records: &mut Records) -> Result<usize, Fault> {
        let mut open = self.open.take().unwrap_or(Open {
            line: self.lines.line(),
            fields: 0,
            bytes: 0,
            start: records.data_len,
        });
        let mut at = 0;
        loop {
            let room = records.ends_len + records.columns.saturating_sub(open.fields) + SPARE_ENDS;
            if records.ends.len() < room {
                records.ends.resize(room.max(records.ends.len() * 2), 0);
            }
            let (result, read, written, ended) = self.parser.read_record(
                &input[at..],
                &mut records.data[records.data_len..],
                &mut records.ends[records.ends_len..],
            );
            for end in &mut records.ends[records.ends_len..records.ends_len + ended] {
                *end += open.start;
            }
            self.lines.advance(&input[at..at + read]);
            at += read;
            records.data_len += written;
            records.ends_len += ended;
            open.fields += ended;
            open.bytes += read;
            if open.bytes > MAX_RECORD {
                return Err(Fault::at(
                    Place::line(open.line),
                    format!(
                        "the row that begins in line {} has more than {} MiB; is a quote not closed?",
                        open.line,
                        MAX_RECORD >> 20
                    ),
                ));
            }
            match result {
                ReadRecordResult::InputEmpty => {
                    self.open = Some(open);
                    return Ok(at);
                }
                ReadRecordResult::OutputFull => {
                    records.data.resize(records.data.len() * 2 + 64, 0);
                }
                ReadRecordResult::OutputEndsFull => {
                    if open.fields > MAX_COLUMNS {
                        return Err(ragged(&open, records.columns));
                    }
                }
                ReadRecordResult::Record => {
                    if records.columns == 0 {
                        records.columns = open.fields;
                    }
                    if open.fields != records.columns {
                        return Err(ragged(&open, records.columns));
                    }
                    records.lines.push(open.line);
                    return Ok(at);
                }
                ReadRecordResult::End => return Ok(at),
            }
        }
    }
}

fn ragged(open: &Open, columns: usize) -> Fault {
    let (line, fields) = (open.line, open.fields);
    let detail = if columns == 0 {
        format!("line {line} has more than {MAX_COLUMNS} fields")
    } else {
        format!("line {line} has {fields} fields where {columns} are expected")
    };
    Fault::at(
        Place::line(line).column(fields.min(columns) as u64 + 1),
        detail,
    )
}
