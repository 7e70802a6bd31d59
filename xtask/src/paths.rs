//! Where things are in this tree.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folders that the tasks work in.
pub struct Paths {
    /// The root of the checkout.
    pub root: PathBuf,
    /// Cargo's target folder of the native workspace.
    pub target: PathBuf,
}

impl Paths {
    /// Finds the checkout that this binary was built from, and the target
    /// folder that cargo uses for it (`CARGO_TARGET_DIR` or `target/`).
    pub fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask lies in the root of the checkout")?
            .to_path_buf();
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => std::path::absolute(PathBuf::from(folder))?,
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// The guest workspace, and where the host finds the built components.
    pub fn plugins(&self) -> PathBuf {
        self.root.join("plugins")
    }

    /// The `lakehouse` binary.
    pub fn binary(&self) -> PathBuf {
        self.target.join("release/lakehouse")
    }

    /// Downloaded and generated things that no build step makes.
    pub fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }
}
