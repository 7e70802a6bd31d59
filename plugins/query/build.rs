//! What the linker must know of the component.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm") {
        // Planning walks trees recursively, which needs more than the 1 MiB of stack
        // that a component gets by default. Untouched pages of it cost nothing.
        println!("cargo::rustc-link-arg-cdylib=-zstack-size=33554432");
        // zstd is decompressed by the host: see `lakehouse_table`.
        println!("cargo::rustc-link-arg-cdylib=--wrap=ZSTD_decompressDCtx");
        // See `arithmetic`.
        println!("cargo::rustc-link-arg-cdylib=--wrap=__muloti4");
    }
}
