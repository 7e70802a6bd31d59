//! What is too deep, too large or no longer wanted.

use std::fmt::Write;
use std::time::Duration;

use futures::StreamExt;
use lakehouse_tests::{Server, expect_problem};
use serde_json::json;

use crate::{rows, send, server};

#[tokio::test]
async fn ten_thousand_levels_are_refused() {
    let server = server().await;
    let nested = |open: &str, inner: &str, close: &str| {
        format!(
            "SELECT {}{inner}{}",
            open.repeat(10_000),
            close.repeat(10_000)
        )
    };
    for (name, sql) in [
        ("parentheses", nested("(", "1", ")")),
        ("functions", nested("abs(", "1", ")")),
        ("signs", nested("- ", "1", "")),
        ("negations", nested("NOT ", "true", "")),
        ("arrays", nested("[", "1", "]")),
        ("cases", nested("CASE WHEN true THEN ", "1", " END")),
        ("subqueries", nested("(SELECT ", "1", ")")),
        ("casts", nested("", "1", "::int")),
        ("sums", nested("1 + ", "1", "")),
        ("conditions", nested("true AND ", "true", "")),
        (
            "unions",
            format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(10_000)),
        ),
        (
            "joins",
            format!("SELECT 1 FROM a{}", " JOIN a ON true".repeat(10_000)),
        ),
        (
            "cross joins",
            format!("SELECT 1 FROM a{}", ", a".repeat(10_000)),
        ),
    ] {
        let answer = send(&server, &sql).await;
        assert_eq!(answer.status(), 400, "{name}");
        expect_problem(answer, 400).await;
    }
    assert_eq!(rows(&server, "SELECT 1").await, json!([[1]]));
}

#[tokio::test]
async fn what_people_write_is_not_too_deep() {
    let server = server().await;
    let conditions = "value = 1 OR ".repeat(300);
    let sql = format!("SELECT count(*) FROM generate_series(1, 10) WHERE {conditions} value = 2");
    assert_eq!(rows(&server, &sql).await, json!([[2]]));

    let sum = "1 + ".repeat(300);
    assert_eq!(
        rows(&server, &format!("SELECT {sum} 1")).await,
        json!([[301]])
    );

    let nested = format!("SELECT {}1{}", "(".repeat(50), ")".repeat(50));
    assert_eq!(rows(&server, &nested).await, json!([[1]]));

    let unions = " UNION ALL SELECT 1".repeat(100);
    let sql = format!("SELECT count(*) FROM (SELECT 1{unions})");
    assert_eq!(rows(&server, &sql).await, json!([[101]]));

    let mut list = String::new();
    for n in 0..20_000 {
        write!(list, "{n},").unwrap();
    }
    let sql = format!("SELECT count(*) FROM generate_series(1, 10) WHERE value IN ({list} 20000)");
    assert_eq!(rows(&server, &sql).await, json!([[10]]));
}

#[tokio::test]
async fn a_large_result_streams_in_bounded_memory() {
    let server = server().await;
    rows(&server, "SELECT 1").await;
    let (before, _) = server.resident();
    let answer = server
        .post("/v1/sql")
        .header("accept", "text/csv")
        .body("SELECT value, md5(CAST(value AS VARCHAR)) AS hash FROM generate_series(1, 6000000)")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let mut bytes = 0_u64;
    let mut body = answer.bytes_stream();
    // Not the highest of the process's life: starting takes more.
    let mut highest = 0;
    let mut sampled = 0;
    while let Some(chunk) = body.next().await {
        bytes += chunk.unwrap().len() as u64;
        if bytes - sampled > 8 << 20 {
            sampled = bytes;
            highest = highest.max(server.resident().0);
        }
    }
    assert!(bytes > 240_000_000, "{bytes} bytes");
    assert!(
        highest < before + (128 << 20),
        "resident memory went from {before} to {highest} for {bytes} bytes"
    );
}

#[tokio::test]
async fn an_error_in_the_middle_cuts_the_answer_off() {
    let server = server().await;
    let answer = send(
        &server,
        "SELECT 1 / (value - 5000000) FROM generate_series(1, 10000000)",
    )
    .await;
    assert_eq!(answer.status(), 200);
    assert!(
        answer.bytes().await.is_err(),
        "an answer that failed passes for whole"
    );
    assert_eq!(rows(&server, "SELECT 1").await, json!([[1]]));
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_query() {
    let server = Server::builder()
        .plugins(&["catalog", "query"])
        .config("[plugins.query]\nconcurrency = 1\nqueue_wait = \"20s\"\n")
        .start()
        .await;
    for sql in [
        // Computes for hours before its first row.
        "SELECT count(*) FROM generate_series(1, 100000000000) a WHERE a.value % 7 = 9",
        // Would send for hours.
        "SELECT * FROM generate_series(1, 100000000000)",
    ] {
        let request = server.post("/v1/sql").body(sql);
        let gone = tokio::time::timeout(Duration::from_secs(1), async {
            let mut body = request.send().await.unwrap().bytes_stream();
            while body.next().await.is_some() {}
        });
        assert!(gone.await.is_err(), "{sql} ended by itself");
        // The one place is free again.
        assert_eq!(rows(&server, "SELECT 1").await, json!([[1]]));
    }
}

/// Statements that spend their time in different places: hash tables, text, sorting,
/// products of decimals, and in the host.
const BUSY: [&str; 5] = [
    "SELECT count(*) FROM (SELECT value % 1000003 AS g, sum(value) FROM \
     generate_series(1, 100000000) GROUP BY g)",
    "SELECT sum(length(upper(md5(CAST(value AS VARCHAR))))) FROM generate_series(1, 100000000)",
    "SELECT value FROM generate_series(1, 20000000) ORDER BY value % 1013, value DESC",
    "SELECT sum(CAST(value AS DECIMAL(38, 4)) * 1.0001) FROM generate_series(1, 100000000)",
    "SELECT * FROM generate_series(1, 100000000)",
];

#[tokio::test]
async fn queries_are_stopped_wherever_they_are() {
    let server = server().await;
    let clients = (0..8_u64).map(|client| {
        let server = &server;
        async move {
            for turn in 0..25 {
                // Moments without a pattern, the same in every run.
                let micros = (client * 25 + turn).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
                let sql = BUSY[(client + turn) as usize % BUSY.len()];
                let request = server.post("/v1/sql").body(sql);
                let gone = tokio::time::timeout(Duration::from_micros(micros), async {
                    let mut body = request.send().await.unwrap().bytes_stream();
                    while body.next().await.is_some() {}
                });
                assert!(gone.await.is_err(), "{sql} ended by itself");
            }
        }
    });
    futures::future::join_all(clients).await;
    assert_eq!(
        rows(&server, "SELECT sum(value) FROM generate_series(1, 100)").await,
        json!([[5050]])
    );
    let logs = server.logs();
    assert!(!logs.contains("trapped"), "{logs}");
}

/// A server whose queries get little memory.
async fn small(memory: &str, spill: &str) -> Server {
    Server::builder()
        .plugins(&["catalog", "query"])
        .config(format!(
            "[plugins.query.config]\nmemory_limit = \"{memory}\"\nspill_limit = \"{spill}\"\n"
        ))
        .start()
        .await
}

#[tokio::test]
async fn a_sort_larger_than_memory_spills() {
    let server = small("32MiB", "4GiB").await;
    let sql = "SELECT value, md5(CAST(value AS VARCHAR)) AS hash \
               FROM generate_series(1, 1000000) ORDER BY hash";
    let answer = server
        .post("/v1/sql")
        .header("accept", "text/csv")
        .body(sql)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let text = answer.text().await.unwrap();
    let mut last = "";
    let mut count = 0;
    for line in text.lines().skip(1) {
        let (_, hash) = line.split_once(',').unwrap();
        assert!(last <= hash, "{last} stands before {hash}");
        last = hash;
        count += 1;
    }
    assert_eq!(count, 1_000_000);
    let plan = rows(&server, &format!("EXPLAIN ANALYZE {sql}"))
        .await
        .to_string();
    assert!(plan.contains("spill_count="), "{plan}");
    assert!(
        !plan.contains("spill_count=0"),
        "nothing was spilled: {plan}"
    );
}

#[tokio::test]
async fn groups_larger_than_memory_spill() {
    let server = small("48MiB", "4GiB").await;
    assert_eq!(
        rows(
            &server,
            "SELECT count(*), sum(n) FROM (SELECT md5(CAST(value % 1000000 AS VARCHAR)) AS h, \
             count(*) AS n FROM generate_series(1, 2000000) GROUP BY 1)"
        )
        .await,
        json!([[1000000, 2000000]])
    );
}

#[tokio::test]
async fn a_query_that_fits_neither_memory_nor_disk_is_told_so() {
    let server = small("32MiB", "16MiB").await;
    let sort =
        "SELECT md5(CAST(value AS VARCHAR)) AS hash FROM generate_series(1, 5000000) ORDER BY 1";
    let problem = expect_problem(send(&server, sort).await, 507).await;
    assert!(
        problem["detail"].as_str().unwrap().contains("spill"),
        "{problem}"
    );
    let join = "SELECT count(*) FROM generate_series(1, 5000000) a \
                JOIN generate_series(1, 5000000) b ON a.value = b.value";
    let problem = expect_problem(send(&server, join).await, 507).await;
    assert!(
        problem["detail"].as_str().unwrap().contains("memory")
            || problem["detail"].as_str().unwrap().contains("Resources"),
        "{problem}"
    );
    assert_eq!(rows(&server, "SELECT 1").await, json!([[1]]));
}
