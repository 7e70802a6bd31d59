//! Components that serve on code compiled in haste.
#![cfg(target_arch = "x86_64")]

mod common;

use std::time::Duration;

use common::{BEHAVE, BEHAVE_03, Host, assemble, serving};
use lakehouse_runtime::{CallError, Clock, Code, PluginSpec};

/// A component that is large enough for a draft: with a custom section of 64 KiB.
fn large(text: &str) -> Vec<u8> {
    let mut bytes = assemble(text);
    // Its length in LEB128: 65,536 bytes and 2 of its name.
    bytes.extend(b"\x00\x82\x80\x04\x01x");
    bytes.resize(bytes.len() + (64 << 10), b'.');
    bytes
}

fn draft(host: &Host, bytes: &[u8]) -> PluginSpec {
    PluginSpec {
        code: Code::Draft,
        ..host.spec("behave", bytes)
    }
}

#[tokio::test]
async fn a_draft_serves_until_it_is_staged_again() {
    let host = Host::new();
    let spec = draft(&host, &large(BEHAVE));
    let status = host.runtime.load(spec.clone()).await;
    serving(status.clone());
    assert!(status.draft && !status.cached, "{status:?}");
    assert_eq!(host.text("/ok").await, "A");

    let better = PluginSpec {
        code: Code::Better,
        ..spec.clone()
    };
    let status = host.runtime.load(better).await;
    assert!(!status.draft && !status.cached, "{status:?}");
    assert_eq!(host.text("/ok").await, "A");

    // Where there is code already, nothing has to be made in haste.
    let status = host.runtime.load(spec).await;
    assert!(!status.draft && status.cached, "{status:?}");
}

#[tokio::test]
async fn the_limits_hold_for_drafts() {
    let host = Host::new();
    let mut spec = draft(&host, &large(BEHAVE));
    spec.limits.cpu = Duration::from_millis(100);
    assert!(host.runtime.load(spec).await.draft);
    let trapped = host.get("/trap").await;
    assert!(
        matches!(&trapped, Err(CallError::Trapped(trap)) if trap.contains("unreachable")),
        "{trapped:?}"
    );
    let spun = host.get("/spin").await;
    assert!(
        matches!(spun, Err(CallError::Timeout(Clock::Cpu(_)))),
        "{spun:?}"
    );
    assert_eq!(host.text("/ok").await, "A");
}

#[tokio::test]
async fn what_cannot_be_a_draft_is_compiled_well() {
    let host = Host::new();
    let tail_call = "(core module (func $f return_call $f))";
    let text = BEHAVE.trim_end().strip_suffix(')').expect("a component");
    for bytes in [
        // Small.
        assemble(BEHAVE),
        // Of WASI 0.3.
        large(BEHAVE_03),
        // With what the hasty compiler does not know.
        large(&format!("{text}{tail_call})")),
    ] {
        let status = host.runtime.load(draft(&host, &bytes)).await;
        serving(status.clone());
        assert!(!status.draft, "{status:?}");
        let answer = host.get("/ok").await.expect("a response");
        assert!(answer.status().is_success(), "{answer:?}");
    }
}
