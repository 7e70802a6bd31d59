//! Records as fields in one buffer, with the line that each begins at.

use crate::fault::{Fault, Place};

/// When enough records are gathered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub rows: usize,
    pub bytes: usize,
}

impl Limit {
    pub(crate) fn reached(self, records: &Records) -> bool {
        records.lines.len() >= self.rows || records.data.len() >= self.bytes
    }
}

/// Where a field lies in the data of its records.
pub(super) type Span = (usize, usize);

/// Whole records.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// The fields, unquoted, and what stood between them.
    pub(super) data: Vec<u8>,
    /// The fields in order, `columns` a record.
    pub(super) spans: Vec<Span>,
    pub(super) lines: Vec<u64>,
    /// 0 before the first record.
    pub(super) columns: usize,
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
        self.data.clear();
        self.spans.clear();
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
        let invalid = |field: usize| {
            let columns = self.columns.max(1);
            let (line, column) = (self.line(field / columns), field % columns + 1);
            Fault::at(
                Place::line(line).column(column as u64),
                format!("line {line}, column {column}: the text is not valid UTF-8"),
            )
        };
        let text = std::str::from_utf8(&self.data).map_err(|error| {
            let at = error.valid_up_to();
            invalid(self.spans.partition_point(|(_, end)| *end <= at))
        })?;
        // Halves of a character in two fields that stand side by side.
        if !text.is_ascii()
            && let Some(field) = self
                .spans
                .iter()
                .position(|(_, end)| !text.is_char_boundary(*end))
        {
            return Err(invalid(field));
        }
        Ok(Text {
            text,
            spans: &self.spans,
            columns: self.columns,
        })
    }
}

/// Records as text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a> {
    text: &'a str,
    spans: &'a [Span],
    columns: usize,
}

impl<'a> Text<'a> {
    /// One field; an empty one beyond the end.
    #[inline]
    pub(crate) fn field(&self, row: usize, column: usize) -> &'a str {
        let (start, end) = self
            .spans
            .get(row * self.columns + column)
            .copied()
            .unwrap_or_default();
        self.text.get(start..end).unwrap_or_default()
    }

    /// The fields of a record.
    pub(crate) fn row(&self, row: usize) -> impl Iterator<Item = &'a str> {
        let this = *self;
        (0..this.columns).map(move |column| this.field(row, column))
    }

    /// Bytes of an average column.
    pub(crate) fn share(&self) -> usize {
        self.text.len() / self.columns.max(1)
    }
}
