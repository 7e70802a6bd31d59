//! SQL functions of plugins.

use lakehouse_tests::{Server, expect_problem};
use serde_json::json;

use crate::{rows, send, server};

async fn text() -> Server {
    server(&["text"], "").await
}

#[tokio::test]
async fn a_function_is_called_by_name() {
    let server = text().await;
    let found = rows(
        &server,
        "select slug('Hello, World!'), words('a b  c'), slug(null)",
    )
    .await;
    assert_eq!(found, json!([["hello-world", 3, null]]));
    // Names are written as those of the engine's own functions.
    let found = rows(&server, "select WORDS('a b'), \"words\"('a')").await;
    assert_eq!(found, json!([[2, 1]]));
}

#[tokio::test]
async fn a_function_works_on_tables_and_in_every_clause() {
    let server = text().await;
    rows(
        &server,
        "create table t as select * from (values (1, 'One Two'), (2, null), (3, 'Three')) v (id, title)",
    )
    .await;
    let found = rows(
        &server,
        "select id, slug(title) as s from t where coalesce(words(title), 0) < 2 order by words(title) nulls first",
    )
    .await;
    assert_eq!(found, json!([[2, null], [3, "three"]]));
    let found = rows(
        &server,
        "select words(title), count(*) from t group by 1 order by 1",
    )
    .await;
    assert_eq!(found, json!([[1, 1], [2, 1], [null, 1]]));
    rows(
        &server,
        "create table u as select slug(title) as slug from t",
    )
    .await;
    let found = rows(
        &server,
        "select slug from u where slug is not null order by slug",
    )
    .await;
    assert_eq!(found, json!([["one-two"], ["three"]]));
    let none = rows(&server, "select slug(title) from t where id > 9").await;
    assert_eq!(none, json!([]));
}

#[tokio::test]
async fn many_batches_go_through() {
    let server = text().await;
    let sql = "select count(*), sum(words(slug(concat('Row Number ', v)))) \
               from generate_series(1, 100000) s (v)";
    // A slug is one word.
    assert_eq!(rows(&server, sql).await, json!([[100_000, 100_000]]));
}

#[tokio::test]
async fn an_aggregate_is_called_by_name() {
    let server = text().await;
    let of = |select: &str| {
        format!(
            "select {select} from (values (1, 'a'), (1, 'ccc'), (2, null), (1, 'bbb'), (3, 'x')) v (g, x)"
        )
    };
    let found = rows(&server, &of("longest(x)")).await;
    assert_eq!(found, json!([["bbb"]]));
    let found = rows(&server, &(of("g, longest(x)") + " group by g order by g")).await;
    assert_eq!(found, json!([[1, "bbb"], [2, null], [3, "x"]]));
    let filtered = "g, longest(x) filter (where x <> 'bbb' and g < 3)";
    let found = rows(&server, &(of(filtered) + " group by g order by g")).await;
    assert_eq!(found, json!([[1, "ccc"], [2, null], [3, null]]));
    let found = rows(&server, &of("longest(x) filter (where x is null)")).await;
    assert_eq!(found, json!([[null]]));
    let window = "x, longest(x) over (order by x rows unbounded preceding)";
    let found = rows(&server, &(of(window) + " where g = 1 order by x")).await;
    assert_eq!(found, json!([["a", "a"], ["bbb", "bbb"], ["ccc", "bbb"]]));
    let none = rows(&server, &(of("longest(x)") + " where g > 9")).await;
    assert_eq!(none, json!([[null]]));
}

#[tokio::test]
async fn an_aggregate_keeps_a_state_for_each_of_many_groups() {
    let server = text().await;
    let sql = "select count(*), min(l), max(l) from (\
                 select v % 30000 as g, longest(concat('n', v)) as l \
                 from generate_series(1, 120000) s (v) group by g)";
    let found = rows(&server, sql).await;
    // Of each group the longest is the one of six digits, or the first of five.
    assert_eq!(found[0][0], 30_000);
    assert_eq!(found[0][1], "n100000");
    assert_eq!(found[0][2], "n39999");
}

#[tokio::test]
async fn what_an_aggregate_cannot_do_is_said() {
    let server = text().await;
    for (sql, said) in [
        (
            "select longest(distinct x), count(distinct y) from (values ('a', 1)) v (x, y)",
            "longest takes no DISTINCT",
        ),
        (
            "select longest(x order by x) from (values ('a')) v (x)",
            "longest takes no ORDER BY",
        ),
    ] {
        let problem = expect_problem(send(&server, sql).await, 400).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(said), "{detail}");
    }
}

#[tokio::test]
async fn wrong_arguments_are_named() {
    let server = text().await;
    for sql in [
        "select slug()",
        "select slug('a', 'b')",
        "select words('a', 1)",
    ] {
        let problem = expect_problem(send(&server, sql).await, 400).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("slug") || detail.contains("words"),
            "{sql}: {detail}"
        );
    }
}

#[tokio::test]
async fn without_its_plugin_there_is_no_function() {
    let server = server(&[], "").await;
    let problem = expect_problem(send(&server, "select slug('a')").await, 400).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("slug"), "{detail}");
}

#[tokio::test]
async fn functions_are_those_of_granted_plugins() {
    let config = |functions: &str| {
        format!(
            "[plugins.query.grants]\nstore = [{{ prefix = \"warehouse/\", access = \"read-write\" }}]\n\
             catalog = \"write\"\nvectors = [{{ index = \"*\", access = \"read\" }}]\n\
             functions = [\"{functions}\"]\n"
        )
    };
    let other = server(&["text"], &config("other")).await;
    expect_problem(send(&other, "select slug('a')").await, 400).await;
    let granted = server(&["text"], &config("text")).await;
    assert_eq!(rows(&granted, "select slug('A')").await, json!([["a"]]));
}

#[tokio::test]
async fn a_name_that_sql_has_stays_what_it_is() {
    let server = server(&["liar"], "").await;
    assert_eq!(
        rows(&server, "select abs(-3), same(5)").await,
        json!([[3, 5]])
    );
    let logs = server.logs();
    for (name, reason) in [
        ("abs", "there is a function of this name already"),
        ("Not A Name", "a name is 1 to 64 of a-z 0-9 _"),
        ("lie_schema", "the Arrow stream"),
    ] {
        let line = logs.lines().find(|line| {
            line.contains("a SQL function of a plugin is not used")
                && line.contains(name)
                && line.contains(reason)
        });
        assert!(line.is_some(), "{name} is not in the log");
    }
}
