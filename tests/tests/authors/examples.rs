//! The example plugins in Python and JavaScript, as `cargo xtask test` builds them.

use lakehouse_tests::{Server, expect_json, expect_problem};
use serde_json::json;

async fn server(plugin: &str) -> Server {
    Server::builder().plugins(&[plugin]).start().await
}

#[tokio::test]
async fn a_plugin_in_python_serves() {
    let server = server("tally").await;
    // An instance serves many: what one request leaves behind meets the next.
    for _ in 0..3 {
        let text = "to be or not to be ".repeat(10_000);
        let request = server.post("/v1/tally").header("x-request-id", "hamlet");
        let counts = expect_json(request.body(text).send().await.unwrap(), 200).await;
        assert_eq!(
            counts,
            json!({"to": 20_000, "be": 20_000, "or": 10_000, "not": 10_000})
        );
    }
    // It logs through the host's interface.
    let logs = server.logged("counted").await;
    let line = logs.lines().find(|line| line.contains("counted"));
    let line = line.unwrap_or_else(|| panic!("{logs}"));
    assert!(line.contains("hamlet") && line.contains("60000"), "{line}");

    let answer = server.get("/v1/tally").send().await.unwrap();
    assert_eq!(answer.headers()["allow"], "POST");
    expect_problem(answer, 405).await;
    let request = server.post("/v1/tally").body(vec![b'a', 0xff]);
    let problem = expect_problem(request.send().await.unwrap(), 400).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("not UTF-8"), "{detail}");
}

#[tokio::test]
async fn a_plugin_in_javascript_serves() {
    let server = server("roman").await;
    // One instance serves them all.
    for (number, roman) in [(1987, "MCMLXXXVII"), (4, "IV"), (3999, "MMMCMXCIX")] {
        let answer = server.get(&format!("/v1/roman?n={number}")).send().await;
        assert_eq!(
            expect_json(answer.unwrap(), 200).await,
            json!({"number": number, "roman": roman})
        );
    }
    for wanted in ["0", "4000", "1.5", "x", ""] {
        let answer = server.get(&format!("/v1/roman?n={wanted}")).send().await;
        let problem = expect_problem(answer.unwrap(), 400).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("no whole number from 1 to 3999"),
            "{detail}"
        );
    }
}
