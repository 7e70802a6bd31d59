//! Input that breaks a rule: refused, named, and nothing changed.

use lakehouse_tests::{expect_json, expect_problem};
use serde_json::{Value, json};

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
        (
            json!({"id": "bad", "vector": [1, 1, 1], "metadata": nested(128)}),
            "recursion limit exceeded",
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

/// A JSON object that is so many levels deep.
fn nested(levels: usize) -> Value {
    let list = (1..levels).fold(json!(1), |inner, _| json!([inner]));
    json!({ "a": list })
}

/// Depth, lengths and bytes that a parser may choke on.
#[tokio::test]
async fn hostile_bodies_are_refused() {
    let server = start().await;
    make(&server, "l2").await;
    let deep =
        |open: &str, close: &str| format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
    let lists = deep("[", "]");
    let objects = deep("{\"a\":", "}");
    let item = |member: &str| {
        let item = format!("{{\"id\":\"a\",\"vector\":[1,2,3],{member}}}");
        format!("{{\"items\":[{{\"id\":\"first\",\"vector\":[0,0,0]}},{item}]}}").into_bytes()
    };
    let search = |member: &str| format!("{{\"k\":1,{member}}}").into_bytes();
    let plain = |text: &str| text.to_owned().into_bytes();
    let refused = [
        ("add", plain(&lists), "a JSON object"),
        ("add", plain(&"[".repeat(1 << 20)), "a JSON object"),
        ("add", plain(&"{\"items\":".repeat(1 << 17)), "sequence"),
        (
            "add",
            plain(&format!("{{\"items\":{lists}}}")),
            "a JSON object",
        ),
        (
            "add",
            item(&format!("\"metadata\":{lists}")),
            "item 1 (id \"a\")",
        ),
        (
            "add",
            item(&format!("\"metadata\":{objects}")),
            "recursion limit",
        ),
        (
            "add",
            item("\"metadata\":{\"a\":1e999}"),
            "number out of range",
        ),
        (
            "add",
            item("\"metadata\":{\"a\":\"\\ud800\"}"),
            "hex escape",
        ),
        ("add", item("\"metadata\":{\"a\":tru}"), "line 1"),
        ("add", item("\"id\":\"b\""), "duplicate field `id`"),
        (
            "add",
            item(&format!("\"more\":{lists}")),
            "unknown field `more`",
        ),
        (
            "add",
            b"{\"items\":[{\"id\":\"\xff\",\"vector\":[1,2,3]}]}".to_vec(),
            "unicode",
        ),
        (
            "add",
            plain(r#"{"items":[{"id":"\ud800","vector":[1,2,3]}]}"#),
            "hex escape",
        ),
        (
            "add",
            plain("{\"items\":[{\"id\":\"a\0\",\"vector\":[1,2,3]}]}"),
            "control character",
        ),
        (
            "add",
            plain(&format!(
                "{{\"items\":[{{\"id\":\"a\",\"vector\":[{}]}}]}}",
                "9".repeat(1 << 20)
            )),
            "out of range",
        ),
        (
            "add",
            plain("{\"items\":[{\"id\":\"a\",\"vector\":[01,2,3]}]}"),
            "invalid number",
        ),
        (
            "add",
            plain("{\"items\":[{\"id\":\"a\",\"vector\":[1,2,3,]}]}"),
            "trailing comma",
        ),
        ("add", plain("{\"items\":[]} {}"), "trailing characters"),
        ("add", plain("\u{feff}{\"items\":[]}"), "line 1 column 1"),
        ("search", search(&format!("\"vector\":{lists}")), "f32"),
        ("search", search(&format!("\"vectors\":{lists}")), "f32"),
        (
            "search",
            search(&format!("\"vector\":[1,2,3],\"filter\":{objects}")),
            "filter",
        ),
        (
            "search",
            search(&format!(
                "\"vector\":[1,2,3],\"filter\":{}",
                deep("{\"$not\":", "}")
            )),
            "filter",
        ),
        (
            "search",
            search(&format!("\"vector\":[1,2,3],\"include\":{lists}")),
            "a string",
        ),
        ("delete", plain(&format!("{{\"ids\":{lists}}}")), "a string"),
        ("restore", plain(&lists), "a JSON object"),
    ];
    for (call, body, why) in refused {
        let begins = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let request = server.post(&format!("{INDEX}/x/{call}"));
        let request = request
            .header("content-type", "application/json")
            .body(body);
        let problem = expect_problem(request.send().await.unwrap(), 400).await;
        assert!(detail(&problem).contains(why), "{call} {begins}: {problem}");
        assert_eq!(count(&server).await, 0);
    }

    // Deep and long it may be: a number has as many digits as it likes.
    let digits = format!("0.{}5", "0".repeat(1 << 20));
    let body = format!(
        "{{\"items\":[{{\"id\":\"a\",\"vector\":[{digits},2,3],\"metadata\":{}}}]}}",
        nested(120)
    );
    let request = server.post(&format!("{INDEX}/x/add"));
    let request = request
        .header("content-type", "application/json")
        .body(body);
    expect_json(request.send().await.unwrap(), 200).await;
    let query = json!({"vector": [0, 2, 3], "k": 1, "filter": {"a": {"$exists": true}}});
    let found = expect_json(post(&server, "/x/search", &query).await, 200).await;
    assert_eq!(found["results"][0]["metadata"], nested(120));
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
