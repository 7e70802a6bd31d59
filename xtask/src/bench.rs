//! Measurements against named peers, in one run, as ratios.
//!
//! The measuring itself is Python in `bench/`, run by the interpreter that the
//! foreign clients have; this builds and installs what it compares.

mod vectors;

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::Subcommand;

use crate::build;
use crate::clients;
use crate::command;
use crate::paths::{Paths, Profile};
use crate::setup::apt_install;
use crate::tools;

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
        /// Seconds of load for each in every round.
        #[arg(long, default_value = "3")]
        seconds: String,
    },
    /// Swaps under load, and how long a dropped file takes to answer.
    Deploy {
        /// Swaps, 50 at least.
        #[arg(long, default_value = "1000", value_parser = clap::value_parser!(u32).range(50..))]
        swaps: u32,
    },
    /// The latency of a plugin while another one does harm.
    Hostile {
        /// Seconds of load for each crime.
        #[arg(long, default_value = "5")]
        seconds: String,
    },
    /// What calls between plugins cost, and SQL functions of plugins.
    Calls {
        /// Rows of each statement.
        #[arg(long, default_value = "4000000")]
        rows: String,
    },
    /// Start to ready, and memory at rest.
    Start {
        /// Starts to measure.
        #[arg(long, default_value = "5")]
        runs: String,
    },
    /// The vector service's library, beside hnswlib, usearch and faiss.
    Vectors(vectors::Args),
    /// Vectors through HTTP, beside the library.
    VectorsHttp(vectors::HttpArgs),
}

/// Runs one benchmark.
pub fn run(paths: &Paths, args: Args) -> Result<()> {
    match args.what {
        // Vectors need no plugins.
        What::Vectors(args) => return vectors::library(paths, &args),
        What::VectorsHttp(args) => return vectors::http(paths, args),
        _ => {
            build::all(paths, Profile::Dist)?;
        }
    }
    let python = clients::python(paths)?;
    let cache = paths.tools().join("bench-data");
    let measure = |script: &str| {
        let mut command = Command::new(&python);
        command.arg(paths.root.join("bench").join(script));
        command.arg(paths.binary(Profile::Dist));
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
            let wasmtime = tools::cargo_install(paths, "wasmtime-cli", WASMTIME, "wasmtime")?;
            command::run(
                measure("hello.py")
                    .arg(paths.plugins().join("examples/hello.wasm"))
                    .arg(wasmtime)
                    .arg(seconds),
            )
        }
        What::Deploy { swaps } => command::run(
            measure("deploy.py")
                .arg(paths.plugins())
                .arg(swaps.to_string()),
        ),
        What::Hostile { seconds } => {
            if !command::exists("wrk") {
                apt_install(&["wrk"])?;
            }
            let examples = paths.plugins().join("examples");
            command::run(
                measure("hostile.py")
                    .arg(examples.join("hello.wasm"))
                    .arg(examples.join("hostile.wasm"))
                    .arg(seconds),
            )
        }
        What::Calls { rows } => {
            command::run(
                Command::new("cargo")
                    .current_dir(&paths.root)
                    .env("CARGO_TARGET_DIR", &paths.target)
                    .args(["bench", "--workspace", "--exclude", "xtask"])
                    .args(["--bench", "calls"]),
            )?;
            command::run(measure("calls.py").arg(paths.plugins()).arg(rows))
        }
        What::Start { runs } => command::run(measure("start.py").arg(paths.plugins()).arg(runs)),
        What::Vectors(_) | What::VectorsHttp(_) => unreachable!("measured above"),
    }
}

/// Builds the native DataFusion peer.
fn native_datafusion(paths: &Paths) -> Result<PathBuf> {
    let target = paths.target.join("bench");
    println!("Building native DataFusion (about 15 minutes the first time)");
    command::run(
        command::cargo()
            .current_dir(paths.root.join("bench/datafusion"))
            .env("CARGO_TARGET_DIR", &target)
            .args(["build", "--release"]),
    )?;
    Ok(target.join("release/bench-datafusion"))
}
