//! Licences of every dependency, by `cargo deny`.

use std::process::Command;

use anyhow::Result;

use crate::command;
use crate::paths::Paths;

/// The version that is installed if none is there.
const CARGO_DENY: &str = "0.20.2";

/// Checks both workspaces against `deny.toml`.
pub fn check(paths: &Paths) -> Result<()> {
    let folder = paths.tools().join(format!("cargo-deny-{CARGO_DENY}"));
    let deny = folder.join("bin/cargo-deny");
    if !deny.exists() {
        println!("Installing cargo-deny {CARGO_DENY}");
        command::run(
            Command::new("cargo")
                .args([
                    "install",
                    "--locked",
                    "--quiet",
                    "cargo-deny",
                    "--version",
                    CARGO_DENY,
                ])
                .arg("--root")
                .arg(&folder)
                .env("CARGO_TARGET_DIR", paths.tools().join("build")),
        )?;
    }
    for manifest in [
        paths.root.join("Cargo.toml"),
        paths.plugins().join("Cargo.toml"),
    ] {
        command::run(
            Command::new(&deny)
                .arg("--manifest-path")
                .arg(manifest)
                .arg("--config")
                .arg(paths.root.join("deny.toml"))
                .args(["--locked", "check", "licenses", "bans", "sources"]),
        )?;
    }
    Ok(())
}
