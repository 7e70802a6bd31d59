//! Installing what building needs.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

use crate::command;
use crate::paths::Paths;
use crate::toolchain::Toolchain;

/// Debian's headers of the WASI libc: C code in crates is compiled against them.
const WASI_HEADERS: &str = "/usr/include/wasm32-wasi/stdio.h";

/// Installs what is missing and says with what guests are compiled.
pub fn run(paths: &Paths) -> Result<Toolchain> {
    let mut packages = Vec::new();
    if !command::exists("cc") {
        packages.push("build-essential");
    }
    if !command::exists("clang") {
        packages.push("clang");
    }
    if !Path::new(WASI_HEADERS).exists() {
        packages.push("wasi-libc");
    }
    apt_install(&packages)?;
    Toolchain::prepare(paths)
}

/// Installs Debian packages; nothing to do for an empty list.
pub fn apt_install(packages: &[&str]) -> Result<()> {
    static UPDATED: OnceLock<()> = OnceLock::new();
    if packages.is_empty() {
        return Ok(());
    }
    if !command::exists("apt-get") {
        bail!(
            "please install {} with this system's package manager, then run this again",
            packages.join(", ")
        );
    }
    println!("Installing Debian packages: {}", packages.join(" "));
    if UPDATED.get().is_none() {
        command::run(privileged("apt-get").args(["-qq", "update"]))?;
        let _ = UPDATED.set(());
    }
    command::run(
        privileged("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-qq", "install", "-y", "--no-install-recommends"])
            .args(packages),
    )
    .with_context(|| format!("cannot install {}", packages.join(", ")))
}

/// A command that runs as root: as it is for root, by sudo for others.
fn privileged(program: &str) -> Command {
    let root = command::output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0");
    if root {
        Command::new(program)
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg(program);
        sudo
    }
}
