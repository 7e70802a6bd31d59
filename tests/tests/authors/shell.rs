//! What an author has at hand: `lakehouse` and cargo.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use lakehouse_tests::{binary, repository};

/// A `PATH` on which both are. Cargo compiles every new crate into one folder, whose
/// contents the next one finds there, in the versions of the tree's own plugins, and
/// guests with what `cargo xtask` compiles them with.
pub fn path(folder: &Path) -> String {
    let release = binary();
    let release = release.parent().expect("a folder of binaries");
    let shared = release.with_file_name("new-plugins");
    let lock = repository().join("plugins/Cargo.lock");
    let cargo = env::var("CARGO").expect("the tests are run by cargo");
    // None where rustup has the target.
    let guest = env::var("LAKEHOUSE_TEST_GUEST_ENV").unwrap_or_else(|_| "{}".to_owned());
    let guest: BTreeMap<String, String> = serde_json::from_str(&guest).expect("pairs");
    let guest: String = guest
        .iter()
        .map(|(name, value)| format!("export {name}='{value}'; "))
        .collect();
    let script = format!(
        "#!/bin/sh\n\
         unset RUSTFLAGS CARGO_TARGET_DIR\n\
         export CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_RELEASE_OPT_LEVEL=1\n\
         mkdir -p '{shared}'\n\
         [ -e target ] || ln -s '{shared}' target\n\
         [ -e Cargo.lock ] || cp '{lock}' Cargo.lock\n\
         case \"$*\" in *wasm32-wasip2*) {guest} ;; esac\n\
         exec '{cargo}' \"$@\"\n",
        shared = shared.display(),
        lock = lock.display(),
    );
    let file = folder.join("cargo");
    fs::write(&file, script).expect("a script");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a program");
    let before = env::var("PATH").unwrap_or_default();
    format!("{}:{}:{before}", folder.display(), release.display())
}
