//! Foreign clients from PyPI, in a virtual environment of their own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::command;
use crate::paths::Paths;
use crate::setup::apt_install;

/// The Python interpreter of an environment that holds what
/// `tests/clients/requirements.txt` names. Made once per content of that file.
pub fn python(paths: &Paths) -> Result<PathBuf> {
    python_with(paths, "tests/clients/requirements.txt")
}

/// The same of another file of requirements, named from the root.
pub fn python_with(paths: &Paths, requirements: &str) -> Result<PathBuf> {
    let requirements = paths.root.join(requirements);
    let wanted = fs::read(&requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let digest = Sha256::digest(&wanted);
    let key = digest[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    let folder = paths.tools().join(format!("python-{key}"));
    let python = folder.join("bin/python");
    let complete = folder.join("complete");
    if complete.exists() {
        return Ok(python);
    }
    println!("Installing what {} names from PyPI", requirements.display());
    if !command::exists("python3") {
        apt_install(&["python3", "python3-venv"])?;
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let venv = || command::run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
    if venv().is_err() {
        apt_install(&["python3-venv"])?;
        venv()?;
    }
    command::run(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(&requirements),
    )?;
    fs::write(&complete, "")?;
    Ok(python)
}
