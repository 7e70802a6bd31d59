//! Where the binary and the plugins are.

use std::env;
use std::path::{Path, PathBuf};

/// The repository's root.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are a folder of the repository")
        .to_owned()
}

/// The binary under test.
///
/// # Panics
/// If it was not built.
pub fn binary() -> PathBuf {
    let path = match env::var_os("LAKEHOUSE_BIN") {
        Some(path) => PathBuf::from(path),
        None => {
            let target = env::var_os("CARGO_TARGET_DIR")
                .map_or_else(|| repository().join("target"), PathBuf::from);
            target.join("release").join("lakehouse")
        }
    };
    assert!(
        path.is_file(),
        "no binary at {}: run `cargo xtask build`, or name one in LAKEHOUSE_BIN",
        path.display()
    );
    path
}

/// The folder of built plugins.
pub fn plugins() -> PathBuf {
    env::var_os("LAKEHOUSE_PLUGINS").map_or_else(|| repository().join("plugins"), PathBuf::from)
}

/// One built plugin's file, one of an example or of the tests too.
///
/// # Panics
/// If it was not built.
pub fn plugin(name: &str) -> PathBuf {
    let file = format!("{name}.wasm");
    let folder = plugins();
    let places = [
        folder.join(&file),
        folder.join("examples").join(&file),
        folder.join("tests").join(&file),
    ];
    let found = places.iter().find(|path| path.is_file());
    let Some(path) = found else {
        panic!(
            "no plugin at {}: run `cargo xtask build`, or name the folder in LAKEHOUSE_PLUGINS",
            places[0].display()
        );
    };
    path.canonicalize().expect("a file that is there")
}
