//! A disk that fills up soon.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A filesystem of a few megabytes, gone when this drops.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts one of this size, `8m`. None where the user may not mount.
    pub fn mount(size: &str) -> Option<Self> {
        let folder = TempDir::with_prefix("lakehouse-disk-").expect("a temporary folder");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .output();
        mount
            .is_ok_and(|mount| mount.status.success())
            .then_some(Self(folder))
    }

    /// Its root.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
