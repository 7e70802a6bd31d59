//! Input that breaks a rule: refused, named, and nothing changed.

use lakehouse_tests::{expect_json, expect_problem};
use serde_json::json;

use crate::{INDEX, add, builder, count, delete, detail, get, make, post, start};

#[tokio::test]
async fn what_is_not_there_or_there_already() {
    let server = start().await;
    make(&server, "l2").await;
    let again = json!({"name": "x", "dimension": 3, "distance": "l2"});
    let problem = expect_problem(post(&server, "", &again).await, 409).await;
    assert!(detail(&problem).contains('x'), "{problem}");
    expect_problem(get(&server, "/y").await, 404).await;
    expect_problem(delete(&server, "/y").await, 404).await;
    for (call, body) in [
        ("add", json!({"items": []})),
        ("search", json!({"vector": [1, 2, 3], "k": 1})),
        ("delete", json!({"ids": ["a"]})),
    ] {
        expect_problem(post(&server, &format!("/y/{call}"), &body).await, 404).await;
    }
    expect_problem(get(&server, "/y/items/a").await, 404).await;
    expect_problem(get(&server, "/x/nothing").await, 404).await;
}

#[tokio::test]
async fn a_bad_item_leaves_nothing_of_its_batch() {
    let server = start().await;
    make(&server, "cosine").await;
    add(
        &server,
        json!([{"id": "old", "vector": [1, 1, 1], "metadata": {"v": 1}}]),
    )
    .await;
    let bad = [
        (json!({"id": "bad", "vector": [1, 2]}), "2 components"),
        (json!({"id": "bad", "vector": [1, 2, 3, 4]}), "4 components"),
        (json!({"id": "bad", "vector": []}), "0 components"),
        (json!({"id": "bad", "vector": [0, 0, 0]}), "zero vector"),
        (json!({"id": "bad", "vector": [1, 1e39, 1]}), "component 1"),
        (json!({"id": "", "vector": [1, 1, 1]}), "empty"),
        (
            json!({"id": "b".repeat(513), "vector": [1, 1, 1]}),
            "513 bytes",
        ),
        (
            json!({"id": "bad", "vector": [1, 1, 1], "metadata": [1]}),
            "not a JSON object",
        ),
        (
            json!({"id": "bad", "vector": [1, 1, 1], "metadata": "text"}),
            "not a JSON object",
        ),
    ];
    for (item, why) in bad {
        let items = json!([
            {"id": "new", "vector": [1, 0, 0]},
            {"id": "old", "vector": [0, 1, 0], "metadata": {"v": 2}},
            item,
            {"id": "last", "vector": [0, 0, 1]},
        ]);
        let answer = post(&server, "/x/add", &json!({"items": items})).await;
        let problem = expect_problem(answer, 400).await;
        assert!(
            detail(&problem).contains("item 2 ") && detail(&problem).contains(why),
            "{problem}"
        );
        assert_eq!(count(&server).await, 1);
        let old = expect_json(get(&server, "/x/items/old").await, 200).await;
        assert_eq!(old["vector"], json!([1.0, 1.0, 1.0]));
        assert_eq!(old["metadata"], json!({"v": 1}));
    }
}

#[tokio::test]
async fn malformed_bodies_are_placed() {
    let server = start().await;
    make(&server, "l2").await;
    for (path, body) in [
        ("/x/add", r#"{"items":[{"id":"a","vector":[1,NaN,2]}]}"#),
        (
            "/x/add",
            r#"{"items":[{"id":"a","vector":[1,-Infinity,2]}]}"#,
        ),
        ("/x/add", r#"{"items":[{"id":"a","vector":[1,1e999,2]}]}"#),
        ("/x/add", r#"{"items":[{"id":"a","vector":[1,null,2]}]}"#),
        ("/x/add", r#"{"items":[["a",[1,2,3]]]}"#),
        (
            "/x/add",
            r#"{"items":[{"id":"a","vector":[1,2,3],"metdata":{}}]}"#,
        ),
        (
            "/x/add",
            r#"{"items":[{"id":"a","vector":[1,2,3],"metadata":{}]}"#,
        ),
        ("/x/add", r#"[[]]"#),
        ("/x/add", "\"items\""),
        ("/x/add", ""),
        ("/x/add", "{\"items\":[\n"),
        ("/x/search", r#"{"vector":[1,2,3]}"#),
        ("/x/search", r#"{"vector":[1,2,3],"k":-1}"#),
        ("/x/search", r#"{"vector":[1,2,3],"k":1e9}"#),
        ("/x/search", r#"{"vector":[1,2,3],"k":1,"k":2}"#),
        ("/x/search", r#"{"vector":[1,Infinity,3],"k":1}"#),
        ("/x/delete", r#"{"ids":"a"}"#),
        ("", r#"{"name":"y","dimension":3,"distance":"manhattan"}"#),
        ("", r#"{"name":"y","dimension":3}"#),
        ("", r#"{"name":"y","dimension":-3,"distance":"l2"}"#),
    ] {
        let request = server
            .post(&format!("{INDEX}{path}"))
            .header("content-type", "application/json");
        let answer = request.body(body).send().await.unwrap();
        let problem = expect_problem(answer, 400).await;
        assert!(
            problem["line"].is_u64() && problem["column"].is_u64(),
            "{body}: {problem}"
        );
    }
    let request = server
        .post(&format!("{INDEX}/x/add"))
        .header("content-type", "application/json");
    let broken = request
        .body("{\"items\": [\n {\"id\": 7}\n]}")
        .send()
        .await
        .unwrap();
    assert_eq!(expect_problem(broken, 400).await["line"], 2);
    assert_eq!(count(&server).await, 0);
    assert_eq!(
        expect_json(get(&server, "").await, 200).await["indexes"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn values_out_of_range_are_refused() {
    let server = start().await;
    make(&server, "cosine").await;
    add(&server, json!([{"id": "a", "vector": [1, 2, 3]}])).await;
    for (field, value, why) in [
        ("k", json!(0), "k must be 1 to 10000"),
        ("k", json!(1_000_000_000), "k must be 1 to 10000"),
        ("ef", json!(0), "ef must be"),
        ("ef", json!(1_000_000_000), "ef must be"),
        ("vector", json!([1, 2]), "2 components"),
        ("vector", json!([0, 0, 0]), "zero vector"),
        ("vector", json!([1, 1e39, 0]), "component 1"),
        ("filter", json!([]), "filter"),
        ("include", json!(["colour"]), "colour"),
    ] {
        let mut query = json!({"vector": [1, 2, 3], "k": 1});
        query[field] = value;
        let problem = expect_problem(post(&server, "/x/search", &query).await, 400).await;
        assert!(detail(&problem).contains(why), "{problem}");
    }
    for (field, value) in [
        ("dimension", json!(0)),
        ("dimension", json!(65_537)),
        ("m", json!(1)),
        ("m", json!(257)),
        ("ef_construction", json!(0)),
        ("ef_construction", json!(1_000_000)),
    ] {
        let mut spec = json!({"name": "y", "dimension": 3, "distance": "l2"});
        spec[field] = value;
        let problem = expect_problem(post(&server, "", &spec).await, 400).await;
        assert!(detail(&problem).contains(field), "{problem}");
    }
    expect_problem(get(&server, "/y").await, 404).await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let server = builder("[vectors]\nmax_body = \"64KiB\"\n").start().await;
    make(&server, "l2").await;
    let items: Vec<_> = (0..5000)
        .map(|i| json!({"id": format!("i{i}"), "vector": [i, 1, 2]}))
        .collect();
    expect_problem(post(&server, "/x/add", &json!({"items": items})).await, 413).await;
    assert_eq!(count(&server).await, 0);
}
