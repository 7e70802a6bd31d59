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

/// Loads guests that spin, under names with 300 ms of processor time.
pub async fn does_not_start(config: &str, guests: &[(&str, &str)]) {
    let builder = builder(config);
    let folder = builder.folder().join("with-spins");
    fs::create_dir(&folder).unwrap();
    for name in ["hello", "hostile"] {
        fs::copy(plugin(name), folder.join(format!("{name}.wasm"))).unwrap();
    }
    for (name, text) in guests {
        let component = wat::parse_str(text).unwrap();
        fs::write(folder.join(format!("{name}.wasm")), component).unwrap();
    }
    let server = builder.plugins_dir(folder).until_loaded().start().await;
    for (name, _) in guests {
        let view = server.get(&format!("/v1/plugins/{name}")).send().await;
        let view = expect_json(view.unwrap(), 200).await;
        assert_eq!(view["state"], "failed");
        let reason = view["reason"].as_str().unwrap();
        assert!(
            reason.contains("does not start within its `cpu` limit of 300ms"),
            "{name}: {reason}"
        );
    }
    unharmed(&server).await;
}

#[tokio::test]
async fn spinning_at_the_start_is_found_when_it_is_loaded() {
    let config = "[plugins.spins]\ncpu = \"300ms\"\n";
    does_not_start(config, &[("spins", SPINS)]).await;
}
