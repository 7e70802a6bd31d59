//! What a new version must pass before it serves.

use lakehouse_tests::{drop_in, expect_problem};

use super::guest::{SelfTest, broken, version, with_self_test};
use super::{bench, deploy, put, toy, until_refused, until_toy};

#[tokio::test]
async fn a_self_test_decides() {
    let (builder, folder) = bench("[plugins]\ncheck_timeout = \"500ms\"\n");
    let server = builder.start().await;
    drop_in(&folder, "toy", &with_self_test('a', SelfTest::Passes));
    until_toy(&server, "a").await;
    for (test, expected) in [
        (SelfTest::Refuses, "its self-test failed: no room"),
        (SelfTest::Traps, "unreachable"),
        (SelfTest::Spins, "it takes longer than 500ms"),
    ] {
        drop_in(&folder, "toy", &with_self_test('b', test));
        until_refused(&server, expected).await;
        let problem = expect_problem(put(&server, with_self_test('b', test)).await, 422).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(expected), "{detail}");
        assert_eq!(toy(&server).await, "a");
    }
}

#[tokio::test]
async fn a_probe_decides() {
    let probe = "[plugins.toy.probe]\npath = \"/v1/toy/ok\"\n";
    let (builder, folder) = bench(probe);
    let server = builder.start().await;
    drop_in(&folder, "toy", &version('a'));
    until_toy(&server, "a").await;
    drop_in(&folder, "toy", &broken('b'));
    until_refused(&server, "its probe failed: /v1/toy/ok").await;
    assert_eq!(toy(&server).await, "a");
}

#[tokio::test]
async fn a_probe_compares_the_status() {
    let probe = "[plugins.toy.probe]\npath = \"/v1/toy/ok?x=1\"\nstatus = 204\n";
    let (builder, _) = bench(probe);
    let server = builder.start().await;
    let problem = expect_problem(put(&server, version('a')).await, 422).await;
    let detail = problem["detail"].as_str().unwrap();
    let expected = "/v1/toy/ok?x=1 answers 200 OK, not 204";
    assert!(detail.contains(expected), "{detail}");
}

#[tokio::test]
async fn what_a_plugin_may_not_use_is_named() {
    let (builder, _) = bench("");
    let server = builder.start().await;
    deploy(&server, version('a')).await;
    let storage = std::fs::read(lakehouse_tests::plugin("storage")).unwrap();
    let problem = expect_problem(put(&server, storage).await, 422).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("[plugins.toy.grants]"), "{detail}");
    assert_eq!(toy(&server).await, "a");
}
