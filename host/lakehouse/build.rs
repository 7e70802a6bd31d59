//! Notices files that come to or go from the folders that new plugins get a copy of.

fn main() {
    for folder in ["../../plugins/sdk/src", "../../wit", "templates"] {
        println!("cargo::rerun-if-changed={folder}");
    }
}
