//! Where log lines go and how they look.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::config::{ConfigError, Log, LogFormat};

/// Sends log lines to standard error from now on.
///
/// # Errors
/// If the filter does not parse.
pub fn start(log: &Log) -> Result<(), ConfigError> {
    let filter =
        EnvFilter::try_new(&log.filter).map_err(|error| ConfigError::key("log.filter", error))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    let terminal = io::stderr().is_terminal();
    match log.format {
        LogFormat::Text => builder.with_ansi(terminal).init(),
        LogFormat::Auto if terminal => builder.init(),
        LogFormat::Auto | LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}
