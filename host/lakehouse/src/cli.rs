//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Overrides;
use crate::plugin;

/// A lakehouse in one binary, whose every handler is a WebAssembly component.
#[derive(Debug, Parser)]
#[command(name = "lakehouse", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve until SIGTERM or SIGINT.
    Serve(Settings),
    /// Validate the configuration and every plugin without serving.
    Check(Settings),
    /// Look at plugins and change them, on a running host or in a file.
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// Print the version.
    Version,
}

/// Flags of `serve` and `check`. The environment variables named beside them
/// and the file are read with the rest of the configuration.
#[derive(Debug, Args)]
pub struct Settings {
    /// Configuration file [env: LAKEHOUSE_CONFIG] [default: lakehouse.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address to listen on; port 0 takes a free one [env: LAKEHOUSE_BIND] [default: 127.0.0.1:3210]
    #[arg(long, value_name = "HOST:PORT")]
    pub bind: Option<String>,
    /// Folder for data [env: LAKEHOUSE_DATA] [default: data]
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Folder of plugins [env: LAKEHOUSE_PLUGINS] [default: plugins]
    #[arg(long, value_name = "FOLDER")]
    pub plugins: Option<PathBuf>,
    /// What to log, like `info` or `info,lakehouse=debug` [env: LAKEHOUSE_LOG] [default: info]
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
}

impl From<Settings> for Overrides {
    fn from(settings: Settings) -> Self {
        let Settings {
            config,
            bind,
            data,
            plugins,
            log,
        } = settings;
        Self {
            config,
            bind,
            data,
            plugins,
            log,
        }
    }
}
