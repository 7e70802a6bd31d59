//! How a statement may be sent: methods, media types, parameters.

use lakehouse_tests::{expect_json, expect_problem};
use serde_json::json;

use crate::{rows, run, server, with_params};

#[tokio::test]
async fn a_statement_comes_as_json_or_as_text() {
    let server = server().await;
    let answer = run(&server, "SELECT 1 AS one, 'x' AS letter").await;
    assert_eq!(
        answer["columns"],
        json!([{"name": "one", "type": "Int64"}, {"name": "letter", "type": "Utf8"}])
    );
    assert_eq!(answer["rows"], json!([[1, "x"]]));
    assert_eq!(answer["row_count"], 1);
    assert!(answer["elapsed_ms"].is_number());

    let answer = with_params(&server, "SELECT 2 AS two", json!([])).await;
    assert_eq!(expect_json(answer, 200).await["rows"], json!([[2]]));
}

/// `curl -d` calls every body a form.
#[tokio::test]
async fn a_statement_called_a_form_is_still_a_statement() {
    let server = server().await;
    let send = |body: &'static str| {
        let form = server
            .post("/v1/sql")
            .header("content-type", "application/x-www-form-urlencoded");
        form.body(body).send()
    };
    for (body, rows) in [
        ("SELECT '%41+b' AS x", json!([["%41+b"]])),
        ("\n {\"sql\": \"SELECT $1\", \"params\": [3]}", json!([[3]])),
    ] {
        let answer = expect_json(send(body).await.unwrap(), 200).await;
        assert_eq!(answer["rows"], rows, "{body}");
    }
    for body in ["", "sql=SELECT+1", "{\"sql\": }"] {
        expect_problem(send(body).await.unwrap(), 400).await;
    }
}

#[tokio::test]
async fn what_is_not_a_statement_is_refused() {
    let server = server().await;
    for method in ["GET", "PUT", "DELETE"] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let answer = server.request(method, "/v1/sql").send().await.unwrap();
        assert_eq!(answer.headers()["allow"], "POST");
        expect_problem(answer, 405).await;
    }
    let answer = server.post("/v1/sql/more").body("SELECT 1").send().await;
    expect_problem(answer.unwrap(), 404).await;

    let form = server
        .post("/v1/sql")
        .header("content-type", "multipart/form-data")
        .body("SELECT 1");
    expect_problem(form.send().await.unwrap(), 415).await;

    let wrong = server
        .post("/v1/sql")
        .header("content-type", "application/json");
    let answer = wrong.try_clone().unwrap().body("{\n\"sql\": }").send();
    let problem = expect_problem(answer.await.unwrap(), 400).await;
    assert_eq!(problem["line"], 2);
    for body in [r#"{"query":"SELECT 1"}"#, "[]", r#"{"sql":1}"#, ""] {
        let answer = wrong.try_clone().unwrap().body(body).send().await.unwrap();
        expect_problem(answer, 400).await;
    }

    let answer = server
        .post("/v1/sql")
        .header("content-type", "text/plain")
        .body(vec![b'S', 0xff])
        .send();
    expect_problem(answer.await.unwrap(), 400).await;

    let answer = server
        .post("/v1/sql")
        .header("accept", "image/png")
        .body("SELECT 1")
        .send();
    let problem = expect_problem(answer.await.unwrap(), 406).await;
    assert!(problem["detail"].as_str().unwrap().contains("text/csv"));
}

#[tokio::test]
async fn parameters_take_the_place_of_placeholders() {
    let server = server().await;
    let sql = "SELECT $1 + 1 AS a, $2 AS b, $3 AS c, $4 AS d, $5 AS e";
    let params = json!([9223372036854775806_i64, "it's", 1.5, true, null]);
    let answer = expect_json(with_params(&server, sql, params).await, 200).await;
    assert_eq!(
        answer["rows"],
        json!([[9223372036854775807_i64, "it's", 1.5, true, null]])
    );

    run(
        &server,
        "CREATE TABLE days AS SELECT DATE '2024-02-29' AS day, 7 AS n",
    )
    .await;
    let sql = "SELECT n FROM days WHERE day >= ? AND n IN (?, ?)";
    let answer = with_params(&server, sql, json!(["2024-02-29", 7, 8])).await;
    assert_eq!(expect_json(answer, 200).await["rows"], json!([[7]]));

    let insert = with_params(
        &server,
        "INSERT INTO days VALUES ($1, $2)",
        json!(["2025-01-01", 8]),
    );
    expect_json(insert.await, 200).await;
    assert_eq!(
        rows(&server, "SELECT day, n FROM days ORDER BY n").await,
        json!([["2024-02-29", 7], ["2025-01-01", 8]])
    );
}

#[tokio::test]
async fn too_few_or_too_many_parameters_are_refused() {
    let server = server().await;
    for (sql, params) in [
        ("SELECT $1, $2", json!([1])),
        ("SELECT $1", json!([1, 2])),
        ("SELECT 1", json!([1])),
        ("SELECT ?", json!([])),
        ("SELECT $1", json!([[1, "a"]])),
        ("SELECT $1", json!([{"a": 1}])),
        ("SELECT ?, $1", json!([1])),
        ("SELECT $name", json!([1])),
    ] {
        let problem = expect_problem(with_params(&server, sql, params).await, 400).await;
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{sql}");
    }
}
