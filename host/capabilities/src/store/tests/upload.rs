//! Streaming puts.

use bytes::Bytes;

use super::super::Mode;
use super::{Fixture, get, key, put};
use crate::Kind;

#[tokio::test]
async fn an_upload_is_seen_when_it_is_finished_and_not_before() {
    for Fixture { store, .. } in Fixture::both() {
        let mut upload = store
            .upload(&key("a/b"), Mode::Create)
            .await
            .expect("begun");
        let chunk = Bytes::from(vec![7_u8; 700_000]);
        for _ in 0..30 {
            upload.write(chunk.clone()).await.expect("written");
            assert!(store.head(&key("a/b")).await.is_err());
        }
        let made = upload.finish().await.expect("finished");
        assert_eq!(made.size, 21_000_000);
        let found = store.head(&key("a/b")).await.expect("there");
        assert_eq!(found.etag, made.etag);
        assert_eq!(get(&store, "a/b").await, vec![7_u8; 21_000_000]);
    }
}

#[tokio::test]
async fn an_empty_upload_is_an_empty_object() {
    for Fixture { store, .. } in Fixture::both() {
        let upload = store
            .upload(&key("a"), Mode::Overwrite)
            .await
            .expect("begun");
        assert_eq!(upload.finish().await.expect("finished").size, 0);
        assert_eq!(get(&store, "a").await, b"");
    }
}

#[tokio::test]
async fn large_uploads_go_in_parts() {
    let Fixture { store, .. } = Fixture::memory();
    let mut upload = store
        .upload(&key("a"), Mode::Overwrite)
        .await
        .expect("begun");
    let mut wanted = Vec::new();
    for step in 0..40_u8 {
        let chunk = vec![step; 1_000_003];
        wanted.extend_from_slice(&chunk);
        upload.write(chunk.into()).await.expect("written");
    }
    let made = upload.finish().await.expect("finished");
    assert_eq!(made.size, wanted.len() as u64);
    assert_eq!(get(&store, "a").await, wanted);
}

#[tokio::test]
async fn an_abandoned_upload_leaves_nothing() {
    let fixture = Fixture::local();
    let store = &fixture.store;
    let mut upload = store
        .upload(&key("a"), Mode::Overwrite)
        .await
        .expect("begun");
    upload
        .write(vec![1_u8; 5 << 20].into())
        .await
        .expect("written");
    drop(upload);
    // The write under way, if there is one, ends on another thread.
    tokio::task::spawn_blocking({
        let root = fixture.root().to_owned();
        move || {
            while super::crash::temporaries(&root) > 0 {
                std::thread::yield_now();
            }
        }
    })
    .await
    .expect("gone");
    assert!(store.head(&key("a")).await.is_err());
}

#[tokio::test]
async fn a_condition_is_checked_when_an_upload_begins_and_when_it_ends() {
    for Fixture { store, .. } in Fixture::both() {
        let first = put(&store, "a", "1").await;
        let error = store.upload(&key("a"), Mode::Create).await.err();
        assert_eq!(error.expect("there").kind(), Kind::AlreadyExists);

        let update = Mode::Update(first.etag.clone());
        let mut upload = store.upload(&key("a"), update).await.expect("begun");
        upload.write("2".into()).await.expect("written");
        put(&store, "a", "3").await;
        let error = upload.finish().await.expect_err("changed meanwhile");
        assert_eq!(error.kind(), Kind::PreconditionFailed);
        assert_eq!(get(&store, "a").await, b"3");

        let mut upload = store.upload(&key("b"), Mode::Create).await.expect("begun");
        upload.write("2".into()).await.expect("written");
        put(&store, "b", "3").await;
        let error = upload.finish().await.expect_err("made meanwhile");
        assert_eq!(error.kind(), Kind::AlreadyExists);
        assert_eq!(get(&store, "b").await, b"3");
    }
}
