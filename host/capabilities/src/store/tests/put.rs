//! Puts and deletes: conditions, races, keys.

use std::collections::HashSet;

use super::super::{Key, Mode};
use super::{Fixture, get, key, open, put};
use crate::Kind;

#[tokio::test]
async fn a_put_is_there_with_what_it_said() {
    for Fixture { store, .. } in Fixture::both() {
        let made = put(&store, "a/b.txt", "hello").await;
        assert_eq!(made.key, "a/b.txt");
        assert_eq!(made.size, 5);
        let (found, content) = store.get(&key("a/b.txt")).await.expect("get");
        assert_eq!(found.etag, made.etag);
        assert_eq!(found.size, 5);
        assert!(found.last_modified > 1_600_000_000_000);
        assert_eq!(content, b"hello");
        assert_eq!(
            store.head(&key("a/b.txt")).await.expect("head").etag,
            made.etag
        );
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    for Fixture { store, .. } in Fixture::both() {
        put(&store, "a/b", "x").await;
        for missing in ["c", "a", "a/b/c", "a/c"] {
            let error = store.get(&key(missing)).await.expect_err(missing);
            assert_eq!(error.kind(), Kind::NotFound, "{missing}: {error}");
            let error = store.head(&key(missing)).await.expect_err(missing);
            assert_eq!(error.kind(), Kind::NotFound, "{missing}: {error}");
            store.delete(&key(missing)).await.expect("no error");
        }
        assert_eq!(get(&store, "a/b").await, b"x");
    }
}

#[tokio::test]
async fn create_makes_and_never_replaces() {
    for Fixture { store, .. } in Fixture::both() {
        let a = key("a");
        store.put(&a, "1", Mode::Create).await.expect("created");
        let error = store.put(&a, "2", Mode::Create).await.expect_err("there");
        assert_eq!(error.kind(), Kind::AlreadyExists);
        assert_eq!(get(&store, "a").await, b"1");
        store.delete(&a).await.expect("deleted");
        store.put(&a, "3", Mode::Create).await.expect("again");
    }
}

#[tokio::test]
async fn update_needs_the_etag_of_now() {
    for Fixture { store, .. } in Fixture::both() {
        let a = key("a");
        let update = |etag: &str| Mode::Update(etag.to_owned());
        let error = store.put(&a, "0", update("x")).await.expect_err("nothing");
        assert_eq!(error.kind(), Kind::PreconditionFailed, "{error}");
        let first = put(&store, "a", "1").await;
        let second = store
            .put(&a, "2", update(&first.etag))
            .await
            .expect("updated");
        let error = store
            .put(&a, "3", update(&first.etag))
            .await
            .expect_err("old ETag");
        assert_eq!(error.kind(), Kind::PreconditionFailed);
        assert_eq!(get(&store, "a").await, b"2");
        store
            .put(&a, "4", update(&second.etag))
            .await
            .expect("updated");
        store.delete(&a).await.expect("deleted");
        let error = store
            .put(&a, "5", update(&second.etag))
            .await
            .expect_err("gone");
        assert_eq!(error.kind(), Kind::PreconditionFailed);
    }
}

#[tokio::test]
async fn an_etag_changes_with_every_put_however_quick() {
    for Fixture { store, .. } in Fixture::both() {
        let mut seen = HashSet::new();
        for _ in 0..200 {
            assert!(seen.insert(put(&store, "a", "same").await.etag));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn of_many_creators_one_wins() {
    let fixture = Fixture::local();
    for round in 0..20 {
        // A folder deep, so that folders are raced for too.
        let name = format!("r{round}/deep/er/a");
        let tasks: Vec<_> = (0..8)
            .map(|n| {
                // Each opens the folder for itself, as processes would.
                let store = open(fixture.root().to_str().expect("UTF-8"));
                let name = key(&name);
                tokio::spawn(async move { store.put(&name, format!("{n}"), Mode::Create).await })
            })
            .collect();
        let mut winners = Vec::new();
        for (n, task) in tasks.into_iter().enumerate() {
            match task.await.expect("no panic") {
                Ok(_) => winners.push(n),
                Err(error) => assert_eq!(error.kind(), Kind::AlreadyExists, "{error}"),
            }
        }
        assert_eq!(winners.len(), 1);
        assert_eq!(
            get(&fixture.store, &name).await,
            winners[0].to_string().as_bytes()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn no_update_is_lost() {
    for fixture in Fixture::both() {
        put(&fixture.store, "counter", "0").await;
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let store = match &fixture.folder {
                    Some(folder) => open(folder.path().to_str().expect("UTF-8")),
                    None => std::sync::Arc::clone(&fixture.store),
                };
                tokio::spawn(async move {
                    let counter = key("counter");
                    for _ in 0..25 {
                        // Each failure is another's success, of which there are 200.
                        for attempt in 0.. {
                            assert!(attempt <= 200, "nobody gets through");
                            let (meta, text) = store.get(&counter).await.expect("get");
                            let count: u64 = String::from_utf8_lossy(&text)
                                .parse()
                                .expect("whole numbers only");
                            let next = (count + 1).to_string();
                            match store.put(&counter, next, Mode::Update(meta.etag)).await {
                                Ok(_) => break,
                                Err(error) => {
                                    assert_eq!(error.kind(), Kind::PreconditionFailed, "{error}");
                                }
                            }
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
        assert_eq!(get(&fixture.store, "counter").await, b"200");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn puts_and_deletes_beside_each_other_do_not_fail() {
    let fixture = Fixture::local();
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let store = std::sync::Arc::clone(&fixture.store);
            tokio::spawn(async move {
                // All in one folder, which empties and goes away all the time.
                let name = key(&format!("x/y/{}", n % 4));
                for _ in 0..50 {
                    store
                        .put(&name, "1", Mode::Overwrite)
                        .await
                        .expect("put beside deletes");
                    store.delete(&name).await.expect("delete beside puts");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
}

#[tokio::test]
async fn odd_keys_come_back_letter_by_letter() {
    let keys = [
        "space in/the middle",
        "100%",
        "%2e%2e/a%2Fb",
        "hash#question?star*tilde~",
        "ünï/cødé/日本/😀",
        "back\\slash",
        "quote\"'`",
        "...",
        ".hidden",
        "-rf",
        "a:b|c<d>e",
        "trailing. ",
        ".lakehouse~tmp/x",
        ".lakehouse~lock",
        ".lakehouse~e",
    ];
    for Fixture { store, .. } in Fixture::both() {
        for name in keys {
            put(&store, name, name).await;
        }
        let long = ["k".repeat(1024), "😀".repeat(256), "s/".repeat(500) + "end"];
        for name in &long {
            put(&store, name, name.clone()).await;
        }
        let mut all: Vec<_> = keys.iter().map(|k| (*k).to_owned()).chain(long).collect();
        for name in &all {
            assert_eq!(get(&store, name).await, name.as_bytes());
        }
        all.sort();
        let request = super::super::ListRequest {
            limit: 1000,
            ..Default::default()
        };
        let listed = store.list(&request).await.expect("list").objects;
        let listed: Vec<_> = listed.into_iter().map(|meta| meta.key).collect();
        assert_eq!(listed, all);
        for name in &all {
            store.delete(&key(name)).await.expect("deleted");
        }
        let page = store.list(&request).await.expect("list");
        assert!(page.objects.is_empty());
    }
}

#[tokio::test]
async fn a_key_is_the_file_of_that_path() {
    let fixture = Fixture::local();
    put(&fixture.store, "warehouse/a b/c%20d.parquet", "x").await;
    let path = fixture.root().join("warehouse/a b/c%20d.parquet");
    assert_eq!(std::fs::read(path).expect("the file"), b"x");
    let base = fixture.store.base_url();
    let root = fixture.root().canonicalize().expect("exists");
    assert_eq!(base, format!("file://{}", root.display()));
}

#[tokio::test]
async fn a_folder_cannot_hold_a_file_and_a_folder_of_one_name() {
    let fixture = Fixture::local();
    let store = &fixture.store;
    put(store, "a/b", "1").await;
    for mode in [Mode::Overwrite, Mode::Create] {
        let error = store.put(&key("a"), "2", mode).await.expect_err("a folder");
        assert_eq!(error.kind(), Kind::Conflict, "{error}");
        assert!(error.to_string().contains("begin with `a/`"), "{error}");
    }
    for mode in [Mode::Overwrite, Mode::Create] {
        let error = store
            .put(&key("a/b/c"), "2", mode)
            .await
            .expect_err("a file");
        assert_eq!(error.kind(), Kind::Conflict, "{error}");
    }
    assert_eq!(get(store, "a/b").await, b"1");
    // Once the one is gone, the other can be.
    store.delete(&key("a/b")).await.expect("deleted");
    put(store, "a", "3").await;
    store.delete(&key("a")).await.expect("deleted");
    put(store, "a/b/c", "4").await;
}

#[test]
fn bad_keys_never_become_keys() {
    for bad in ["../x", "a/../../x", "/etc/passwd", "a//b", "a\0", ""] {
        assert!(Key::parse(bad).is_err(), "{bad:?}");
    }
}
