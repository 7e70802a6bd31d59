//! What the linker must know of the component.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm") {
        // zstd is decompressed by the host: see `lakehouse_table`.
        println!("cargo::rustc-link-arg-cdylib=--wrap=ZSTD_decompressDCtx");
    }
}
