//! Building plugins and host.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::command;
use crate::paths::{Paths, Profile};
use crate::setup;
use crate::toolchain::Toolchain;

/// The plugins that a lakehouse starts with.
pub const PLUGINS: [&str; 4] = ["storage", "catalog", "ingest", "query"];

/// Plugins that only tests, benchmarks and readers need.
pub const EXAMPLES: [&str; 8] = [
    "greet", "hello", "hostile", "liar", "logfmt", "probe", "text", "words",
];

/// Plugins and host; with what the plugins were compiled.
pub fn all(paths: &Paths, profile: Profile) -> Result<Toolchain> {
    let toolchain = setup::run(paths)?;
    plugins(paths, &toolchain)?;
    host(paths, profile)?;
    Ok(toolchain)
}

/// The host alone.
pub fn host(paths: &Paths, profile: Profile) -> Result<()> {
    match profile {
        Profile::Release => println!("Building the host"),
        Profile::Dist => println!(
            "Building the host (about 20 minutes the first time; the last step, which optimises \
             it as a whole, takes 7 of them)"
        ),
    }
    command::run(
        command::cargo()
            .current_dir(&paths.root)
            // The whole workspace, as for the tests: a single package would resolve
            // other features for shared dependencies and build them again.
            .args([
                "build",
                "--profile",
                profile.name(),
                "--workspace",
                "--exclude",
                "xtask",
                "--bins",
            ]),
    )
}

/// Builds every guest and puts the components where the host loads them:
/// the four of a lakehouse into `plugins/`, examples into `plugins/examples/`.
pub fn plugins(paths: &Paths, toolchain: &Toolchain) -> Result<()> {
    println!("Building the plugins (DataFusion takes about 20 minutes the first time)");
    let mut cargo = toolchain.cargo(paths, "build");
    for package in PLUGINS.iter().chain(&EXAMPLES) {
        cargo.args(["--package", package]);
    }
    command::run(&mut cargo)?;
    for (packages, folder) in [
        (PLUGINS.as_slice(), paths.plugins()),
        (EXAMPLES.as_slice(), paths.plugins().join("examples")),
    ] {
        for package in packages {
            install(
                &toolchain.artifact(package),
                &folder.join(format!("{package}.wasm")),
            )?;
        }
    }
    Ok(())
}

/// Copies a component unless the same bytes are there; by a rename, so that a
/// running host never sees half a file.
fn install(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let temporary = to.with_extension("wasm.new");
    fs::write(&temporary, &bytes)
        .and_then(|()| fs::rename(&temporary, to))
        .with_context(|| format!("cannot write {}", to.display()))?;
    println!(
        "    {} ({:.1} MB)",
        to.display(),
        bytes.len() as f64 / 1_000_000.0
    );
    Ok(())
}

/// Removes built components and the target folder.
pub fn clean(paths: &Paths) -> Result<()> {
    for folder in [paths.plugins(), paths.plugins().join("examples")] {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "wasm")
            {
                println!("    removing {}", path.display());
                fs::remove_file(&path)?;
            }
        }
    }
    if paths.target.exists() {
        println!("    removing {}", paths.target.display());
        fs::remove_dir_all(&paths.target)?;
    }
    Ok(())
}
