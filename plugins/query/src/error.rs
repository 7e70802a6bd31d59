//! Engine errors as HTTP problems.

use datafusion::arrow::error::ArrowError;
use datafusion::common::Span;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::tokenizer::Location;
use lakehouse_sdk::http::Problem;
use lakehouse_sdk::types;
use lakehouse_table::Error as TableError;
use parquet::errors::ParquetError;

/// 400 with a text.
pub fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(400, detail)
}

/// 400 with a text and the place in the SQL that it is about.
pub fn invalid_at(detail: impl Into<String>, at: Location) -> Problem {
    let detail = detail.into();
    let problem = Problem::new(
        400,
        format!("{detail} (line {}, column {}).", at.line, at.column),
    );
    place(problem, at.line, at.column)
}

/// The problem that an engine error is, before the first byte of the answer.
pub fn sql_problem(error: DataFusionError) -> Problem {
    let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    let error = match take_external(error) {
        Ok(problem) => return problem,
        Err(error) => error,
    };
    let text = message(&error);
    let problem = Problem::new(status(error.find_root()), text.clone());
    match position(span, &text) {
        Some((line, column)) => place(problem, line, column),
        None => problem,
    }
}

/// The engine's message without the notes for developers that it can carry.
pub fn message(error: &DataFusionError) -> String {
    let text = match error.find_root() {
        DataFusionError::SQL(source, _) => source.to_string(),
        _ => error.strip_backtrace(),
    };
    match text.split_once("\nThis issue was likely caused by a bug") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}

/// Adds a place in the SQL to a problem.
pub fn place(problem: Problem, line: u64, column: u64) -> Problem {
    problem.with("line", line).with("column", column)
}

/// The host's own errors keep their kind.
fn take_external(error: DataFusionError) -> Result<Problem, DataFusionError> {
    let mut root = &error;
    loop {
        root = match root {
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => inner,
            DataFusionError::Shared(inner) => inner,
            DataFusionError::External(source) => {
                return match source.downcast_ref::<HostError>() {
                    Some(host) => Ok(Problem::from(host.0.clone())),
                    None => Err(error),
                };
            }
            DataFusionError::ObjectStore(source) => {
                return match host_error(source.as_ref()) {
                    Some(host) => Ok(Problem::from(host.clone())),
                    None => Err(error),
                };
            }
            DataFusionError::ArrowError(source, _) => {
                return match host_error(source.as_ref()) {
                    Some(host) => Ok(Problem::from(host.clone())),
                    None => Err(error),
                };
            }
            DataFusionError::ParquetError(source) => {
                return match host_error(source.as_ref()) {
                    Some(host) => Ok(Problem::from(host.clone())),
                    None => Err(error),
                };
            }
            _ => return Err(error),
        };
    }
}

fn host_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a types::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(HostError(host)) = error.downcast_ref::<HostError>() {
            return Some(host);
        }
        next = error.source();
    }
    None
}

fn status(error: &DataFusionError) -> u16 {
    match error {
        DataFusionError::ResourcesExhausted(_) => 507,
        DataFusionError::IoError(source) if is_full(source) => 507,
        DataFusionError::ArrowError(source, _) => arrow_status(source),
        // A filter of the statement that is computed while a file is read.
        DataFusionError::ParquetError(source) => match source.as_ref() {
            ParquetError::External(source) => source.downcast_ref().map_or(500, arrow_status),
            _ => 500,
        },
        DataFusionError::SQL(..)
        | DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Configuration(_)
        | DataFusionError::Execution(_) => 400,
        DataFusionError::Collection(errors) => errors.first().map_or(500, status),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => status(inner),
        DataFusionError::Shared(inner) => status(inner),
        _ => 500,
    }
}

fn arrow_status(error: &ArrowError) -> u16 {
    match error {
        ArrowError::IoError(_, source) if is_full(source) => 507,
        ArrowError::IoError(..)
        | ArrowError::IpcError(_)
        | ArrowError::ExternalError(_)
        | ArrowError::ParquetError(_)
        | ArrowError::CDataInterface(_) => 500,
        ArrowError::MemoryError(_) => 507,
        _ => 400,
    }
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::StorageFull
            | std::io::ErrorKind::QuotaExceeded
            | std::io::ErrorKind::FileTooLarge
    )
}

/// Where the error is: the planner's span, or what the parser wrote into its text.
fn position(span: Option<Span>, text: &str) -> Option<(u64, u64)> {
    if let Some(span) = span {
        return Some((span.start.line, span.start.column));
    }
    let (_, rest) = text.rsplit_once(" at Line: ")?;
    let (line, rest) = rest.split_once(", Column: ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((line.parse().ok()?, digits.parse().ok()?))
}

/// An error of the host, carried through the engine.
#[derive(Debug)]
pub struct HostError(pub types::Error);

impl std::fmt::Display for HostError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", Problem::from(self.0.clone()).detail)
    }
}

impl std::error::Error for HostError {}

impl From<HostError> for DataFusionError {
    fn from(error: HostError) -> Self {
        Self::External(Box::new(error))
    }
}

/// An error about a table's files as the engine carries it.
pub fn table_error(error: TableError) -> DataFusionError {
    HostError(error.into()).into()
}
