//! Licences of every dependency, by `cargo deny`.

use std::process::Command;

use anyhow::Result;

use crate::command;
use crate::paths::Paths;
use crate::tools;

/// The version that is installed if none is there.
const CARGO_DENY: &str = "0.20.2";

/// Checks both workspaces against `deny.toml`.
pub fn check(paths: &Paths) -> Result<()> {
    let deny = tools::cargo_install(paths, "cargo-deny", CARGO_DENY, "cargo-deny")?;
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
