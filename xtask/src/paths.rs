//! Where things are in this tree.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A cargo profile that the host is built with.
#[derive(Debug, Clone, Copy)]
pub enum Profile {
    /// Crate by crate: what the tests run, as a change of one crate is soon built.
    Release,
    /// Optimised as a whole, which takes minutes after every change: what people
    /// run, and what is measured.
    Dist,
}

impl Profile {
    /// Its name in `Cargo.toml`, and that of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dist => "dist",
        }
    }
}

/// The folders that the tasks work in.
pub struct Paths {
    /// The root of the checkout.
    pub root: PathBuf,
    /// Cargo's target folder of the native workspace.
    pub target: PathBuf,
}

impl Paths {
    /// Finds the checkout that cargo runs this for, and the target folder that it uses
    /// for it (`CARGO_TARGET_DIR` or `target/`). The checkout that this binary was built
    /// from may be another one, if the two share a target folder.
    pub fn find() -> Result<Self> {
        let package = std::env::var_os("CARGO_MANIFEST_DIR").context("run `cargo xtask`")?;
        let root = Path::new(&package)
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

    /// What cargo built with a profile.
    pub fn built(&self, profile: Profile) -> PathBuf {
        self.target.join(profile.name())
    }

    /// The `lakehouse` binary of a profile.
    pub fn binary(&self, profile: Profile) -> PathBuf {
        self.built(profile).join("lakehouse")
    }

    /// Downloaded and generated things that no build step makes.
    pub fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }
}
