//! `lakehouse plugin`: plugins of a running host, component files at hand, and new ones.

mod client;
mod file;
mod remote;
mod scaffold;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::Settings;

pub use file::{check, inspect};
pub use remote::run;
pub use scaffold::{Template, make};

/// What can be done with plugins.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the plugins of a host and how they are doing.
    List(Remote),
    /// Send a component to a host, and let it serve once it has passed its checks.
    Deploy {
        /// The component.
        file: PathBuf,
        /// Name of the plugin [default: that of the file]
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Go back to an earlier generation.
    Rollback {
        /// The plugin.
        name: String,
        /// Number of the generation [default: the one before, of those that did well]
        #[arg(long, conflicts_with = "digest")]
        generation: Option<u64>,
        /// Its SHA-256, in hexadecimal.
        #[arg(long)]
        digest: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Take the file in the plugins folder again, whatever was done since it changed.
    Reload {
        /// The plugin.
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Remove a plugin. Its generations stay, to go back to.
    Remove {
        /// The plugin.
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// List the generations of a plugin that are kept.
    Generations {
        /// The plugin.
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Make a crate of a new plugin, ready to build and deploy.
    New {
        /// The plugin, and the folder that is made.
        name: String,
        /// What it is to be.
        #[arg(long, value_enum, default_value_t = Template::Http)]
        template: Template,
        /// Folder to make it in.
        #[arg(long, value_name = "DIR", default_value = ".")]
        path: PathBuf,
    },
    /// Show what a component imports, exports and wants to be granted.
    Inspect {
        /// The component.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Tell whether a component would serve with this configuration, and if not why.
    Check {
        /// The component.
        file: PathBuf,
        /// Name of the plugin [default: that of the file]
        #[arg(long)]
        name: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: Settings,
    },
}

/// The host that is asked.
#[derive(Debug, Args)]
pub struct Remote {
    /// Where the host is.
    #[arg(long, env = "LAKEHOUSE_URL", default_value = "http://127.0.0.1:3210")]
    pub url: String,
    /// The admin token, if the host has one.
    #[arg(long, env = "LAKEHOUSE_ADMIN_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Print the host's JSON.
    #[arg(long)]
    pub json: bool,
}
