//! Arrow data that is not what it says, returned to SQL by `plugins/liar`. How each lie
//! is told is in `tests/tests/extend`; here it is what they cost others.

use std::time::Duration;

use lakehouse_tests::{Server, expect_json, expect_text};

use crate::PATIENCE;

const LIES: [&str; 11] = [
    "rows", "type", "columns", "nothing", "cut", "noise", "huge", "flip", "panic", "spin", "states",
];

async fn sql(server: &Server, sql: String) -> u16 {
    server
        .sql(sql)
        .send()
        .await
        .expect("an answer")
        .status()
        .as_u16()
}

#[tokio::test]
async fn lying_arrow_data_costs_its_own_statement() {
    let server = Server::builder()
        .config("[plugins.liar]\ncpu = \"200ms\"\ndeadline = \"1s\"\n")
        .plugins(&["catalog", "hello", "liar", "query"])
        .start()
        .await;
    let lying = async {
        for lie in LIES {
            // From 64 rows on, so that a flipped bit is one of the header's or the data's.
            let statement =
                format!("SELECT lie_{lie}(value) FROM generate_series(64, 2000) s (value)");
            let status = sql(&server, statement).await;
            assert!(
                [500, 503].contains(&status) || (lie == "flip" && status == 200),
                "{lie}: {status}"
            );
        }
    };
    let honest = async {
        loop {
            let statement = "SELECT sum(same(value)) FROM generate_series(1, 1000) s (value)";
            let answer = server.sql(statement);
            let answer = answer.timeout(PATIENCE).send().await.expect("in time");
            assert_eq!(expect_json(answer, 200).await["rows"][0][0], 500_500);
            let hello = server.get("/v1/hello").timeout(PATIENCE).send().await;
            assert_eq!(
                expect_text(hello.expect("in time"), 200).await,
                "hello, world"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = lying => {}
        () = honest => unreachable!("it ends with the lies"),
    }
    assert_eq!(sql(&server, "SELECT same(1)".to_owned()).await, 200);
}
