//! What is wrong with a body.

use arrow::error::ArrowError;

use crate::format_types::{FormatError, Malformation};

/// Malformed data, and where. Lines and columns count from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fault {
    detail: String,
    line: Option<u64>,
    column: Option<u64>,
    name: Option<String>,
}

impl Fault {
    /// Malformed data at an unknown place; the text is for people.
    pub fn new(detail: impl Into<String>) -> Self {
        Self {
            detail: detail.into(),
            ..Self::default()
        }
    }

    /// The line. It goes before the text, so that the text need not name it.
    #[must_use]
    pub fn line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }

    /// The position in the line.
    #[must_use]
    pub fn column(mut self, column: u64) -> Self {
        self.column = Some(column);
        self
    }

    /// The name of the column that the value is of.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }
}

impl From<ArrowError> for Fault {
    fn from(error: ArrowError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<Fault> for FormatError {
    fn from(fault: Fault) -> Self {
        let place = match (fault.line, fault.column, &fault.name) {
            (Some(line), Some(column), Some(name)) => {
                format!("line {line}, column {column} ('{name}'): ")
            }
            (Some(line), Some(column), None) => format!("line {line}, column {column}: "),
            (Some(line), None, Some(name)) => format!("line {line} ('{name}'): "),
            (Some(line), None, None) => format!("line {line}: "),
            (None, ..) => String::new(),
        };
        Self::Malformed(Malformation {
            detail: place + &fault.detail,
            line: fault.line,
            column: fault.column,
            column_name: fault.name,
        })
    }
}
