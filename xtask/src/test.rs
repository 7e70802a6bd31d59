//! Every test of the project, and the lints.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::Result;

use crate::build;
use crate::clients;
use crate::command;
use crate::docs;
use crate::foreign;
use crate::paths::{Paths, Profile};
use crate::setup;
use crate::toolchain::{self, Toolchain};

/// Builds everything and runs: the native tests (units, and end to end against
/// the real binary), the guests' unit tests, and the foreign
/// clients, which the end-to-end tests start.
pub fn all(paths: &Paths, filter: Option<&str>) -> Result<()> {
    docs::check(paths)?;
    // What the documentation has people type is run as it stands.
    if !command::exists("curl") {
        setup::apt_install(&["curl"])?;
    }
    let toolchain = build::all(paths, Profile::Release)?;
    foreign::build(paths)?;
    let python = clients::python(paths)?;
    let binary = paths.binary(Profile::Release);
    println!("Compiling the plugins ahead of time (about a minute the first time)");
    // Once here: the many servers of the tests find the compiled code cached.
    command::run(Command::new(&binary).current_dir(&paths.root).arg("check"))?;
    println!("Testing the host, and the whole end to end");
    command::run(
        command::cargo()
            .current_dir(&paths.root)
            .env("LAKEHOUSE_BIN", binary)
            .env("LAKEHOUSE_PLUGINS", paths.plugins())
            .env("LAKEHOUSE_TEST_PYTHON", python)
            .env("LAKEHOUSE_TEST_GUEST_ENV", guest_env(&toolchain)?)
            .args([
                "test",
                "--release",
                "--workspace",
                "--exclude",
                "xtask",
                "--no-fail-fast",
            ])
            .args(filter),
    )?;
    println!("Testing the guests");
    guests(paths, filter)
}

/// The environment in which cargo compiles guests, as JSON: tests compile some too.
fn guest_env(toolchain: &Toolchain) -> Result<String> {
    let env = toolchain.env();
    let pairs = env
        .iter()
        .map(|(name, value)| (name, value.to_string_lossy()));
    Ok(serde_json::to_string(&pairs.collect::<BTreeMap<_, _>>())?)
}

/// Unit tests of the guest crates, compiled for this machine: what they test needs
/// nothing of the host.
fn guests(paths: &Paths, filter: Option<&str>) -> Result<()> {
    command::run(
        command::cargo()
            .current_dir(paths.plugins())
            .env("CARGO_TARGET_DIR", paths.target.join("guest-native"))
            .args(["test", "--release", "--target", &toolchain::native()?])
            // Only crates that have such tests: DataFusion takes its time.
            .args([
                "--package",
                "lakehouse-table",
                "--package",
                "catalog",
                "--package",
                "ingest",
            ])
            .args(["--no-fail-fast", "--lib"])
            .args(filter),
    )
}

/// Formatting and clippy of both workspaces; warnings are errors.
pub fn lint(paths: &Paths) -> Result<()> {
    let toolchain = setup::run(paths)?;
    for folder in [paths.root.clone(), paths.plugins()] {
        command::run(
            command::cargo()
                .current_dir(folder)
                .args(["fmt", "--all", "--check"]),
        )?;
    }
    command::run(command::cargo().current_dir(&paths.root).args([
        "clippy",
        "--release",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    command::run(toolchain.clippy(paths)?.args([
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}
