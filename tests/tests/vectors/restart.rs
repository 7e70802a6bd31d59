//! The process dies: everything acknowledged is there afterwards.

use std::sync::{Arc, Mutex};

use lakehouse_tests::{expect_json, expect_problem, expect_status};
use serde_json::json;

use crate::{INDEX, count, get, make, post, start};

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
