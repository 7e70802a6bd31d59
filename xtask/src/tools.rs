//! Programs from crates.io, each version in a folder of its own.

use std::path::PathBuf;

use anyhow::Result;

use crate::command;
use crate::paths::Paths;

/// The binary of a crate at that version; installed if it is not there.
pub fn cargo_install(paths: &Paths, package: &str, version: &str, binary: &str) -> Result<PathBuf> {
    let folder = paths.tools().join(format!("{package}-{version}"));
    let binary = folder.join("bin").join(binary);
    if !binary.exists() {
        println!("Installing {package} {version} (up to 10 minutes)");
        command::run(
            command::cargo()
                .args(["install", "--locked", "--quiet", package])
                .args(["--version", version])
                .arg("--root")
                .arg(&folder)
                .env("CARGO_TARGET_DIR", paths.tools().join("build")),
        )?;
    }
    Ok(binary)
}
