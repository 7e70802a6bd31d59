//! `lakehouse plugin new`: a crate that builds, is tested and deploys as it stands.
//!
//! It stands alone: beside its own few files lie the SDK and the WIT files that this
//! host was built from, so that it needs nothing but Rust and crates.io, and speaks the
//! version of `lakehouse:plugin` that this host does.

mod embedded;
mod manifest;

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;
use include_dir::{Dir, DirEntry};

use crate::config::{NAME_RULE, NATIVE_ROUTES, covers, is_plugin_name};

/// Where the copies go, in the same places as in the tree that they are of.
const WIT: &str = "lakehouse/wit";
const SDK: &str = "lakehouse/plugins/sdk";
/// A crate of this name would be confused with the SDK.
const SDK_NAME: &str = "lakehouse-sdk";

/// Formats that ingest has of its own: it would never ask a plugin for one of these.
const FORMATS: [&str; 6] = ["arrow", "csv", "json", "jsonl", "ndjson", "parquet"];

/// What a new plugin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// It answers HTTP requests.
    Http,
    /// It adds a function to SQL.
    SqlFunction,
    /// It adds a format of bodies to ingest.
    IngestFormat,
}

impl Template {
    fn files(self) -> &'static Dir<'static> {
        match self {
            Self::Http => &embedded::HTTP,
            Self::SqlFunction => &embedded::SQL_FUNCTION,
            Self::IngestFormat => &embedded::INGEST_FORMAT,
        }
    }
}

/// Makes the crate, in a folder of its name in this one, and says how to go on.
///
/// # Errors
/// If the name cannot be that of a plugin and of a crate, if the folder is there already,
/// or if it cannot be written. Nothing is left of it then.
pub fn make(name: &str, template: Template, parent: &Path) -> anyhow::Result<()> {
    fit(name, template)?;
    let here = parent == Path::new(".");
    let folder = if here {
        PathBuf::from(name)
    } else {
        parent.join(name)
    };
    fs::create_dir(&folder).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => anyhow::anyhow!("{} is there already", folder.display()),
        ErrorKind::NotFound => anyhow::anyhow!("there is no folder {}", parent.display()),
        _ => anyhow::anyhow!("cannot make {}: {error}", folder.display()),
    })?;
    let artifact = artifact(name);
    if let Err(error) = fill(&folder, name, &artifact, template) {
        // It was made here, and what went wrong first is what counts.
        let _ = fs::remove_dir_all(&folder);
        return Err(error);
    }
    let folder = folder.display();
    writeln!(
        io::stdout(),
        "made {folder}; to build, try and deploy it:\n\n    \
         cd {folder}\n    \
         cargo test\n    \
         cargo build --release --target wasm32-wasip2\n    \
         lakehouse plugin deploy {artifact}"
    )?;
    Ok(())
}

/// Whether there can be a plugin of this kind and a crate of this name.
fn fit(name: &str, template: Template) -> anyhow::Result<()> {
    if !is_plugin_name(name) {
        bail!("`{name}` cannot be a plugin: {NAME_RULE}");
    }
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        bail!("`{name}` cannot be a crate: its name begins with a letter");
    }
    if name == SDK_NAME {
        bail!("`{name}` is the crate that the plugin depends on");
    }
    let route = format!("/v1/{name}");
    if NATIVE_ROUTES.iter().any(|native| covers(native, &route)) {
        bail!("`{name}` cannot be a plugin: the host serves {route} itself");
    }
    if template == Template::IngestFormat && FORMATS.contains(&name) {
        bail!("`{name}` cannot be the format of a plugin: ingest has one of this name");
    }
    Ok(())
}

/// A plugin's name as Rust and SQL write names.
fn identifier(name: &str) -> String {
    name.replace('-', "_")
}

/// What `deploy` is told of the component that cargo makes.
fn artifact(name: &str) -> String {
    let file = identifier(name);
    let path = format!("target/wasm32-wasip2/release/{file}.wasm");
    if file == name {
        path
    } else {
        format!("{path} --name {name}")
    }
}

fn fill(folder: &Path, name: &str, artifact: &str, template: Template) -> anyhow::Result<()> {
    let sdk = folder.join(SDK);
    let sdk_manifest = manifest::standalone(embedded::SDK_MANIFEST, embedded::WORKSPACE_MANIFEST)?;
    write(&sdk.join("Cargo.toml"), sdk_manifest.as_bytes())?;
    for (files, place) in [
        (&embedded::SDK, sdk.join("src")),
        (&embedded::WIT, folder.join(WIT)),
    ] {
        each(files, &mut |path, bytes| write(&place.join(path), bytes))?;
    }
    each(template.files(), &mut |path, bytes| {
        let text = std::str::from_utf8(bytes).context("a template that is text")?;
        let text = text
            .replace("{{name}}", name)
            .replace("{{function}}", &identifier(name))
            .replace("{{artifact}}", artifact);
        write(&folder.join(path), text.as_bytes())
    })
}

/// Gives every file below a folder to `take`.
fn each(
    folder: &Dir<'static>,
    take: &mut dyn FnMut(&Path, &[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for entry in folder.entries() {
        match entry {
            DirEntry::Dir(folder) => each(folder, take)?,
            DirEntry::File(file) => take(file.path(), file.contents())?,
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, bytes))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_of_another_name_is_deployed_under_the_plugins() {
        assert_eq!(artifact("a"), "target/wasm32-wasip2/release/a.wasm");
        let dashed = "target/wasm32-wasip2/release/a_b.wasm --name a-b";
        assert_eq!(artifact("a-b"), dashed);
    }

    #[test]
    fn the_sdk_needs_no_workspace() {
        let text = manifest::standalone(embedded::SDK_MANIFEST, embedded::WORKSPACE_MANIFEST);
        let text = text.unwrap();
        assert!(!text.contains("workspace"), "{text}");
        assert!(text.contains("wit-bindgen = "), "{text}");
    }
}
