//! Many writers of one table at once.

use std::collections::HashSet;

use futures::future::join_all;
use lakehouse_tests::expect_json;
use serde_json::json;

use super::{append, get, post, post_ids, rows, server};

#[tokio::test]
async fn no_append_is_lost() {
    let server = server().await;
    let writers = (0..24).map(|n| append(&server, "t", n * 10, n * 10 + 10));
    let answers = join_all(writers).await;
    let ids: HashSet<_> = answers.iter().map(|a| a["snapshot_id"].as_i64()).collect();
    assert_eq!(ids.len(), 24);
    assert_eq!(rows(&server, "default/t").await, 240);
    let list = expect_json(get(&server, "tables/default/t/snapshots").await, 200).await;
    let snapshots = list["snapshots"].as_array().expect("snapshots");
    assert_eq!(snapshots.len(), 24);
    for pair in snapshots.windows(2) {
        assert_eq!(pair[1]["parent_snapshot_id"], pair[0]["snapshot_id"]);
    }
}

#[tokio::test]
async fn one_of_many_makers_wins() {
    let server = server().await;
    let makers = (0..8).map(|_| {
        let request = server.post("/v1/ingest?table=t&format=csv&mode=create");
        request.body("id\n1\n2\n").send()
    });
    let mut made = 0;
    for answer in join_all(makers).await {
        let answer = answer.expect("an answer");
        match answer.status().as_u16() {
            201 => made += 1,
            409 => {}
            other => panic!("{other}: {}", answer.text().await.unwrap_or_default()),
        }
    }
    assert_eq!(made, 1);
    assert_eq!(rows(&server, "default/t").await, 2);
}

#[tokio::test]
async fn rolling_back_while_others_append_loses_no_snapshot() {
    let server = server().await;
    let first = append(&server, "t", 0, 10).await;
    let body = json!({ "snapshot_id": first["snapshot_id"] });
    let writers = join_all((1..9).map(|n| post_ids(&server, "t", n * 10, n * 10 + 10)));
    let rollbacks = join_all((0..4).map(|_| post(&server, "tables/default/t/rollback", &body)));
    let (written, rolled) = futures::join!(writers, rollbacks);
    for answer in written {
        expect_json(answer, 201).await;
    }
    for answer in rolled {
        expect_json(answer, 200).await;
    }
    let list = expect_json(get(&server, "tables/default/t/snapshots").await, 200).await;
    assert_eq!(list["snapshots"].as_array().expect("snapshots").len(), 9);
}
