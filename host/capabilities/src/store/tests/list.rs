//! Listings, against a model: a sorted set of keys.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::{ListRequest, Store};
use super::{Fixture, put};
use crate::Kind;

/// Objects and prefixes of all pages, as they come.
async fn all(store: &Store, mut request: ListRequest) -> (Vec<String>, Vec<String>) {
    let (mut objects, mut prefixes) = (Vec::new(), Vec::new());
    loop {
        let page = store.list(&request).await.expect("list");
        let count = page.objects.len() + page.prefixes.len();
        assert!(count <= request.limit);
        assert!(count == request.limit || page.cursor.is_none());
        objects.extend(page.objects.into_iter().map(|meta| meta.key));
        prefixes.extend(page.prefixes);
        match page.cursor {
            Some(cursor) => request.cursor = Some(cursor),
            None => return (objects, prefixes),
        }
    }
}

fn model(keys: &BTreeSet<String>, request: &ListRequest) -> (Vec<String>, Vec<String>) {
    let (mut objects, mut prefixes) = (Vec::new(), Vec::new());
    for key in keys {
        let Some(rest) = key.strip_prefix(&request.prefix) else {
            continue;
        };
        match request
            .delimiter
            .as_deref()
            .and_then(|d| rest.find(d).map(|at| at + d.len()))
        {
            Some(end) => {
                let folded = key[..request.prefix.len() + end].to_owned();
                if prefixes.last() != Some(&folded) {
                    prefixes.push(folded);
                }
            }
            None => objects.push(key.clone()),
        }
    }
    (objects, prefixes)
}

#[tokio::test]
async fn a_listing_is_sorted_by_bytes_and_folds_at_the_delimiter() {
    for Fixture { store, .. } in Fixture::both() {
        for name in ["a/1", "a/2", "a.txt", "a-b/c", "a0", "b/c/d", "z"] {
            put(&store, name, name).await;
        }
        let request = ListRequest {
            delimiter: Some("/".to_owned()),
            limit: 2,
            ..ListRequest::default()
        };
        let (objects, prefixes) = all(&store, request.clone()).await;
        assert_eq!(objects, ["a.txt", "a0", "z"]);
        assert_eq!(prefixes, ["a-b/", "a/", "b/"]);
        // A prefix need not end with a segment.
        let inside = ListRequest {
            prefix: "a/".to_owned(),
            ..request.clone()
        };
        assert_eq!(all(&store, inside).await.0, ["a/1", "a/2"]);
        let part = ListRequest {
            prefix: "a".to_owned(),
            delimiter: None,
            ..request
        };
        let (objects, _) = all(&store, part).await;
        assert_eq!(objects, ["a-b/c", "a.txt", "a/1", "a/2", "a0"]);
    }
}

#[tokio::test]
async fn prefixes_that_could_lead_outside_list_nothing() {
    for Fixture { store, .. } in Fixture::both() {
        put(&store, "a/b", "x").await;
        for prefix in ["../", "/", "a/../", "./", "a//", "..", "\0", "a/\0/"] {
            let request = ListRequest {
                prefix: prefix.to_owned(),
                limit: 10,
                ..ListRequest::default()
            };
            let (objects, _) = all(&store, request).await;
            assert!(objects.is_empty(), "{prefix:?}: {objects:?}");
        }
    }
}

#[tokio::test]
async fn a_listing_that_makes_no_sense_is_refused() {
    for Fixture { store, .. } in Fixture::both() {
        let page = |limit, delimiter: Option<&str>| ListRequest {
            limit,
            delimiter: delimiter.map(ToOwned::to_owned),
            ..ListRequest::default()
        };
        for bad in [page(0, None), page(1001, None), page(1, Some(""))] {
            let error = store.list(&bad).await.expect_err("refused");
            assert_eq!(error.kind(), Kind::Invalid);
        }
    }
}

#[tokio::test]
async fn our_own_files_and_empty_folders_are_not_listed() {
    let fixture = Fixture::local();
    put(&fixture.store, "a", "x").await;
    std::fs::create_dir_all(fixture.root().join("empty/er")).expect("made");
    let request = ListRequest {
        delimiter: Some("/".to_owned()),
        limit: 10,
        ..ListRequest::default()
    };
    let (objects, prefixes) = all(&fixture.store, request).await;
    assert_eq!(objects, ["a"]);
    assert!(prefixes.is_empty(), "{prefixes:?}");
}

#[tokio::test]
async fn many_keys_behind_one_prefix_fold_into_it() {
    for Fixture { store, .. } in Fixture::both() {
        for index in 0..1100 {
            put(&store, &format!("a/{index}"), "").await;
        }
        put(&store, "b", "").await;
        let request = ListRequest {
            delimiter: Some("/".to_owned()),
            limit: 5,
            ..ListRequest::default()
        };
        let (objects, prefixes) = all(&store, request).await;
        assert_eq!(objects, ["b"]);
        assert_eq!(prefixes, ["a/"]);
    }
}

fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[ab./-]{1,3}".prop_map(|text| text.replace('/', "0")),
        1 => "[a-b]".prop_map(|letter| letter.repeat(260)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn listings_agree_with_a_sorted_set(
        names in prop::collection::vec(prop::collection::vec(segment(), 1..4), 1..25),
        prefix in "[ab/.]{0,3}",
        delimiter in prop::option::of(prop_oneof![3 => Just("/".to_owned()), 1 => "[ab.]{1,2}"]),
        limit in 1_usize..6,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            for fixture in Fixture::both() {
                let store = &fixture.store;
                let mut keys = BTreeSet::new();
                for name in &names {
                    let name = name.join("/");
                    let Ok(valid) = super::super::Key::parse(name.clone()) else {
                        continue;
                    };
                    match store.put(&valid, "", super::super::Mode::Overwrite).await {
                        Ok(_) => {
                            keys.insert(name);
                        }
                        Err(error) => assert_eq!(error.kind(), Kind::Conflict, "{error}"),
                    }
                }
                let request = ListRequest {
                    prefix: prefix.clone(),
                    delimiter: delimiter.clone(),
                    cursor: None,
                    limit,
                };
                assert_eq!(all(store, request.clone()).await, model(&keys, &request));
            }
        });
    }
}
