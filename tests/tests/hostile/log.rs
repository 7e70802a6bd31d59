use lakehouse_tests::expect_text;

use crate::{commit, detail, start, unharmed};

#[tokio::test]
async fn what_one_request_logs_is_cut_and_that_is_said_once() {
    let server = start().await;
    // Takes its processor time, or the time is up: both are within its rights.
    let answer = commit(&server, "log").await;
    if answer.status() == 200 {
        assert_eq!(expect_text(answer, 200).await, "logged");
    }
    let logs = server.logged("`max_log`").await;
    assert_eq!(logs.matches("`max_log`").count(), 1);
    assert!(logs.len() < 256 << 10, "{} bytes", logs.len());
    unharmed(&server).await;
}

#[tokio::test]
async fn logging_for_ever_ends_at_a_limit() {
    let server = start().await;
    detail(&server, "log-forever", 504).await;
    assert!(server.logs().len() < 256 << 10);
    unharmed(&server).await;
}
