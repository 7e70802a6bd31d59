//! Planning walks trees recursively, which needs more than the 1 MiB of stack
//! that a component gets by default. Untouched pages of it cost nothing.

fn main() {
    println!("cargo::rustc-link-arg-cdylib=-zstack-size=33554432");
    println!("cargo::rerun-if-changed=build.rs");
}
