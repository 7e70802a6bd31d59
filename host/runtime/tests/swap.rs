//! Generations: staged, swapped in, drained, freed.

mod common;

use std::time::Duration;

use common::{BEHAVE, BEHAVE_03, Host, assemble};
use http_body_util::BodyExt;
use lakehouse_runtime::{Artifact, Body, CallError, Retired, Staged, Step, Verdict};

/// Long enough for what is done at once.
const SOON: Duration = Duration::from_secs(10);

async fn stage(host: &Host, text: &str) -> Staged {
    let bytes = assemble(text);
    let mut spec = host.spec("behave", &bytes);
    spec.limits.idle = Duration::from_secs(3600);
    host.runtime
        .stage(spec, Artifact::new(bytes))
        .await
        .expect("a component that serves")
}

/// Stages and swaps; with what served before.
async fn swap(host: &Host, text: &str) -> Option<Retired> {
    let staged = stage(host, text).await;
    host.runtime.swap(staged).retired
}

async fn drained(retired: Option<Retired>) {
    let retired = retired.expect("something served before");
    tokio::time::timeout(SOON, retired.drained())
        .await
        .expect("it drains");
}

#[tokio::test]
async fn what_is_staged_can_be_asked_and_does_not_serve() {
    let host = Host::new();
    let staged = stage(&host, BEHAVE).await;
    let request = http::Request::get("/ok").body(Body::empty()).unwrap();
    let answer = staged.handle(request, "probe").await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "A");
    assert!(host.runtime.plugins().is_empty());
    assert_eq!(host.get("/ok").await.unwrap_err(), CallError::NotFound);
    host.runtime.swap(staged);
    assert_eq!(host.runtime.plugins().len(), 1);
    // The instance that was asked serves on.
    assert_eq!(host.text("/ok").await, "B");
}

#[tokio::test]
async fn a_refusal_says_at_which_step() {
    let host = Host::new();
    for (bytes, step) in [
        (b"text".to_vec(), Step::Validate),
        (assemble(BEHAVE)[..500].to_vec(), Step::Compile),
        (assemble("(component)"), Step::Link),
    ] {
        let spec = host.spec("behave", &bytes);
        let refusal = host.runtime.stage(spec, Artifact::new(bytes)).await;
        let refusal = refusal.expect_err("no plugin");
        assert_eq!(refusal.step, step, "{refusal}");
        assert_eq!(refusal.status.reason.as_ref(), Some(&refusal.reason));
    }
    assert!(host.runtime.plugins().is_empty());
}

#[tokio::test]
async fn the_old_one_finishes_and_is_freed() {
    let host = Host::new();
    assert!(swap(&host, BEHAVE).await.is_none());
    // An answer without an end.
    let mut answer = host.get("/drip").await.unwrap().into_body();
    answer.frame().await.expect("a first part").unwrap();
    let retired = swap(&host, BEHAVE).await.expect("one served before");
    let mut drain = tokio::spawn(retired.drained());
    let waited = tokio::time::timeout(Duration::from_millis(200), &mut drain).await;
    assert!(waited.is_err(), "drained with a request under way");
    answer.frame().await.expect("more of it").unwrap();
    // The new one serves meanwhile.
    assert_eq!(host.text("/ok").await, "A");
    drop(answer);
    tokio::time::timeout(SOON, drain).await.unwrap().unwrap();
}

#[tokio::test]
async fn idle_instances_go_at_once() {
    for text in [BEHAVE, BEHAVE_03] {
        let host = Host::new();
        swap(&host, text).await;
        let answer = host.get("/ok").await.unwrap();
        answer.into_body().collect().await.expect("a whole body");
        drained(swap(&host, text).await).await;
        drained(host.runtime.remove("behave")).await;
        assert_eq!(host.runtime.memory(), 0);
        assert_eq!(host.get("/ok").await.unwrap_err(), CallError::NotFound);
        assert!(host.runtime.remove("behave").is_none());
    }
}

#[tokio::test]
async fn failures_of_the_first_requests_are_counted() {
    let host = Host::new();
    let watch = host.runtime.swap(stage(&host, BEHAVE).await).watch;
    let verdict = tokio::spawn(async move { watch.verdict(100, 2).await });
    tokio::task::yield_now().await;
    host.text("/ok").await;
    for _ in 0..2 {
        assert!(matches!(
            host.get("/trap").await,
            Err(CallError::Trapped(_))
        ));
    }
    let verdict = tokio::time::timeout(SOON, verdict).await.unwrap();
    assert_eq!(verdict.unwrap(), Verdict::Failed(2));
}

#[tokio::test]
async fn compiled_code_can_be_forgotten() {
    let host = Host::new();
    let status = stage(&host, BEHAVE).await.status().clone();
    assert!(!status.cached);
    assert!(stage(&host, BEHAVE).await.status().cached);
    host.runtime.forget(&status.digest);
    assert!(!stage(&host, BEHAVE).await.status().cached);
}

#[tokio::test]
async fn a_component_is_inspected_without_compiling() {
    let host = Host::new();
    let artifact = Artifact::new(assemble(BEHAVE));
    let inspection = host.runtime.inspect(&artifact).unwrap();
    assert_eq!(inspection.http, Some("0.2"));
    assert_eq!(inspection.exports, ["wasi:http/incoming-handler@0.2.0"]);
    let imports: Vec<_> = inspection
        .imports
        .iter()
        .map(|import| &import.name)
        .collect();
    assert!(imports.iter().any(|name| *name == "wasi:http/types@0.2.0"));
    let status = stage(&host, BEHAVE).await.status().clone();
    assert_eq!(imports, status.imports.iter().collect::<Vec<_>>());
    assert!(
        host.runtime
            .inspect(&Artifact::new("text".as_bytes()))
            .is_err()
    );
}
