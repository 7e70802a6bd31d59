//! What is wrong with a body, and where.

use std::io;

use arrow::error::ArrowError;
use lakehouse_sdk::http::Problem;
use lakehouse_sdk::types;
use lakehouse_table::Error as TableError;
use lakehouse_table::ipc::IpcFault;
use parquet::errors::ParquetError;

/// Why a body does not become rows.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The data is malformed.
    Data(Place, String),
    /// The data does not fit the table; names the columns.
    Misfit(String, Vec<String>),
    /// The body could not be read to its end.
    Body(io::Error),
    /// The store or the catalog refused.
    Host(types::Error),
    /// Anything else, with its status.
    Other(Problem),
}

/// Where in the body; lines and columns count from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Line.
    pub line: Option<u64>,
    /// CSV: the field's position in its row. JSON: the byte's position in its line.
    pub column: Option<u64>,
    /// Name of the column.
    pub name: Option<String>,
}

impl Place {
    /// A line.
    pub(crate) fn line(line: u64) -> Self {
        Self {
            line: Some(line),
            ..Self::default()
        }
    }

    /// A column in it.
    pub(crate) fn column(mut self, column: u64) -> Self {
        self.column = Some(column);
        self
    }

    /// That column's name.
    pub(crate) fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }
}

impl Fault {
    /// Malformed data at an unknown place.
    pub(crate) fn data(detail: impl Into<String>) -> Self {
        Self::Data(Place::default(), detail.into())
    }

    /// Malformed data.
    pub(crate) fn at(place: Place, detail: impl Into<String>) -> Self {
        Self::Data(place, detail.into())
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Body(error)
    }
}

impl From<types::Error> for Fault {
    fn from(error: types::Error) -> Self {
        Self::Host(error)
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self::Other(problem)
    }
}

impl From<ArrowError> for Fault {
    fn from(error: ArrowError) -> Self {
        Self::data(error.to_string())
    }
}

impl From<IpcFault> for Fault {
    fn from(fault: IpcFault) -> Self {
        match fault {
            IpcFault::Read(error) => Self::Body(error),
            IpcFault::Broken { column, detail } => {
                let place = Place {
                    name: column,
                    ..Place::default()
                };
                Self::at(place, detail)
            }
            IpcFault::Arrow(error) => error.into(),
        }
    }
}

impl From<ParquetError> for Fault {
    fn from(error: ParquetError) -> Self {
        Self::data(error.to_string())
    }
}

impl From<TableError> for Fault {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Store(error) => Self::Host(error),
            TableError::UnknownColumns(ref columns) => {
                let columns = columns
                    .iter()
                    .map(|name| name.trim_matches('\'').to_owned())
                    .collect();
                Self::Misfit(error.to_string(), columns)
            }
            TableError::Value { ref column, .. } => {
                Self::at(Place::default().name(column), error.to_string())
            }
            TableError::Parquet(error) => Self::Other(Problem::internal(format!(
                "writing Parquet failed: {error}"
            ))),
            other => Self::data(other.to_string()),
        }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Data(place, detail) => {
                let mut problem = Self::bad_request(detail);
                if let Some(line) = place.line {
                    problem = problem.with("line", line);
                }
                if let Some(column) = place.column {
                    problem = problem.with("column", column);
                }
                match place.name {
                    Some(name) => problem.with("column_name", name),
                    None => problem,
                }
            }
            Fault::Misfit(detail, columns) => Self::new(409, detail).with("columns", columns),
            Fault::Body(error) => Self::from_body_error(&error),
            Fault::Host(error) => error.into(),
            Fault::Other(problem) => problem,
        }
    }
}
