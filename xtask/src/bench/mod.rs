//! Measurements against named peers, in one run, as ratios.

use anyhow::Result;

use crate::paths::Paths;

/// What to measure.
#[derive(clap::Args)]
pub struct Args {}

/// Runs one benchmark.
pub fn run(_paths: &Paths, _args: Args) -> Result<()> {
    Ok(())
}
