//! What the calls do when all is well.

use std::collections::BTreeSet;

use lakehouse_tests::{expect_json, expect_problem, expect_status};
use serde_json::{Value, json};

use crate::{INDEX, add, count, delete, detail, get, make, post, start};

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
