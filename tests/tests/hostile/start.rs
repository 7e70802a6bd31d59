use std::fs;

use lakehouse_tests::{expect_json, plugin};

use crate::{builder, unharmed};

/// Computes for ever before it can be asked anything. It has an `unreachable`, so that
/// it can be compiled without checks.
pub const SPINS: &str = r#"(component
    (core module $m
        (func $spin (loop $again (br $again)) unreachable)
        (start $spin)
        (func (export "run")))
    (core instance $i (instantiate $m))
    (func $run (canon lift (core func $i "run")))
    (export "run" (func $run)))"#;

#[tokio::test]
async fn spinning_at_the_start_is_found_when_it_is_loaded() {
    let builder = builder("[plugins.spins]\ncpu = \"300ms\"\n");
    let folder = builder.folder().join("with-spins");
    fs::create_dir(&folder).unwrap();
    for name in ["hello", "hostile"] {
        fs::copy(plugin(name), folder.join(format!("{name}.wasm"))).unwrap();
    }
    fs::write(folder.join("spins.wasm"), wat::parse_str(SPINS).unwrap()).unwrap();
    let server = builder.plugins_dir(folder).until_loaded().start().await;
    let view = server.get("/v1/plugins/spins").send().await.unwrap();
    let view = expect_json(view, 200).await;
    assert_eq!(view["state"], "failed");
    let reason = view["reason"].as_str().unwrap();
    assert!(
        reason.contains("does not start within its `cpu` limit of 300ms"),
        "{reason}"
    );
    unharmed(&server).await;
}
