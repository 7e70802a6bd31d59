//! The vector service, through the front door.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use lakehouse_tests::{Builder, Server, expect_json, expect_problem, expect_status};
use reqwest::{Method, Response};
use serde_json::{Value, json};

const INDEX: &str = "/v1/vectors/index";

/// A server without plugins: vectors need none.
fn builder(config: &str) -> Builder {
    let builder = Server::builder().config(format!("[plugins]\nrequired = []\n{config}"));
    let none = builder.folder().join("no-plugins");
    fs::create_dir(&none).unwrap();
    builder.plugins_dir(none)
}

async fn start() -> Server {
    builder("").start().await
}

async fn post(server: &Server, path: &str, body: &Value) -> Response {
    let path = format!("{INDEX}{path}");
    server.post(&path).json(body).send().await.unwrap()
}

async fn get(server: &Server, path: &str) -> Response {
    let path = format!("{INDEX}{path}");
    server.get(&path).send().await.unwrap()
}

async fn delete(server: &Server, path: &str) -> Response {
    let path = format!("{INDEX}{path}");
    server.delete(&path).send().await.unwrap()
}

/// An index of three dimensions, named `x`.
async fn make(server: &Server, distance: &str) {
    let spec = json!({"name": "x", "dimension": 3, "distance": distance});
    expect_status(post(server, "", &spec).await, 201).await;
}

async fn add(server: &Server, items: Value) -> Value {
    let answer = post(server, "/x/add", &json!({"items": items})).await;
    expect_json(answer, 200).await
}

async fn count(server: &Server) -> u64 {
    let info = expect_json(get(server, "/x").await, 200).await;
    info["count"].as_u64().unwrap()
}

fn detail(problem: &Value) -> &str {
    problem["detail"].as_str().unwrap()
}

#[tokio::test]
async fn a_batch_of_200_comes_back() {
    let server = start().await;
    let spec = json!({"name": "words", "dimension": 16, "distance": "cosine"});
    let made = expect_json(post(&server, "", &spec).await, 201).await;
    assert_eq!(made["name"], "words");
    assert_eq!(made["count"], 0);

    let vector = |i: usize| -> Vec<f64> {
        (0..16)
            .map(|j| ((i * 31 + j * 17) as f64 * 0.7).sin())
            .collect()
    };
    let items: Vec<Value> = (0..200)
        .map(|i| json!({"id": format!("w-{i:03}"), "vector": vector(i), "metadata": {"i": i}}))
        .collect();
    let answer = post(&server, "/words/add", &json!({"items": items})).await;
    assert_eq!(
        expect_json(answer, 200).await,
        json!({"added": 200, "updated": 0})
    );

    let query = json!({"vector": vector(42), "k": 10});
    let found = expect_json(post(&server, "/words/search", &query).await, 200).await;
    let results = found["results"].as_array().unwrap();
    assert_eq!(results.len(), 10);
    assert_eq!(results[0]["id"], "w-042");
    assert_eq!(results[0]["metadata"], json!({"i": 42}));
    assert!(results[0]["distance"].as_f64().unwrap() < 1e-6);
    let distances: Vec<f64> = results
        .iter()
        .map(|r| r["distance"].as_f64().unwrap())
        .collect();
    assert!(distances.is_sorted());

    let query = json!({"vector": vector(0), "k": 200});
    let found = expect_json(post(&server, "/words/search", &query).await, 200).await;
    let ids: BTreeSet<_> = found["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 200);

    let info = expect_json(get(&server, "/words").await, 200).await;
    assert_eq!(info["dimension"], 16);
    assert_eq!(info["distance"], "cosine");
    assert_eq!(info["count"], 200);
    assert!(info["segments"].as_u64().unwrap() >= 1);
    assert!(info["bytes"].as_u64().unwrap() > 200 * 16 * 4);
    let list = expect_json(get(&server, "").await, 200).await;
    assert_eq!(list["indexes"], json!([info]));
}

#[tokio::test]
async fn distances_are_what_they_are_called() {
    let server = start().await;
    for (distance, near, far) in [("cosine", 0.0, 1.0), ("l2", 1.0, 5.0), ("dot", -2.0, 0.0)] {
        make(&server, distance).await;
        add(
            &server,
            json!([
                {"id": "near", "vector": [2, 0, 0]},
                {"id": "far", "vector": [0, 2, 0]},
            ]),
        )
        .await;
        let query = json!({"vector": [1, 0, 0], "k": 2, "include": []});
        let found = expect_json(post(&server, "/x/search", &query).await, 200).await;
        assert_eq!(
            found,
            json!({"results": [
                {"id": "near", "distance": near},
                {"id": "far", "distance": far},
            ]}),
            "{distance}"
        );
        expect_status(delete(&server, "/x").await, 204).await;
        expect_problem(get(&server, "/x").await, 404).await;
    }
}

#[tokio::test]
async fn metadata_are_kept_replaced_and_cleared() {
    let server = start().await;
    make(&server, "l2").await;
    let metadata = r#"{"z": 1.50, "a": [null, 12345678901234567890, "\u00e9"], "n": {}}"#;
    let body = format!(r#"{{"items":[{{"id":"a","vector":[1,0,0],"metadata":{metadata}}}]}}"#);
    let request = server
        .post(&format!("{INDEX}/x/add"))
        .header("content-type", "application/json");
    expect_status(request.body(body).send().await.unwrap(), 200).await;
    let shown = async || {
        let answer = expect_status(get(&server, "/x/items/a").await, 200).await;
        answer.text().await.unwrap()
    };
    assert!(shown().await.contains(metadata), "as it came");

    assert_eq!(
        add(&server, json!([{"id": "a", "vector": [0, 1, 0]}])).await,
        json!({"added": 0, "updated": 1})
    );
    let text = shown().await;
    assert!(
        text.contains(metadata) && text.contains("[0.0,1.0,0.0]"),
        "{text}"
    );
    add(
        &server,
        json!([{"id": "a", "vector": [0, 1, 0], "metadata": null}]),
    )
    .await;
    assert!(shown().await.contains(metadata), "null keeps");
    add(
        &server,
        json!([{"id": "a", "vector": [0, 1, 0], "metadata": {}}]),
    )
    .await;
    let item: Value = serde_json::from_str(&shown().await).unwrap();
    assert_eq!(item["metadata"], json!({}));
    add(
        &server,
        json!([{"id": "a", "vector": [0, 1, 0], "metadata": {"b": 2}}]),
    )
    .await;
    let query = json!({"vector": [0, 1, 0], "k": 1, "include": ["metadata", "vector"]});
    let found = expect_json(post(&server, "/x/search", &query).await, 200).await;
    assert_eq!(
        found["results"][0],
        json!({"id": "a", "distance": 0.0, "metadata": {"b": 2}, "vector": [0.0, 1.0, 0.0]})
    );
    add(&server, json!([{"id": "plain", "vector": [9, 9, 9]}])).await;
    let item = expect_json(get(&server, "/x/items/plain").await, 200).await;
    assert_eq!(item["metadata"], Value::Null);
}

#[tokio::test]
async fn the_last_of_an_id_in_a_batch_wins() {
    let server = start().await;
    make(&server, "l2").await;
    let added = add(
        &server,
        json!([
            {"id": "a", "vector": [1, 0, 0]},
            {"id": "b", "vector": [5, 5, 5]},
            {"id": "a", "vector": [2, 0, 0]},
        ]),
    )
    .await;
    assert_eq!(added, json!({"added": 2, "updated": 0}));
    assert_eq!(count(&server).await, 2);
    let item = expect_json(get(&server, "/x/items/a").await, 200).await;
    assert_eq!(item["vector"], json!([2.0, 0.0, 0.0]));
}

#[tokio::test]
async fn items_are_deleted_and_added_again() {
    let server = start().await;
    make(&server, "cosine").await;
    let odd = "a/b c%é";
    add(
        &server,
        json!([{"id": "only", "vector": [1, 0, 0]}, {"id": odd, "vector": [0, 1, 0]}]),
    )
    .await;
    let path = "/x/items/a%2Fb%20c%25%C3%A9";
    assert_eq!(expect_json(get(&server, path).await, 200).await["id"], odd);
    expect_status(delete(&server, path).await, 204).await;
    expect_problem(get(&server, path).await, 404).await;
    expect_problem(delete(&server, path).await, 404).await;

    let answer = post(
        &server,
        "/x/delete",
        &json!({"ids": ["only", "only", "never"]}),
    )
    .await;
    assert_eq!(expect_json(answer, 200).await, json!({"deleted": 1}));
    assert_eq!(count(&server).await, 0);
    let query = json!({"vector": [1, 0, 0], "k": 3});
    let found = expect_json(post(&server, "/x/search", &query).await, 200).await;
    assert_eq!(found, json!({"results": []}));
    add(&server, json!([{"id": "only", "vector": [0, 0, 1]}])).await;
    let found = expect_json(post(&server, "/x/search", &query).await, 200).await;
    assert_eq!(found["results"][0]["id"], "only");
    assert_eq!(found["results"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn filters_choose_by_metadata() {
    let server = start().await;
    make(&server, "l2").await;
    let item = |i: i32| json!({"id": format!("{i}"), "vector": [i, 0, 0], "metadata": {"n": i, "even": i % 2 == 0}});
    add(&server, (0..50).map(item).collect()).await;
    let query = json!({"vector": [0, 0, 0], "k": 3, "filter": {"even": true, "n": {"$gte": 10}}});
    let found = expect_json(post(&server, "/x/search", &query).await, 200).await;
    let ids: Vec<_> = found["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["id"].clone())
        .collect();
    assert_eq!(ids, ["10", "12", "14"]);
    let query = json!({"vector": [0, 0, 0], "k": 3, "filter": {"n": {"$like": 1}}});
    let problem = expect_problem(post(&server, "/x/search", &query).await, 400).await;
    assert!(detail(&problem).contains("$like"), "{problem}");
}

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

/// Sends a request whose path nobody tidies up; returns the status.
fn raw(server: &Server, method: &str, path: &str) -> u16 {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn no_name_leaves_the_folder() {
    let server = start().await;
    let folder = server.data_dir();
    let before = listing(&folder);
    for name in [
        "../x",
        "..",
        ".",
        ".x",
        "a/b",
        "/etc",
        "a\\b",
        "",
        "a\0b",
        "é",
        "a b",
        "%2e%2e%2fx",
        &"n".repeat(129),
    ] {
        let spec = json!({"name": name, "dimension": 3, "distance": "l2"});
        expect_problem(post(&server, "", &spec).await, 400).await;
    }
    for path in [
        "..%2Fx",
        "%2e%2e%2fx",
        "..%2f..%2fstore",
        "%2Fetc",
        "a%00b",
        "%c3%a9",
        ".x",
    ] {
        expect_problem(get(&server, &format!("/{path}")).await, 400).await;
        expect_problem(delete(&server, &format!("/{path}")).await, 400).await;
        let body = json!({"items": []});
        expect_problem(post(&server, &format!("/{path}/add"), &body).await, 400).await;
    }
    for path in ["../x", "%2e%2e/x", "..", "../../store", "./.."] {
        for method in ["GET", "DELETE"] {
            let status = raw(&server, method, &format!("{INDEX}/{path}"));
            assert!([400, 404].contains(&status), "{method} {path}: {status}");
        }
    }
    assert_eq!(raw(&server, "GET", &format!("{INDEX}/%ff")), 400);
    assert_eq!(listing(&folder), before);
}

fn listing(folder: &Path) -> BTreeSet<String> {
    let folders = [
        folder.to_owned(),
        folder.join("vectors"),
        folder.join("store"),
    ];
    let entries = folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten();
    entries
        .map(|entry| entry.unwrap().path().display().to_string())
        .collect()
}

#[tokio::test]
async fn methods_and_media_types() {
    let server = start().await;
    make(&server, "l2").await;
    for (method, path, allow) in [
        (Method::PUT, "", "GET,HEAD,POST"),
        (Method::POST, "/x", "DELETE,GET,HEAD"),
        (Method::GET, "/x/add", "POST"),
        (Method::PUT, "/x/items/a", "DELETE,GET,HEAD"),
    ] {
        let answer = server
            .request(method, &format!("{INDEX}{path}"))
            .send()
            .await
            .unwrap();
        let allowed = answer.headers()["allow"].to_str().unwrap().to_owned();
        let mut names: Vec<_> = allowed.split(',').map(str::trim).collect();
        names.sort_unstable();
        assert_eq!(names.join(","), allow);
        expect_problem(answer, 405).await;
    }
    let body = json!({"vector": [1, 2, 3], "k": 1}).to_string();
    let search = format!("{INDEX}/x/search");
    for media in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "nonsense",
    ] {
        let request = server.post(&search).header("content-type", media);
        expect_problem(request.body(body.clone()).send().await.unwrap(), 415).await;
    }
    let request = server
        .post(&search)
        .header("content-type", "application/json; charset=utf-8");
    expect_status(request.body(body).send().await.unwrap(), 200).await;
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

#[tokio::test]
async fn everything_acknowledged_survives_kill_9() {
    let mut server = start().await;
    make(&server, "cosine").await;
    for round in 0..3 {
        // Batches of five, from four clients, until the server dies under them.
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let http = server.client().clone();
                let url = server.url(&format!("{INDEX}/x/add"));
                let acknowledged = Arc::clone(&acknowledged);
                tokio::spawn(async move {
                    for batch in 0.. {
                        let name = format!("{round}-{client}-{batch}");
                        let item = |i: usize| json!({"id": format!("{name}-{i}"), "vector": [i + 1, batch, client], "metadata": {"b": batch}});
                        let body = json!({"items": (0..5).map(item).collect::<Vec<_>>()});
                        match http.post(&url).json(&body).send().await {
                            Ok(answer) if answer.status().is_success() => acknowledged.lock().unwrap().push(name),
                            _ => return,
                        }
                    }
                })
            })
            .collect();
        while acknowledged.lock().unwrap().len() < 60 {
            tokio::task::yield_now().await;
        }
        server.kill9();
        for client in clients {
            client.await.unwrap();
        }
        server.restart().await;
        let names = acknowledged.lock().unwrap().clone();
        for name in &names {
            for i in 0..5 {
                let item =
                    expect_json(get(&server, &format!("/x/items/{name}-{i}")).await, 200).await;
                assert_eq!(item["vector"][0], json!(i as f64 + 1.0));
            }
        }
        // Batches are whole: a multiple of five, whatever was in flight.
        let count = count(&server).await;
        assert_eq!(count % 5, 0);
        let query = json!({"vector": [1, 2, 3], "k": count});
        let found = expect_json(post(&server, "/x/search", &query).await, 200).await;
        assert_eq!(found["results"].as_array().unwrap().len() as u64, count);
    }
}

#[tokio::test]
async fn graphs_and_logs_come_back_after_kill_9() {
    let mut server = start().await;
    let spec = json!({"name": "x", "dimension": 64, "distance": "l2"});
    expect_status(post(&server, "", &spec).await, 201).await;
    let vector = |i: usize| -> Vec<f64> {
        (0..64)
            .map(|j| ((i * 13 + j * j * 7) as f64 * 0.37).sin())
            .collect()
    };
    // Enough that the first ones are sealed.
    for batch in 0..20 {
        let item = |i: usize| json!({"id": format!("i-{i}"), "vector": vector(i)});
        let items: Vec<_> = (batch * 1000..(batch + 1) * 1000).map(item).collect();
        let answer = post(&server, "/x/add", &json!({"items": items})).await;
        expect_status(answer, 200).await;
    }
    expect_status(
        post(&server, "/x/delete", &json!({"ids": ["i-77"]})).await,
        200,
    )
    .await;
    for _ in 0..2 {
        server.restart().await;
        assert_eq!(count(&server).await, 19_999);
        for i in [0, 76, 4321, 19_999] {
            let query = json!({"vector": vector(i), "k": 1});
            let found = expect_json(post(&server, "/x/search", &query).await, 200).await;
            assert_eq!(found["results"][0]["id"], format!("i-{i}"));
            assert!(found["results"][0]["distance"].as_f64().unwrap() < 1e-6);
        }
        expect_problem(get(&server, "/x/items/i-77").await, 404).await;
    }
}

#[tokio::test]
async fn a_damaged_index_is_named_and_the_rest_serves() {
    let mut server = start().await;
    make(&server, "l2").await;
    let spec = json!({"name": "other", "dimension": 3, "distance": "l2"});
    expect_status(post(&server, "", &spec).await, 201).await;
    for i in 0..9 {
        add(
            &server,
            json!([{"id": format!("{i}"), "vector": [i, 0, 0]}]),
        )
        .await;
    }
    server.kill9();
    let folders = fs::read_dir(server.data_dir().join("vectors")).unwrap();
    let folder = folders
        .map(|f| f.unwrap().path())
        .find(|f| f.file_name().unwrap().to_str().unwrap().starts_with("x~"));
    let log = folder.unwrap().join("log-0.bin");
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&log, bytes).unwrap();
    server.restart().await;
    let problem = expect_problem(get(&server, "/x").await, 500).await;
    assert!(detail(&problem).contains("log-0.bin"), "{problem}");
    expect_status(get(&server, "/other").await, 200).await;
    let list = expect_json(get(&server, "").await, 200).await;
    assert_eq!(list["indexes"].as_array().unwrap().len(), 1);
    assert_eq!(list["damaged"][0]["name"], "x");
    expect_status(delete(&server, "/x").await, 204).await;
    make(&server, "l2").await;
}

/// A filesystem of a few megabytes, which takes privileges to make.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
            .arg(folder.path())
            .status();
        mount
            .is_ok_and(|status| status.success())
            .then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_changes_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("not run: no permission to mount a small filesystem");
        return;
    };
    let mut server = builder("").data_dir(disk.0.path()).start().await;
    let spec = json!({"name": "x", "dimension": 256, "distance": "l2"});
    expect_status(post(&server, "", &spec).await, 201).await;
    let items = |batch: usize| -> Vec<Value> {
        let item = |i: usize| json!({"id": format!("{batch}-{i}"), "vector": vec![i as f64 + batch as f64; 256]});
        (0..500).map(item).collect()
    };
    let mut stored = 0;
    let refused = loop {
        let answer = post(&server, "/x/add", &json!({"items": items(stored)})).await;
        if answer.status() != 200 {
            break answer;
        }
        stored += 1;
        assert!(stored < 100, "six megabytes do not hold it all");
    };
    expect_problem(refused, 507).await;
    for _ in 0..2 {
        assert_eq!(count(&server).await, stored as u64 * 500);
        expect_problem(get(&server, &format!("/x/items/{stored}-0")).await, 404).await;
        let query = json!({"vector": vec![1.0; 256], "k": 5});
        let found = expect_json(post(&server, "/x/search", &query).await, 200).await;
        assert_eq!(found["results"].as_array().unwrap().len(), 5);
        server.restart().await;
    }
    // What is small still fits, and the log is sound after the refusal.
    add(&server, json!([{"id": "small", "vector": vec![0.5; 256]}])).await;
    server.restart().await;
    expect_status(get(&server, "/x/items/small").await, 200).await;
    expect_status(delete(&server, "/x").await, 204).await;
}
