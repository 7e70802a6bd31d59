//! Many queries at once, and bodies that make no sense.

use lakehouse_tests::{expect_json, expect_problem, expect_status};
use serde_json::{Value, json};

use crate::{INDEX, add, detail, get, make, post, start};

/// Cut and changed bodies are taken or refused, and nothing else happens.
#[tokio::test]
async fn broken_bodies_are_refused() {
    let server = start().await;
    make(&server, "l2").await;
    let whole =
        br#"{"items": [{"id": "a", "vector": [1, 2.5e0, -3], "metadata": {"n": "\u00e9"}}]}"#;
    let mut bodies: Vec<_> = (0..whole.len()).map(|end| whole[..end].to_vec()).collect();
    let mut seed = 1_u64;
    let mut next = |below: usize| {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (seed >> 33) as usize % below
    };
    for _ in 0..400 {
        let mut changed = whole.to_vec();
        for _ in 0..1 + next(3) {
            let at = next(changed.len());
            changed[at] = match next(3) {
                0 => 0,
                1 => 0xff,
                _ => next(256) as u8,
            };
        }
        bodies.push(changed);
    }
    for body in bodies {
        for call in ["add", "search"] {
            let request = server.post(&format!("{INDEX}/x/{call}"));
            let request = request.header("content-type", "application/json");
            let answer = request.body(body.clone()).send().await.unwrap();
            let status = answer.status().as_u16();
            let text = answer.text().await.unwrap();
            let body = String::from_utf8_lossy(&body);
            assert!(status == 200 || status == 400, "{status} {text} for {body}");
        }
    }
    expect_status(get(&server, "/x").await, 200).await;
}

#[tokio::test]
async fn many_queries_are_answered_in_their_order() {
    let server = start().await;
    make(&server, "l2").await;
    let item = |i: i32| json!({"id": format!("{i}"), "vector": [i, 0, 0], "metadata": {"n": i}});
    add(&server, (0..50).map(item).collect()).await;
    let queries: Vec<_> = (0..50).map(|i| json!([i, 0, 0])).collect();
    let body = json!({"vectors": queries, "k": 2, "filter": {"n": {"$lt": 49}}, "include": []});
    let found = expect_json(post(&server, "/x/search", &body).await, 200).await;
    let results = found["results"].as_array().unwrap();
    assert_eq!(results.len(), 50);
    for (i, hits) in results.iter().enumerate() {
        let nearest = if i == 49 { 48 } else { i };
        assert_eq!(hits[0]["id"], nearest.to_string());
        assert_eq!(hits.as_array().unwrap().len(), 2);
    }
    let one = json!({"vectors": [[0, 0, 0]], "k": 1, "include": []});
    let found = expect_json(post(&server, "/x/search", &one).await, 200).await;
    assert_eq!(found, json!({"results": [[{"id": "0", "distance": 0.0}]]}));
    let none = json!({"vectors": [], "k": 1});
    let found = expect_json(post(&server, "/x/search", &none).await, 200).await;
    assert_eq!(found, json!({"results": []}));

    let many: Vec<Value> = vec![json!([0, 0, 0]); 10_001];
    for (body, why) in [
        (json!({"k": 1}), "either"),
        (
            json!({"k": 1, "vector": [1, 2, 3], "vectors": []}),
            "either",
        ),
        (
            json!({"k": 1, "vectors": [[1, 2, 3], [1, 2]]}),
            "query 1: the vector has 2",
        ),
        (json!({"k": 1, "vectors": many}), "10001 queries"),
        (
            json!({"k": 10_000, "vectors": many[..101]}),
            "1010000 results",
        ),
    ] {
        let problem = expect_problem(post(&server, "/x/search", &body).await, 400).await;
        assert!(detail(&problem).contains(why), "{problem}");
    }
}
