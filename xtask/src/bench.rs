//! Measurements against named peers, in one run, as ratios.
//!
//! The measuring itself is Python in `bench/`, run by the interpreter that the
//! foreign clients have; this builds and installs what it compares.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::Subcommand;

use crate::build;
use crate::clients;
use crate::command;
use crate::paths::Paths;
use crate::setup::apt_install;

/// The version of `wasmtime serve` that the host's own library has.
const WASMTIME: &str = "48.0.8";

/// What to measure.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// TPC-H through HTTP, beside native DataFusion and DuckDB.
    Sql {
        /// TPC-H scale factor.
        #[arg(long, default_value = "1")]
        scale: String,
        /// Runs of each query; the best counts.
        #[arg(long, default_value = "3")]
        runs: String,
    },
    /// A large CSV to a table, beside DuckDB's COPY to Parquet.
    Ingest {
        /// TPC-H scale factor.
        #[arg(long, default_value = "1")]
        scale: String,
        /// Runs; the best counts.
        #[arg(long, default_value = "3")]
        runs: String,
    },
    /// Requests a second of a plugin, beside a native route and `wasmtime serve`.
    Http {
        /// Seconds of load for each.
        #[arg(long, default_value = "10")]
        seconds: String,
    },
    /// Start to ready, and memory at rest.
    Start {
        /// Starts to measure.
        #[arg(long, default_value = "5")]
        runs: String,
    },
}

/// Runs one benchmark.
pub fn run(paths: &Paths, args: Args) -> Result<()> {
    build::all(paths)?;
    let python = clients::python(paths)?;
    let cache = paths.tools().join("bench-data");
    let measure = |script: &str| {
        let mut command = Command::new(&python);
        command.arg(paths.root.join("bench").join(script));
        command.arg(paths.binary());
        command
    };
    match args.what {
        What::Sql { scale, runs } => {
            let peer = native_datafusion(paths)?;
            command::run(
                measure("sql.py")
                    .arg(paths.plugins())
                    .arg(peer)
                    .arg(cache)
                    .args([scale, runs]),
            )
        }
        What::Ingest { scale, runs } => command::run(
            measure("ingest.py")
                .arg(paths.plugins())
                .arg(cache)
                .args([scale, runs]),
        ),
        What::Http { seconds } => {
            if !command::exists("wrk") {
                apt_install(&["wrk"])?;
            }
            let wasmtime = wasmtime_cli(paths)?;
            command::run(
                measure("hello.py")
                    .arg(paths.plugins().join("examples/hello.wasm"))
                    .arg(wasmtime)
                    .arg(seconds),
            )
        }
        What::Start { runs } => command::run(measure("start.py").arg(paths.plugins()).arg(runs)),
    }
}

/// Builds the native DataFusion peer.
fn native_datafusion(paths: &Paths) -> Result<PathBuf> {
    let target = paths.target.join("bench");
    println!("Building native DataFusion (about 15 minutes the first time)");
    command::run(
        Command::new("cargo")
            .current_dir(paths.root.join("bench/datafusion"))
            .env("CARGO_TARGET_DIR", &target)
            .args(["build", "--release"]),
    )?;
    Ok(target.join("release/bench-datafusion"))
}

/// Installs `wasmtime serve`.
fn wasmtime_cli(paths: &Paths) -> Result<PathBuf> {
    let folder = paths.tools().join(format!("wasmtime-{WASMTIME}"));
    let binary = folder.join("bin/wasmtime");
    if !binary.exists() {
        println!("Installing wasmtime-cli {WASMTIME} (about 10 minutes)");
        command::run(
            Command::new("cargo")
                .args([
                    "install",
                    "--locked",
                    "--quiet",
                    "wasmtime-cli",
                    "--version",
                    WASMTIME,
                ])
                .arg("--root")
                .arg(&folder)
                .env("CARGO_TARGET_DIR", paths.tools().join("build")),
        )?;
    }
    Ok(binary)
}
