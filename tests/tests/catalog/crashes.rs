//! The process is killed while clients commit.

use std::time::Duration;

use futures::future::join_all;
use lakehouse_tests::expect_json;

use super::{append, get, post_ids, rows, server};

#[tokio::test]
async fn what_was_acknowledged_is_there_after_kill_9() {
    let mut server = server().await;
    append(&server, "t", 0, 10).await;
    let mut acknowledged = 1;
    for round in 0..4_u64 {
        let client = server.client().clone();
        let url = server.url("/v1/ingest?table=t&format=csv");
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let (client, url) = (client.clone(), url.clone());
                tokio::spawn(async move {
                    let mut taken = 0;
                    let body = "id\n0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n";
                    // Until the process is gone.
                    while let Ok(answer) = client.post(&url).body(body).send().await {
                        if answer.status() == 201 && answer.bytes().await.is_ok() {
                            taken += 1;
                        }
                    }
                    taken
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(300 + 130 * round)).await;
        server.kill9();
        for taken in join_all(writers).await {
            acknowledged += taken.expect("a writer that ends");
        }
        server.restart().await;
        let found = rows(&server, "default/t").await;
        assert_eq!(found % 10, 0, "a commit is all or nothing");
        // A commit may have stood whose answer was not heard.
        assert!(
            found >= acknowledged * 10,
            "{found} rows of {acknowledged} commits"
        );
        acknowledged = found / 10;
        let list = expect_json(get(&server, "tables/default/t/snapshots").await, 200).await;
        let snapshots = list["snapshots"].as_array().expect("snapshots");
        assert_eq!(snapshots.len() as u64, acknowledged);
    }
    expect_json(post_ids(&server, "t", 0, 10).await, 201).await;
    assert_eq!(rows(&server, "default/t").await, (acknowledged + 1) * 10);
}
