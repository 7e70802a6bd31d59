//! Cutting a body into its objects, with the place where each begins.

use crate::fault::{Fault, Place};
use crate::lines::LineCounter;

/// Bytes of the largest object.
const MAX_OBJECT: usize = 16 << 20;

/// How objects are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One a line.
    Lines,
    /// In an array, or one after the other.
    Document,
}

/// When enough objects are gathered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub rows: usize,
    pub bytes: usize,
}

impl Limit {
    pub(crate) fn reached(self, records: &Records) -> bool {
        records.rows() >= self.rows || records.bytes.len() >= self.bytes
    }
}

/// Whole objects, each followed by a line end.
#[derive(Debug, Default)]
pub(crate) struct Records {
    bytes: Vec<u8>,
    /// End of each object, its line end included.
    ends: Vec<usize>,
    /// Line and column at which each begins.
    places: Vec<(u64, u64)>,
}

impl Records {
    pub(crate) fn rows(&self) -> usize {
        self.ends.len()
    }

    /// All objects.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// One object, without its line end.
    pub(crate) fn row(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.bytes[start..self.ends[row] - 1]
    }

    /// The line at which an object begins.
    pub(crate) fn line(&self, row: usize) -> u64 {
        self.places[row].0
    }

    /// The byte of that line at which it begins, from 1.
    pub(crate) fn column(&self, row: usize) -> u64 {
        self.places[row].1
    }

    fn push(&mut self, place: (u64, u64)) {
        self.bytes.push(b'\n');
        self.ends.push(self.bytes.len());
        self.places.push(place);
    }
}

/// What may come next outside of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// An object or an array: the start of a document.
    Start,
    /// An object: no array was opened, or a comma came.
    Object,
    /// An object or the end of the array.
    ObjectOrEnd,
    /// A comma or the end of the array.
    CommaOrEnd,
    /// Nothing more.
    End,
}

/// Cuts bytes that come in pieces into objects.
pub(crate) struct Splitter {
    layout: Layout,
    expect: Expect,
    lines: LineCounter,
    /// Bytes of the current line so far.
    column: u64,
    /// Place of the object under way, if one is.
    open: Option<(u64, u64)>,
    /// Bytes of it so far.
    length: usize,
    depth: u32,
    in_text: bool,
    escaped: bool,
}

impl Splitter {
    pub(crate) fn new(layout: Layout) -> Self {
        let expect = match layout {
            Layout::Lines => Expect::Object,
            Layout::Document => Expect::Start,
        };
        Self {
            layout,
            expect,
            lines: LineCounter::default(),
            column: 0,
            open: None,
            length: 0,
            depth: 0,
            in_text: false,
            escaped: false,
        }
    }

    /// Whether an object was begun and not ended.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Adds the objects in `input` until the limit; returns how far it came. An
    /// object cut by the end of `input` goes on with the next call, which must
    /// be given the same `records`.
    pub(crate) fn feed(
        &mut self,
        input: &[u8],
        records: &mut Records,
        limit: Limit,
    ) -> Result<usize, Fault> {
        let mut at = 0;
        while at < input.len() {
            if self.open.is_some() {
                at += match self.layout {
                    Layout::Lines => self.line(&input[at..], records)?,
                    Layout::Document => self.object(&input[at..], records)?,
                };
            } else if limit.reached(records) {
                break;
            } else {
                at += self.between(&input[at..])?;
            }
        }
        Ok(at)
    }

    /// Checks that nothing is missing.
    pub(crate) fn finish(&mut self, records: &mut Records) -> Result<(), Fault> {
        match (self.open.take(), self.layout) {
            (Some(place), Layout::Lines) => records.push(place),
            (Some((line, column)), Layout::Document) => {
                return Err(Fault::at(
                    Place::line(line).column(column),
                    format!("the body ends inside the object that begins in line {line}"),
                ));
            }
            (None, _) if matches!(self.expect, Expect::ObjectOrEnd | Expect::CommaOrEnd) => {
                return Err(self.fault("the body ends before the array does"));
            }
            (None, _) => {}
        }
        Ok(())
    }

    /// One byte outside of objects.
    fn between(&mut self, input: &[u8]) -> Result<usize, Fault> {
        let byte = input[0];
        if byte == b'{' && !matches!(self.expect, Expect::CommaOrEnd | Expect::End) {
            self.open = Some((self.lines.line(), self.column + 1));
            (self.length, self.depth) = (0, 0);
            return Ok(0);
        }
        self.expect = match (byte, self.expect) {
            (b' ' | b'\t' | b'\r' | b'\n', same) => same,
            // A byte order mark, which RFC 8259 lets a reader ignore.
            (0xEF | 0xBB | 0xBF, same) if self.lines.line() == 1 && self.column < 3 => same,
            (b'[', Expect::Start) => Expect::ObjectOrEnd,
            (b',', Expect::CommaOrEnd) => Expect::Object,
            (b']', Expect::CommaOrEnd | Expect::ObjectOrEnd) => Expect::End,
            (other, expect) => return Err(self.unexpected(other, expect)),
        };
        self.pass(&input[..1]);
        Ok(1)
    }

    /// The rest of a line.
    fn line(&mut self, input: &[u8], records: &mut Records) -> Result<usize, Fault> {
        let end = memchr::memchr2(b'\n', b'\r', input);
        let part = &input[..end.unwrap_or(input.len())];
        self.take(part, records)?;
        self.pass(part);
        if end.is_some()
            && let Some(place) = self.open.take()
        {
            records.push(place);
        }
        Ok(part.len())
    }

    /// The rest of an object, found by its braces.
    fn object(&mut self, input: &[u8], records: &mut Records) -> Result<usize, Fault> {
        let mut at = 0;
        while at < input.len() {
            if self.in_text {
                if std::mem::take(&mut self.escaped) {
                    at += 1;
                    continue;
                }
                match memchr::memchr2(b'"', b'\\', &input[at..]) {
                    None => at = input.len(),
                    Some(skip) => {
                        at += skip + 1;
                        self.escaped = input[at - 1] == b'\\';
                        self.in_text = self.escaped;
                    }
                }
                continue;
            }
            at += 1;
            match input[at - 1] {
                b'"' => self.in_text = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => continue,
            }
            if self.depth == 0 && !self.in_text {
                break;
            }
        }
        let ended = self.depth == 0 && !self.in_text;
        self.take(&input[..at], records)?;
        self.pass(&input[..at]);
        if ended && let Some(place) = self.open.take() {
            records.push(place);
            self.expect = match self.expect {
                Expect::Start => Expect::Start,
                _ => Expect::CommaOrEnd,
            };
        }
        Ok(at)
    }

    /// Keeps bytes of the object under way.
    fn take(&mut self, part: &[u8], records: &mut Records) -> Result<(), Fault> {
        self.length += part.len();
        if self.length > MAX_OBJECT {
            let line = self.open.map_or(1, |(line, _)| line);
            return Err(Fault::at(
                Place::line(line),
                format!(
                    "the object that begins in line {line} has more than {} MiB",
                    MAX_OBJECT >> 20
                ),
            ));
        }
        records.bytes.extend_from_slice(part);
        Ok(())
    }

    /// Goes past bytes.
    fn pass(&mut self, bytes: &[u8]) {
        self.lines.advance(bytes);
        match memchr::memrchr2(b'\n', b'\r', bytes) {
            None => self.column += bytes.len() as u64,
            Some(at) => self.column = (bytes.len() - at - 1) as u64,
        }
    }

    fn unexpected(&self, byte: u8, expect: Expect) -> Fault {
        let expected = match expect {
            Expect::Start => "an object or an array of objects",
            Expect::Object if self.layout == Layout::Lines => "an object in every line",
            Expect::Object => "an object",
            Expect::ObjectOrEnd => "an object or ']'",
            Expect::CommaOrEnd => "',' or ']'",
            Expect::End => "nothing more",
        };
        self.fault(&format!(
            "expected {expected}, found '{}'",
            byte.escape_ascii()
        ))
    }

    fn fault(&self, text: &str) -> Fault {
        let (line, column) = (self.lines.line(), self.column + 1);
        Fault::at(
            Place::line(line).column(column),
            format!("line {line}, column {column}: {text}"),
        )
    }
}
