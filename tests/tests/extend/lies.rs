//! Plugins that return what they must not: each costs the statement or body that used it.

use lakehouse_tests::{Server, expect_json, expect_problem};
use serde_json::json;

use crate::{rows, send, server, traps};

async fn liar() -> Server {
    server(&["liar"], "[plugins.liar]\ndeadline = \"500ms\"\n").await
}

#[tokio::test]
async fn lying_batches_are_errors_that_name_the_function() {
    let server = liar().await;
    for (call, said) in [
        ("lie_rows(v)", "rows instead of"),
        ("lie_type(v)", "a column of Utf8 instead of Int64"),
        ("lie_columns(v)", "2 columns instead of one"),
        ("lie_nothing(v)", "no schema"),
        ("lie_cut(v)", "ends in the middle"),
        ("lie_noise(v)", "broken"),
        ("lie_huge(v)", "a message header of 2147483632 bytes"),
        ("lie_offsets(v)", "returned what it must not"),
        ("lie_utf8(v)", "returned what it must not"),
        ("lie_states(v)", "rows instead of"),
        ("lie_state_type(v)", "a column of Int64 instead of Binary"),
        ("lie_value(v)", "a column of Utf8 instead of Int64"),
    ] {
        let sql = format!("select {call} from generate_series(1, 10) s (v)");
        let problem = expect_problem(send(&server, &sql).await, 500).await;
        let detail = problem["detail"].as_str().unwrap();
        let name = call.split('(').next().unwrap();
        assert!(
            detail.contains(&format!("SQL function `{name}` of plugin `liar`")),
            "{detail}"
        );
        assert!(detail.contains(said), "{call}: {detail}");
    }
    assert_eq!(rows(&server, "select same(7)").await, json!([[7]]));
    assert_eq!(traps(&server, "query").await, 0);
    assert_eq!(traps(&server, "liar").await, 0);
}

#[tokio::test]
async fn no_flipped_bit_brings_the_engine_down() {
    let server = liar().await;
    for bit in (0..8000).step_by(11) {
        let answer = send(&server, &format!("select lie_flip({bit})")).await;
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        assert!([200, 500].contains(&status), "bit {bit}: {status} {text}");
    }
    assert_eq!(traps(&server, "query").await, 0);
}

#[tokio::test]
async fn a_function_that_fails_costs_its_statement_alone() {
    let server = liar().await;
    let problem = expect_problem(send(&server, "select lie_panic(1)").await, 500).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("SQL function `lie_panic` of plugin `liar`"),
        "{detail}"
    );
    let problem = expect_problem(send(&server, "select lie_spin(1)").await, 503).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("SQL function `lie_spin` of plugin `liar`"),
        "{detail}"
    );
    assert_eq!(rows(&server, "select same(7)").await, json!([[7]]));
    assert_eq!(traps(&server, "query").await, 0);
    assert_eq!(traps(&server, "liar").await, 1);
}

#[tokio::test]
async fn a_format_that_lies_costs_its_body_alone() {
    let server = Server::builder()
        .plugins(&["catalog", "ingest", "liar"])
        .config("[plugins.liar]\ndeadline = \"500ms\"\n")
        .start()
        .await;
    for (lie, status, said) in [
        ("cut", 500, "made rows that are none"),
        ("noise", 500, "made rows that are none"),
        ("panic", 500, "format `liar`"),
        ("late", 500, "format `liar`"),
        ("spin", 503, "format `liar`"),
    ] {
        let answer = server
            .post(&format!("/v1/ingest?table=t&format=liar&lie={lie}"))
            .body("rows")
            .send()
            .await
            .unwrap();
        let problem = expect_problem(answer, status).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(said), "{lie}: {detail}");
    }
    assert_eq!(traps(&server, "ingest").await, 0);
    let tables = server.get("/v1/catalog/tables").send().await.unwrap();
    assert_eq!(expect_json(tables, 200).await["tables"], json!([]));
}
