//! Where log lines go and how they look.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::config::{ConfigError, Log, LogFormat};

/// Sends log lines to standard error from now on.
///
/// # Errors
/// If the filter does not parse.
pub fn start(log: &Log) -> Result<(), ConfigError> {
    // Ahead of the user's own words, which may ask for it: the graph library
    // tells of every graph at the level of what matters to people.
    let directives = format!("hnsw_rs=warn,{}", log.filter);
    let filter =
        EnvFilter::try_new(directives).map_err(|error| ConfigError::key("log.filter", error))?;
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
