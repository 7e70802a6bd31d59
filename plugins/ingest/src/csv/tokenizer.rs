//! From bytes to records.
//!
//! `csv-core` knows every corner of the format but takes it byte by byte. Most
//! records have no corner: they are whole in the chunk and no quoted field holds
//! a quote. Those are cut out here, in place; every other one goes to `csv-core`.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::records::{Limit, Records};
use crate::fault::{Fault, Place};
use crate::lines::LineCounter;

/// Bytes of the largest record: far more is a quote that nothing closes.
const MAX_RECORD: usize = 16 << 20;

/// Most columns of a record.
const MAX_COLUMNS: usize = 100_000;

/// Field ends that `csv-core` reports at a time.
const ENDS: usize = 256;

/// Room for a record's text when `csv-core` begins it.
const ROOM: usize = 1024;

/// Cuts bytes that come in pieces into records.
pub(crate) struct Tokenizer {
    delimiter: u8,
    quote: Option<u8>,
    /// Bytes that end a field without quotes: the delimiter and line ends.
    ends_field: [bool; 256],
    parser: Reader,
    lines: LineCounter,
    /// The record that `csv-core` is in the middle of, if it is.
    open: Option<Open>,
}

/// A record whose end has not come yet.
struct Open {
    line: u64,
    fields: usize,
    bytes: usize,
    /// Where its text starts in the records' data.
    start: usize,
    /// End of its last field there.
    end: usize,
}

/// What a record that was tried in place turned out to be.
enum InPlace {
    /// Whole; it ended before this byte.
    Whole(usize),
    /// Cut by the end of the chunk, or not simple.
    Other,
}

impl Tokenizer {
    pub(crate) fn new(delimiter: u8, quote: Option<u8>) -> Self {
        let mut builder = ReaderBuilder::new();
        builder.delimiter(delimiter).quoting(quote.is_some());
        if let Some(quote) = quote {
            builder.quote(quote);
        }
        let mut ends_field = [false; 256];
        for byte in [delimiter, b'\r', b'\n'] {
            ends_field[usize::from(byte)] = true;
        }
        Self {
            delimiter,
            quote,
            ends_field,
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
        let mut at = 0;
        while at < input.len() {
            if self.open.is_none() {
                if limit.reached(records) {
                    break;
                }
                at += self.in_place(&input[at..], records, limit)?;
                if at == input.len() || limit.reached(records) {
                    break;
                }
            }
            at += self.step(&input[at..], records)?;
        }
        Ok(at)
    }

    /// Takes simple records as long as they come; returns how far it came.
    fn in_place(
        &mut self,
        input: &[u8],
        records: &mut Records,
        limit: Limit,
    ) -> Result<usize, Fault> {
        let base = records.data.len();
        let rows = limit.rows.saturating_sub(records.rows());
        let bytes = limit.bytes.saturating_sub(base);
        let mut at = 0;
        for _ in 0..rows {
            // Empty lines and the second half of a line end belong to no record.
            while let Some(byte @ (b'\r' | b'\n')) = input.get(at) {
                self.lines.line_end(*byte);
                at += 1;
            }
            if at >= bytes.min(input.len()) {
                break;
            }
            let (fields, lines) = (records.spans.len(), self.lines);
            self.lines.text();
            let InPlace::Whole(end) = self.record(input, at, base, records) else {
                records.spans.truncate(fields);
                self.lines = lines;
                break;
            };
            let fields = records.spans.len() - fields;
            records.columns = if records.columns == 0 {
                fields
            } else {
                records.columns
            };
            if fields != records.columns || fields > MAX_COLUMNS {
                return Err(ragged(lines.line(), fields, records.columns));
            }
            records.lines.push(lines.line());
            at = end;
        }
        records.data.extend_from_slice(&input[..at]);
        Ok(at)
    }

    /// Tries to read the record at `at` where it stands.
    #[inline]
    fn record(
        &mut self,
        input: &[u8],
        mut at: usize,
        base: usize,
        records: &mut Records,
    ) -> InPlace {
        loop {
            let (start, end);
            if self.quote.is_some() && input.get(at).copied() == self.quote {
                start = at + 1;
                let Some(length) = memchr::memchr(input[at], &input[start..]) else {
                    return InPlace::Other;
                };
                end = start + length;
                self.lines.advance(&input[start..end]);
                at = end + 1;
            } else {
                start = at;
                while at < input.len() && !self.ends_field[usize::from(input[at])] {
                    at += 1;
                }
                end = at;
            }
            match input.get(at) {
                Some(byte) if *byte == self.delimiter => {
                    records.spans.push((base + start, base + end));
                    at += 1;
                }
                Some(byte @ (b'\r' | b'\n')) => {
                    records.spans.push((base + start, base + end));
                    self.lines.line_end(*byte);
                    return InPlace::Whole(at + 1);
                }
                _ => return InPlace::Other,
            }
        }
    }

    /// Ends the last record.
    pub(crate) fn finish(&mut self, records: &mut Records) -> Result<(), Fault> {
        if self.open.is_none() {
            return Ok(());
        }
        // Outside of quotes a line end finishes the record; inside it is data.
        self.step(b"\n", records)?;
        let Some(Open { line, .. }) = self.open.take() else {
            return Ok(());
        };
        Err(Fault::at(
            Place::line(line),
            format!("the row that begins in line {line} has a quote that is never closed"),
        ))
    }

    /// Reads up to the end of one record with `csv-core`.
    fn step(&mut self, input: &[u8], records: &mut Records) -> Result<usize, Fault> {
        let start = records.data.len();
        let mut open = self.open.take().unwrap_or(Open {
            line: self.lines.line(),
            fields: 0,
            bytes: 0,
            start,
            end: start,
        });
        let (mut at, mut room) = (0, ROOM);
        let mut ends = [0; ENDS];
        loop {
            let used = records.data.len();
            records.data.resize(used + room, 0);
            let output = &mut records.data[used..];
            let (result, read, written, ended) =
                self.parser.read_record(&input[at..], output, &mut ends);
            records.data.truncate(used + written);
            for end in &ends[..ended] {
                let end = open.start + end;
                records.spans.push((open.end, end));
                open.end = end;
            }
            self.lines.advance(&input[at..at + read]);
            at += read;
            open.fields += ended;
            open.bytes += read;
            if open.bytes > MAX_RECORD {
                return Err(too_long(open.line));
            }
            match result {
                ReadRecordResult::InputEmpty => {
                    self.open = Some(open);
                    return Ok(at);
                }
                ReadRecordResult::OutputFull => room = (room * 2).min(1 << 20),
                ReadRecordResult::OutputEndsFull if open.fields <= MAX_COLUMNS => {}
                ReadRecordResult::OutputEndsFull => {
                    return Err(ragged(open.line, open.fields, records.columns));
                }
                ReadRecordResult::Record => {
                    if records.columns == 0 {
                        records.columns = open.fields;
                    }
                    if open.fields != records.columns {
                        return Err(ragged(open.line, open.fields, records.columns));
                    }
                    records.lines.push(open.line);
                    return Ok(at);
                }
                ReadRecordResult::End => return Ok(at),
            }
        }
    }
}

fn too_long(line: u64) -> Fault {
    Fault::at(
        Place::line(line),
        format!(
            "the row that begins in line {line} has more than {} MiB; is a quote not closed?",
            MAX_RECORD >> 20
        ),
    )
}

fn ragged(line: u64, fields: usize, columns: usize) -> Fault {
    let detail = if fields > MAX_COLUMNS {
        format!("line {line} has more than {MAX_COLUMNS} fields")
    } else {
        format!("line {line} has {fields} fields where {columns} are expected")
    };
    Fault::at(
        Place::line(line).column(fields.min(columns) as u64 + 1),
        detail,
    )
}
