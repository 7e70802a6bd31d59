//! Where the binary and the plugins are.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// The repository's root: that of the package which cargo runs tests of. What was compiled
/// into them may be another checkout, if the two share a target folder.
///
/// # Panics
/// If it is not cargo that runs them.
pub fn repository() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").expect("`cargo test` names the package");
    Path::new(&package)
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

/// One built plugin's file, an example's too.
///
/// # Panics
/// If it was not built.
pub fn plugin(name: &str) -> PathBuf {
    let file = format!("{name}.wasm");
    let folder = plugins();
    let places = [folder.join(&file), folder.join("examples").join(&file)];
    let found = places.iter().find(|path| path.is_file());
    let Some(path) = found else {
        panic!(
            "no plugin at {}: run `cargo xtask build`, or name the folder in LAKEHOUSE_PLUGINS",
            places[0].display()
        );
    };
    path.canonicalize().expect("a file that is there")
}

/// Puts a component into a folder of plugins: whole, as a rename does it.
///
/// # Panics
/// If the file cannot be written.
pub fn drop_in(folder: &Path, name: &str, component: &[u8]) {
    let part = folder.join(format!("{name}.part"));
    fs::write(&part, component).expect("a file");
    fs::rename(part, folder.join(format!("{name}.wasm"))).expect("a rename");
}
