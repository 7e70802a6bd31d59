//! `cargo xtask`: everything a developer or a newcomer does with this tree.
//!
//! Every command installs what it needs first, prints the commands that it
//! runs, and does nothing twice.

mod bench;
mod build;
mod clients;
mod command;
mod docs;
mod foreign;
mod licences;
mod paths;
mod setup;
mod test;
mod toolchain;
mod tools;

use std::os::unix::process::CommandExt;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::paths::{Paths, Profile};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Set up, build, run, test and measure Lakehouse"
)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what building needs: the wasm32-wasip2 target (or its stand-in
    /// from Debian's packages) and clang.
    Setup,
    /// Build the plugins and the `lakehouse` binary.
    Build,
    /// Build, then run `lakehouse serve` with the flags after `--`.
    Serve {
        /// Flags for the binary.
        #[arg(last = true)]
        flags: Vec<String>,
    },
    /// Build, then run every test, foreign clients included.
    Test {
        /// Only tests whose name contains this.
        filter: Option<String>,
    },
    /// Check formatting and lints, as CI does.
    Lint,
    /// Write `docs/wit.md`, the reference of the interfaces, from `wit/`.
    Docs,
    /// Check the licences of every dependency.
    Licences,
    /// Measure against the named peers; see docs/benchmarks.md.
    Bench(bench::Args),
    /// Remove what was built here: the plugins' `.wasm` files and the target folder.
    Clean,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let paths = Paths::find()?;
    match args.task {
        Task::Setup => setup::run(&paths).map(|_| ()),
        Task::Build => build::all(&paths, Profile::Dist).map(|_| ()),
        Task::Serve { flags } => {
            build::all(&paths, Profile::Dist)?;
            let mut serve = std::process::Command::new(paths.binary(Profile::Dist));
            serve.current_dir(&paths.root).arg("serve").args(flags);
            command::announce(&serve);
            Err(serve.exec().into())
        }
        Task::Test { filter } => test::all(&paths, filter.as_deref()),
        Task::Lint => test::lint(&paths),
        Task::Docs => docs::write(&paths),
        Task::Licences => licences::check(&paths),
        Task::Bench(args) => bench::run(&paths, args),
        Task::Clean => build::clean(&paths),
    }
}
