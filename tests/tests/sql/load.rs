//! Vector indexes filled from queries.

use lakehouse_tests::{Server, expect_json, expect_problem, expect_status};
use reqwest::Response;
use serde_json::{Value, json};

use crate::{rows, run, send, server};

const INDEX: &str = "/v1/vectors/index";

/// A table of colours, and an empty index.
async fn colours() -> Server {
    let server = server().await;
    let index = json!({ "name": "colours", "dimension": 3, "distance": "l2" });
    let made = server.post(INDEX).json(&index).send().await;
    expect_status(made.unwrap(), 201).await;
    run(
        &server,
        "CREATE TABLE colours AS SELECT * FROM (VALUES \
         (1, [1.0, 0.0, 0.0], 'red', 9007199254740993), \
         (2, [1.0, 0.5, 0.0], 'orange', NULL), \
         (3, [0.0, 0.0, 1.0], 'blue', 7)) AS t (id, vector, name, seen)",
    )
    .await;
    server
}

async fn load(server: &Server, body: Value) -> Response {
    let path = format!("{INDEX}/colours/load");
    server.post(&path).json(&body).send().await.unwrap()
}

/// A load that must succeed.
async fn loaded(server: &Server, sql: &str) -> Value {
    expect_json(load(server, json!({ "sql": sql })).await, 200).await
}

async fn info(server: &Server) -> Value {
    let answer = server.get(&format!("{INDEX}/colours")).send().await;
    expect_json(answer.unwrap(), 200).await
}

async fn item(server: &Server, id: &str) -> Value {
    let path = format!("{INDEX}/colours/items/{id}");
    expect_json(server.get(&path).send().await.unwrap(), 200).await
}

async fn snapshot(server: &Server) -> i64 {
    let path = "/v1/catalog/tables/default/colours";
    let table = expect_json(server.get(path).send().await.unwrap(), 200).await;
    table["snapshot_id"].as_i64().unwrap()
}

#[tokio::test]
async fn the_rows_of_a_query_become_items() {
    let mut server = colours().await;
    assert!(info(&server).await.get("source").is_none());
    let sql = "SELECT * FROM colours";
    let answer = load(&server, json!({ "sql": sql })).await;
    let loaded = expect_json(answer, 200).await;
    assert_eq!(
        (&loaded["added"], &loaded["updated"]),
        (&json!(3), &json!(0))
    );
    let first = json!([{ "table": "default.colours", "snapshot_id": snapshot(&server).await }]);
    let source = &loaded["source"];
    assert_eq!(source["tables"], first);
    assert_eq!(
        (&source["sql"], &source["rows"], &source["complete"]),
        (&json!(sql), &json!(3), &json!(true))
    );
    let red = json!({
        "id": "1",
        "vector": [1.0, 0.0, 0.0],
        "metadata": { "name": "red", "seen": 9007199254740993_i64 },
    });
    assert_eq!(item(&server, "1").await, red);
    let orange = item(&server, "2").await;
    assert_eq!(
        orange["metadata"],
        json!({ "name": "orange", "seen": null })
    );

    // Both find each other again in SQL, at the snapshot that the index names.
    let id = first[0]["snapshot_id"].as_i64().unwrap();
    let joined = rows(
        &server,
        &format!(
            "SELECT c.name FROM vector_search('colours', [0, 0, 0.9], 1) v \
             JOIN colours FOR VERSION AS OF {id} c ON c.id = CAST(v.id AS BIGINT)"
        ),
    )
    .await;
    assert_eq!(joined, json!([["blue"]]));

    // A later load says the later snapshot; what it does not name stays.
    run(
        &server,
        "INSERT INTO colours SELECT 4, vector, 'green', 0 FROM colours WHERE id = 3",
    )
    .await;
    let body = json!({
        "sql": "SELECT concat('c', id) AS id, vector FROM colours WHERE id >= $1",
        "params": [4],
    });
    let loaded = expect_json(load(&server, body).await, 200).await;
    assert_eq!(
        (&loaded["added"], &loaded["updated"]),
        (&json!(1), &json!(0))
    );
    assert_ne!(loaded["source"]["tables"], first);
    assert_eq!(item(&server, "c4").await["metadata"], Value::Null);
    for _ in 0..2 {
        let there = info(&server).await;
        assert_eq!(there["count"], 4);
        assert_eq!(there["source"], loaded["source"]);
        server.kill9();
        server.restart().await;
    }

    // A snapshot of the index keeps it too.
    let path = format!("{INDEX}/colours/snapshot");
    expect_status(server.post(&path).send().await.unwrap(), 201).await;
    let path = format!("{INDEX}/copy/restore");
    let of = json!({ "from": "colours" });
    let copy = server.post(&path).json(&of).send().await.unwrap();
    let copy = expect_json(copy, 201).await;
    assert_eq!(copy["source"], loaded["source"]);
}

/// Rows of about 600 bytes, as JSON and in memory.
const LONG: &str = "SELECT value AS id, [value, value % 7, 1] AS vector, repeat('x', 500) AS text \
                    FROM generate_series(1, 30000) AS t (value)";

#[tokio::test]
async fn many_rows_are_loaded_whole_and_twice() {
    let server = colours().await;
    let first = loaded(&server, LONG).await;
    assert_eq!(first["added"], 30_000);
    assert_eq!(first["source"]["tables"], json!([]));
    assert_eq!(info(&server).await["count"], 30_000);
    let last = item(&server, "30000").await;
    assert_eq!(last["vector"], json!([30000.0, 5.0, 1.0]));
    assert_eq!(last["metadata"], json!({ "text": "x".repeat(500) }));
    let again = loaded(&server, LONG).await;
    assert_eq!(
        (&again["added"], &again["updated"]),
        (&json!(0), &json!(30_000))
    );
    let none = loaded(&server, "SELECT * FROM colours WHERE id > 99").await;
    assert_eq!(
        (&none["added"], &none["source"]["rows"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(info(&server).await["count"], 30_000);
}

#[tokio::test]
async fn loads_at_once_do_not_mix() {
    let server = colours().await;
    let of = |text: &str| LONG.replace("'x'", &format!("'{text}'"));
    let (a, b) = (of("a"), of("b"));
    let (a, b) = tokio::join!(loaded(&server, &a), loaded(&server, &b));
    let added = |loaded: &Value| loaded["added"].as_u64().unwrap();
    assert_eq!((added(&a) + added(&b), added(&a) * added(&b)), (30_000, 0));
    let (later, text) = if added(&a) == 0 { (a, "a") } else { (b, "b") };
    assert_eq!(info(&server).await["source"], later["source"]);
    for id in ["1", "15000", "30000"] {
        let text = json!({ "text": text.repeat(500) });
        assert_eq!(item(&server, id).await["metadata"], text);
    }
}

/// The log alone would hold eighteen megabytes of them.
#[tokio::test]
async fn rows_wait_for_room_in_memory() {
    let server = bounded("12MiB").await;
    let all = loaded(&server, LONG).await;
    assert_eq!(all["added"], 30_000);
    let there = info(&server).await;
    assert_eq!(there["count"], 30_000);
    assert!(there["memory"].as_u64().unwrap() <= 12 << 20, "{there}");
}

#[tokio::test]
async fn what_was_added_is_told_when_the_rest_could_not_be() {
    let mut server = bounded("10MiB").await;
    // Rows without texts take more in memory than as JSON: the second part of
    // them has no room whatever is sealed.
    let sql = "SELECT value AS id, [value, 1, 1] AS vector, \
               CASE WHEN value <= 8000 THEN repeat('x', 500) END AS text \
               FROM generate_series(1, 150000) AS t (value) ORDER BY value";
    let problem = expect_problem(load(&server, json!({ "sql": sql })).await, 507).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("vectors.index_memory"), "{detail}");
    let (_, told) = detail.rsplit_once("; ").unwrap();
    let (added, rest) = told.split_once(' ').unwrap();
    assert!(rest.starts_with("of 150000 rows were added"), "{detail}");
    assert_ne!(added, "0");
    for _ in 0..2 {
        let there = info(&server).await;
        assert_eq!(there["count"].to_string(), added);
        assert_eq!(there["source"]["complete"], false);
        server.restart().await;
    }
}

async fn bounded(memory: &str) -> Server {
    let builder = Server::builder().plugins(&["catalog", "query"]);
    let config = format!("[vectors]\nindex_memory = \"{memory}\"\n");
    let server = builder.config(config).start().await;
    let index = json!({ "name": "colours", "dimension": 3, "distance": "l2" });
    let made = server.post(INDEX).json(&index).send().await;
    expect_status(made.unwrap(), 201).await;
    server
}

#[tokio::test]
async fn what_cannot_be_loaded_is_told_and_changes_nothing() {
    let server = colours().await;
    for (sql, why) in [
        ("SELECT nosuch FROM colours", "nosuch"),
        ("SELECT * FROM nosuch", "nosuch"),
        ("SELEC", "begin with one of"),
        ("DROP TABLE colours", "begin with one of"),
        ("/* SELECT */ DELETE FROM colours", "begin with one of"),
        ("SELECT * INTO more FROM colours", "INTO"),
        (
            "WITH more AS (SELECT 9, [1.0, 1.0, 1.0], 'x', 1) INSERT INTO colours SELECT * FROM more",
            "INTO",
        ),
        (
            "SELECT id FROM colours",
            "row 0 of the query: the query gives no column \"vector\"",
        ),
        ("SELECT vector FROM colours", "no column \"id\""),
        (
            "SELECT id, name AS vector FROM colours",
            "row 0 of the query: its vector is red",
        ),
        ("SELECT NULL AS id, vector FROM colours", "its id is null"),
        ("SELECT '' AS id, vector FROM colours", "item 0"),
        (
            "SELECT id, [1, 2] AS vector FROM colours",
            "item 0 (id \"1\"): the vector has 2",
        ),
        (
            "SELECT id, CASE id WHEN 2 THEN [1.0, 2.0, NULL] ELSE vector END AS vector \
             FROM colours ORDER BY id",
            "row 1 of the query: its vector is [1.0,2.0,null]",
        ),
        (
            "SELECT id, NULL AS vector FROM colours",
            "its vector is null",
        ),
        (
            "SELECT id, [1.0, CAST('NaN' AS DOUBLE), 0.0] AS vector FROM colours",
            "NaN",
        ),
        (
            "SELECT id, [1.0, 0.0, CAST('-inf' AS DOUBLE)] AS vector FROM colours",
            "Infinity",
        ),
        (
            "SELECT id, [1.0, 1e300, 0.0] AS vector FROM colours",
            "component 1 of the vector is infinite or outside",
        ),
        ("SELECT id, id, vector FROM colours", "id"),
        // Far down, when others have been looked at already.
        (
            "SELECT value AS id, CASE WHEN value = 90000 THEN [1] ELSE [1, 2, 3] END AS vector, \
             repeat('x', 100) AS text FROM generate_series(1, 90000) AS t (value) ORDER BY value",
            "item 89999 (id \"90000\"): the vector has 1",
        ),
    ] {
        let problem = expect_problem(load(&server, json!({ "sql": sql })).await, 400).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(why), "{sql}: {detail}");
    }
    // The query's own words and place.
    let bad = "SELECT 1 +\n FROM colours";
    let of_sql = expect_problem(send(&server, bad).await, 400).await;
    let of_load = expect_problem(load(&server, json!({ "sql": bad })).await, 400).await;
    assert_eq!(of_load["detail"], of_sql["detail"]);
    assert_eq!(of_load["line"], of_sql["line"]);

    for (body, why) in [
        (json!({}), "sql"),
        (json!({ "sql": "SELECT 1", "mode": 1 }), "mode"),
    ] {
        let problem = expect_problem(load(&server, body).await, 400).await;
        assert!(
            problem["detail"].as_str().unwrap().contains(why),
            "{problem}"
        );
    }
    // What fails on its way, after rows that were good.
    let late = json!({ "sql": "SELECT value AS id, [1, 2, 100 / (90000 - value)] AS vector, \
                               repeat('x', 100) AS text FROM generate_series(1, 95000) AS t (value)" });
    let problem = expect_problem(load(&server, late).await, 502).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("broke off after"), "{detail}");
    assert!(detail.contains("nothing was added"), "{detail}");
    server.logged("Divide by zero").await;

    for (media, body, status, why) in [
        ("application/json", "SELECT 1", 400, "line 1 column 1"),
        ("application/json", "", 400, "EOF"),
        ("application/json", "[\"SELECT 1\"]", 400, "a JSON object"),
        ("application/json", "{\"sql\": 7}", 400, "a string"),
        ("text/plain", "SELECT 1", 415, "application/json"),
        (
            "application/vnd.apache.arrow.stream",
            "",
            415,
            "application/json",
        ),
    ] {
        let path = format!("{INDEX}/colours/load");
        let request = server.post(&path).header("content-type", media).body(body);
        let problem = expect_problem(request.send().await.unwrap(), status).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(why), "{body}: {detail}");
    }
    let path = format!("{INDEX}/nosuch/load");
    let body = json!({ "sql": "SELECT * FROM colours" });
    let answer = server.post(&path).json(&body).send().await.unwrap();
    expect_problem(answer, 404).await;

    let there = info(&server).await;
    assert_eq!(there["count"], 0);
    assert!(there.get("source").is_none(), "{there}");
    let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'default'";
    assert_eq!(rows(&server, tables).await, json!([["colours"]]));
    assert_eq!(
        rows(&server, "SELECT count(*) FROM colours").await,
        json!([[3]])
    );
}

#[tokio::test]
async fn without_sql_nothing_is_loaded() {
    let server = Server::builder().plugins(&["catalog"]).start().await;
    let index = json!({ "name": "colours", "dimension": 3, "distance": "l2" });
    let made = server.post(INDEX).json(&index).send().await;
    expect_status(made.unwrap(), 201).await;
    let answer = load(&server, json!({ "sql": "SELECT 1" })).await;
    expect_problem(answer, 503).await;
}
