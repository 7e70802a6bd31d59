//! Example plugins in other languages than Rust. Their tools come from PyPI and npm, and
//! what they build is kept for as long as its sources stay the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::clients;
use crate::command;
use crate::paths::Paths;

/// Names the tools from PyPI, Node.js among them.
const TOOLS: &str = "plugins/examples/requirements.txt";
/// Exports an HTTP handler, and imports what needs no grant.
const WORLD: &str = "lakehouse:plugin/http-basic";

/// Builds these plugins into `plugins/examples/`.
pub fn build(paths: &Paths) -> Result<()> {
    type Make = fn(&Paths, &Path, &Path, &Path) -> Result<()>;
    for (name, make) in [("tally", python as Make), ("roman", javascript)] {
        let examples = paths.plugins().join("examples");
        let source = examples.join(name);
        let component = examples.join(format!("{name}.wasm"));
        let stamp = paths.tools().join(format!("{name}.built"));
        let tools = paths.root.join(TOOLS);
        let digest = digest(&[&source, &tools, &paths.root.join("wit")])?;
        if component.exists() && fs::read_to_string(&stamp).is_ok_and(|built| built == digest) {
            continue;
        }
        println!("Building the example plugin {name} (about a minute)");
        let python = clients::python_with(paths, TOOLS)?;
        let new = component.with_extension("wasm.new");
        make(
            paths,
            python.parent().context("a folder of tools")?,
            &source,
            &new,
        )?;
        fs::rename(&new, &component)
            .with_context(|| format!("cannot write {}", component.display()))?;
        fs::write(&stamp, digest)?;
    }
    Ok(())
}

/// Python, by `componentize-py`.
fn python(paths: &Paths, tools: &Path, source: &Path, component: &Path) -> Result<()> {
    command::run(
        Command::new(tools.join("componentize-py"))
            .current_dir(source)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg("--wit-path")
            .arg(paths.root.join("wit"))
            .args(["--world", WORLD, "componentize", "app", "--output"])
            .arg(component),
    )
}

/// JavaScript, by `componentize-js`, in a folder with what npm installs.
fn javascript(paths: &Paths, tools: &Path, source: &Path, component: &Path) -> Result<()> {
    let lock = digest(&[&source.join("package-lock.json")])?;
    let folder = paths.tools().join(format!("javascript-{}", &lock[..12]));
    fs::create_dir_all(&folder)?;
    // A script finds modules beside itself.
    for file in ["package.json", "package-lock.json", "build.mjs", "app.js"] {
        fs::copy(source.join(file), folder.join(file))
            .with_context(|| format!("cannot copy {file} of {}", source.display()))?;
    }
    let mut path = vec![tools.to_owned()];
    path.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    let path = std::env::join_paths(path)?;
    let complete = folder.join("complete");
    if !complete.exists() {
        command::run(
            Command::new(tools.join("npm"))
                .current_dir(&folder)
                .env("PATH", &path)
                .args(["ci", "--no-fund", "--no-audit", "--fetch-retries", "5"]),
        )?;
        fs::write(&complete, "")?;
    }
    command::run(
        Command::new(tools.join("node"))
            .current_dir(&folder)
            .env("PATH", &path)
            .arg("build.mjs")
            .arg(paths.root.join("wit"))
            .arg(component),
    )
}

/// The SHA-256 of files and of folders, their names and contents.
fn digest(places: &[&Path]) -> Result<String> {
    let mut hash = Sha256::new();
    for place in places {
        add(place, &mut hash)?;
    }
    Ok(format!("{:x}", hash.finalize()))
}

fn add(place: &Path, hash: &mut Sha256) -> Result<()> {
    if place.is_dir() {
        let entries = fs::read_dir(place)?.map(|entry| Ok(entry?.path()));
        let mut entries = entries.collect::<Result<Vec<PathBuf>>>()?;
        // Python leaves compiled files beside its sources.
        entries.retain(|path| !path.ends_with("__pycache__"));
        entries.sort();
        return entries.iter().try_for_each(|entry| add(entry, hash));
    }
    let name = place.file_name().unwrap_or_default();
    let bytes = fs::read(place).with_context(|| format!("cannot read {}", place.display()))?;
    for part in [name.as_encoded_bytes(), &bytes] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    Ok(())
}
