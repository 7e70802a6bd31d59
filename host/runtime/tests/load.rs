//! What loads, and what is said of what does not.

mod common;

use std::sync::Arc;

use common::{BEHAVE, COUNTER, Counter, CounterCapability, Host, RELAY, assemble, serving};
use lakehouse_runtime::PluginState;

#[tokio::test]
async fn a_component_serves_and_its_status_says_what_it_is() {
    let host = Host::new();
    let bytes = assemble(BEHAVE);
    let status = host.runtime.load(host.spec("behave", &bytes)).await;
    serving(status.clone());
    assert_eq!(status.http, Some("0.2"));
    assert_eq!(status.size, bytes.len() as u64);
    assert_eq!(status.digest.len(), 64);
    assert_eq!(status.exports, ["wasi:http/incoming-handler@0.2.0"]);
    assert!(status.imports.contains(&"wasi:http/types@0.2.0".to_owned()));
    assert_eq!(host.runtime.plugins().len(), 1);
    assert!(host.runtime.plugin("other").is_none());
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let host = Host::new();
    let mut spec = host.spec("plugin", b"");
    spec.path = host.folder.path().join("nowhere.wasm");
    let status = host.runtime.load(spec).await;
    let reason = status.reason.expect("a reason");
    assert!(reason.contains("nowhere.wasm"), "{reason}");
}

#[tokio::test]
async fn an_empty_file_is_called_empty() {
    assert_eq!(Host::new().refusal(b"").await, "the file is empty");
}

#[tokio::test]
async fn a_text_file_is_called_text() {
    let reason = Host::new().refusal(b"(component)").await;
    assert!(
        reason.contains("is text, not a WebAssembly component"),
        "{reason}"
    );
}

#[tokio::test]
async fn bytes_that_are_nothing_are_called_that() {
    let reason = Host::new().refusal(&[0xff, 0xfe, 0, 1, 2]).await;
    assert!(reason.contains("not WebAssembly"), "{reason}");
}

#[tokio::test]
async fn a_core_module_is_called_one_with_the_way_out() {
    let reason = Host::new().refusal(&assemble("(module)")).await;
    assert!(reason.contains("core WebAssembly module"), "{reason}");
    assert!(reason.contains("wasm-tools component new"), "{reason}");
}

#[tokio::test]
async fn a_component_cut_anywhere_is_refused() {
    let host = Host::new();
    let whole = assemble(BEHAVE);
    for length in [1, 4, 6, 9, 100, whole.len() / 2, whole.len() - 1] {
        let reason = host.refusal(&whole[..length]).await;
        assert!(!reason.is_empty());
    }
    let reason = host.refusal(&whole[..whole.len() / 2]).await;
    assert!(reason.contains("cut off"), "{reason}");
}

#[tokio::test]
async fn damage_inside_is_refused() {
    let mut bytes = assemble(BEHAVE);
    bytes[8..40].fill(0xff);
    let reason = Host::new().refusal(&bytes).await;
    assert!(reason.contains("damaged"), "{reason}");
}

#[tokio::test]
async fn a_component_that_exports_nothing_is_told_what_to_export() {
    let reason = Host::new().refusal(&assemble("(component)")).await;
    assert!(reason.contains("wasi:http/incoming-handler"), "{reason}");
}

#[tokio::test]
async fn imports_that_nobody_provides_are_all_named() {
    let text = r#"(component
        (import "acme:time/travel@2.1.0" (instance (export "back" (func))))
        (import "acme:mind/read@1.0.0" (instance (export "guess" (func (result u32)))))
        (import "acme:only/types@1.0.0" (instance (type $t (record (field "a" u32))) (export "t" (type (eq $t)))))
        (core module $m (func (export "run")))
        (core instance $i (instantiate $m))
        (func $run (canon lift (core func $i "run")))
        (export "run" (func $run)))"#;
    let reason = Host::new().refusal(&assemble(text)).await;
    assert!(
        reason.contains("acme:time/travel@2.1.0, which nothing here provides"),
        "{reason}"
    );
    assert!(reason.contains("acme:mind/read@1.0.0"), "{reason}");
    assert!(!reason.contains("acme:only/types"), "{reason}");
}

#[tokio::test]
async fn a_capability_needs_its_grant() {
    let counter: Arc<CounterCapability> = Arc::new(CounterCapability(Arc::default()));
    let host = Host::with(vec![counter], |_| {});
    let mut spec = host.spec("relay", &assemble(RELAY));

    let reason = host.runtime.load(spec.clone()).await.reason;
    let expected = "imports test:host/counter, which is not granted: add `counter = true` under \
                    [plugins.relay.grants]";
    assert_eq!(reason.as_deref(), Some(expected));

    spec.grants = serde_json::json!({ "counter": 7 });
    let reason = host.runtime.load(spec.clone()).await.reason;
    assert_eq!(reason.as_deref(), Some("grants.counter: is not `true`"));

    spec.grants = serde_json::json!({ "counter": true, "moon": true });
    let reason = host.runtime.load(spec.clone()).await.reason;
    let expected = "grants.moon: there is no such capability; there are counter, plugins, http";
    assert_eq!(reason.as_deref(), Some(expected));

    spec.grants = serde_json::json!({ "counter": true });
    serving(host.runtime.load(spec).await);
}

#[tokio::test]
async fn another_version_of_an_interface_is_refused_and_both_are_named() {
    let counter = Arc::new(Counter::default());
    let host = Host::with(vec![Arc::new(CounterCapability(counter))], |_| {});
    let load = async |version: &str| {
        let text = RELAY.replace(
            "test:host/counter@0.1.0",
            &format!("test:host/counter@{version}"),
        );
        let mut spec = host.spec("relay", &assemble(&text));
        spec.grants = serde_json::json!({ "counter": true });
        host.runtime.load(spec).await
    };
    let reason = async |version: &str| load(version).await.reason.expect("a reason");
    for version in ["9.0.0", "0.2.0", "1.0.0"] {
        let expected = format!(
            "imports test:host/counter@{version}; this host has 0.1.0: update the host, or \
             build the plugin against 0.1.0"
        );
        assert_eq!(reason(version).await, expected);
    }
    for version in ["0.0.9", "0.1.0-rc.1"] {
        let expected = format!(
            "imports test:host/counter@{version}; this host has 0.1.0: build the plugin \
             against 0.1.0"
        );
        assert_eq!(reason(version).await, expected);
    }
    // Patches only add.
    for version in ["0.1.0", "0.1.7"] {
        serving(load(version).await);
    }
}

#[tokio::test]
async fn what_a_later_version_added_is_missing_and_both_are_named() {
    let counter = Arc::new(Counter::default());
    let host = Host::with(vec![Arc::new(CounterCapability(counter))], |_| {});
    let reason = async |name: &str, function: &str| {
        let text = RELAY.replace("test:host/counter@0.1.0", name);
        let imported = "(export \"spin\" (func))";
        let text = text.replacen(imported, &format!("{imported} {function}"), 1);
        let mut spec = host.spec("relay", &assemble(&text));
        spec.grants = serde_json::json!({ "counter": true });
        host.runtime.load(spec).await.reason.expect("a reason")
    };
    let expected = "imports test:host/clock@0.1.7, which this host with 0.1.0 does not have: \
                    update the host, or build the plugin against 0.1.0";
    assert_eq!(reason("test:host/clock@0.1.7", "").await, expected);

    let added = "(export \"rest\" (func))";
    let text = reason("test:host/counter@0.1.7", added).await;
    assert!(text.contains("`rest`"), "{text}");
    let expected = "; the plugin was built against 0.1.7 and this host has 0.1.0: update the \
                    host, or build the plugin against 0.1.0";
    assert!(text.ends_with(expected), "{text}");
    // It is not the version where the versions are equal.
    let text = reason("test:host/counter@0.1.0", added).await;
    assert!(
        text.contains("`rest`") && !text.contains("built against"),
        "{text}"
    );
}

#[tokio::test]
async fn two_capabilities_of_one_name_are_refused() {
    let counter = || Arc::new(CounterCapability(Arc::<Counter>::default()));
    let config = lakehouse_runtime::RuntimeConfig::default();
    assert!(lakehouse_runtime::Runtime::new(config, vec![counter(), counter()]).is_err());
}

#[tokio::test]
async fn a_component_that_needs_more_memory_than_it_may_have_is_refused() {
    let host = Host::new();
    let mut spec = host.spec("behave", &assemble(BEHAVE));
    spec.limits.memory = 1024;
    let reason = host.runtime.load(spec).await.reason.expect("a reason");
    assert!(reason.contains("`memory` of 1024 bytes"), "{reason}");
}

#[tokio::test]
async fn a_failed_plugin_leaves_the_others_and_what_served_before() {
    let host = Host::new();
    host.serve("behave", BEHAVE, |_| {}).await;
    let status = host.runtime.load(host.spec("broken", b"nonsense")).await;
    assert_eq!(status.state, PluginState::Failed);
    assert_eq!(host.runtime.plugins().len(), 2);

    let status = host.runtime.load(host.spec("behave", b"nonsense")).await;
    assert_eq!(status.state, PluginState::Failed);
    assert_eq!(host.text("/ok").await, "A");
}

#[tokio::test]
async fn a_plugin_is_replaced_while_it_serves() {
    let host = Host::new();
    host.serve("behave", BEHAVE, |_| {}).await;
    assert_eq!(host.text("/ok").await, "A");
    let louder = BEHAVE.replace(
        "(i32.const 64) (global.get $served)",
        "(i32.const 96) (global.get $served)",
    );
    host.serve("behave", &louder, |_| {}).await;
    assert_eq!(host.text("/ok").await, "a");
}

#[tokio::test]
async fn exporters_are_found_by_interface() {
    let host = Host::new();
    host.serve("numbers", COUNTER, |_| {}).await;
    let found = host.runtime.exporter("test:guest/counter");
    assert_eq!(found.as_deref(), Some("numbers"));
    assert_eq!(host.runtime.exporter("test:guest/count"), None);
}

#[tokio::test]
async fn the_scratch_folder_is_made_and_emptied() {
    let host = Host::new();
    let scratch = host.folder.path().join("tmp/behave");
    std::fs::create_dir_all(scratch.join("left/over")).expect("a folder");
    std::fs::write(scratch.join("file"), "old").expect("a file");
    let mut spec = host.spec("behave", &assemble(BEHAVE));
    spec.scratch = Some(scratch.clone());
    serving(host.runtime.load(spec).await);
    assert_eq!(std::fs::read_dir(scratch).expect("the folder").count(), 0);
}
