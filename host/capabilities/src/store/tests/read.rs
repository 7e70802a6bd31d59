//! Reads: ranges and streams.

use super::super::{CHUNK, MAX_READ, Span};
use super::{Fixture, key, put};
use crate::Kind;

fn span(offset: u64, length: u64) -> Span {
    Span { offset, length }
}

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|index| (index % 251) as u8).collect()
}

#[tokio::test]
async fn ranges_come_in_the_order_asked_and_are_cut_at_the_end() {
    for Fixture { store, .. } in Fixture::both() {
        let all = content(3 << 20);
        put(&store, "a", all.clone()).await;
        let end = all.len() as u64;
        let spans = [
            span(2_500_000, 10),
            span(0, 4),
            span(end - 3, 100),
            span(2, 4),
            span(7, 0),
            span(end, 0),
            span(0, u64::MAX),
        ];
        let read = store.read(&key("a"), &spans).await.expect("read");
        assert_eq!(read[0], all[2_500_000..2_500_010]);
        assert_eq!(read[1], all[..4]);
        assert_eq!(read[2], all[all.len() - 3..]);
        assert_eq!(read[3], all[2..6]);
        assert!(read[4].is_empty());
        assert!(read[5].is_empty());
        assert_eq!(read[6], all);
        assert!(store.read(&key("a"), &[]).await.expect("read").is_empty());
    }
}

#[tokio::test]
async fn a_range_beyond_the_end_is_refused_and_says_the_size() {
    for Fixture { store, .. } in Fixture::both() {
        put(&store, "a", "12345").await;
        put(&store, "empty", "").await;
        for (name, bad) in [
            ("a", span(5, 1)),
            ("a", span(6, 0)),
            ("a", span(u64::MAX, u64::MAX)),
            ("empty", span(0, 1)),
        ] {
            let error = store
                .read(&key(name), &[span(0, 0), bad])
                .await
                .expect_err("beyond");
            assert_eq!(error.kind(), Kind::RangeNotSatisfiable, "{bad:?}: {error}");
            let opened = store.open_object(&key(name), Some(bad)).await;
            let error = opened.err().expect("beyond");
            assert_eq!(error.kind(), Kind::RangeNotSatisfiable, "{bad:?}: {error}");
        }
        let missing = store.read(&key("b"), &[span(0, 1)]).await;
        assert_eq!(missing.expect_err("missing").kind(), Kind::NotFound);
    }
}

#[tokio::test]
async fn a_read_of_too_much_at_once_is_refused() {
    let fixture = Fixture::local();
    let file = std::fs::File::create(fixture.root().join("big")).expect("made");
    file.set_len(MAX_READ + 1).expect("sparse");
    let store = &fixture.store;
    let error = store.get(&key("big")).await.expect_err("too much");
    assert_eq!(error.kind(), Kind::Invalid);
    let half = span(0, MAX_READ / 2 + 1);
    let read = store.read(&key("big"), &[half, half]).await;
    assert_eq!(read.expect_err("too much").kind(), Kind::Invalid);
}

#[tokio::test]
async fn a_stream_brings_the_whole_or_the_part() {
    for Fixture { store, .. } in Fixture::both() {
        let all = content(3 * CHUNK + 17);
        put(&store, "a", all.clone()).await;
        put(&store, "empty", "").await;
        for (name, part, wanted) in [
            ("a", None, &all[..]),
            ("a", Some(span(5, 300_000)), &all[5..300_005]),
            ("a", Some(span(9, u64::MAX)), &all[9..]),
            ("a", Some(span(9, 0)), &[][..]),
            ("empty", None, &[][..]),
        ] {
            let (meta, mut reader) = store.open_object(&key(name), part).await.expect("open");
            assert_eq!(meta.key, name);
            let mut got = Vec::new();
            while let Some(chunk) = reader.next().await.expect("chunk") {
                got.extend_from_slice(&chunk);
            }
            assert_eq!(got, wanted, "{name} {part:?}");
        }
    }
}

#[tokio::test]
async fn a_reader_keeps_what_it_opened_while_the_key_changes() {
    let fixture = Fixture::local();
    let store = &fixture.store;
    put(store, "a", content(4 * CHUNK)).await;
    let (_, mut reader) = store.open_object(&key("a"), None).await.expect("open");
    put(store, "a", "new").await;
    store.delete(&key("a")).await.expect("deleted");
    let mut got = Vec::new();
    while let Some(chunk) = reader.next().await.expect("chunk") {
        got.extend_from_slice(&chunk);
    }
    assert_eq!(got, content(4 * CHUNK));
}
