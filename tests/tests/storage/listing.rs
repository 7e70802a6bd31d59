//! Which objects there are, page by page.

use std::collections::BTreeSet;

use lakehouse_tests::{Server, expect_problem};
use serde_json::Value;

use crate::{names, page, put, storage};

const KEYS: [&str; 14] = [
    "a.csv",
    "a/1",
    "a/2",
    "a/b/1",
    "a/b/2",
    "a0",
    "b",
    "b-c/1",
    "b-c/2",
    "c/d/e/f",
    "c/d/e/g",
    "with space/x",
    "ü/1",
    "ü/2",
];

async fn filled() -> Server {
    let server = storage().await;
    for key in KEYS {
        put(&server, key, key).await;
    }
    server
}

/// What a listing must give: keys, and folded prefixes, in byte order.
fn expected(prefix: &str, delimiter: &str) -> (Vec<String>, Vec<String>) {
    let mut objects = BTreeSet::new();
    let mut prefixes = BTreeSet::new();
    for key in KEYS {
        let Some(rest) = key.strip_prefix(prefix) else {
            continue;
        };
        match rest.find(delimiter) {
            Some(at) if !delimiter.is_empty() => {
                prefixes.insert(key[..prefix.len() + at + delimiter.len()].to_owned());
            }
            _ => {
                objects.insert(key.to_owned());
            }
        }
    }
    (
        objects.into_iter().collect(),
        prefixes.into_iter().collect(),
    )
}

#[tokio::test]
async fn a_listing_tells_of_every_object() {
    let server = storage().await;
    let stored = put(&server, "a/b", "content").await;
    let listed = page(&server, &[]).await;
    let object = &listed["objects"][0];
    assert_eq!(object["key"], "a/b");
    assert_eq!(object["size"], 7);
    assert_eq!(object["etag"], stored["etag"]);
    let time = object["last_modified"].as_str().unwrap();
    assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
    assert_eq!(listed["prefixes"], serde_json::json!([]));
    assert_eq!(listed["cursor"], Value::Null);
}

#[tokio::test]
async fn an_empty_store_has_an_empty_listing() {
    let server = storage().await;
    let listed = page(&server, &[("prefix", "x"), ("delimiter", "/")]).await;
    let empty = serde_json::json!({"objects": [], "prefixes": [], "cursor": null});
    assert_eq!(listed, empty);
}

#[tokio::test]
async fn pages_of_every_size_add_up_to_the_whole_listing() {
    let server = filled().await;
    for (prefix, delimiter) in [
        ("", ""),
        ("", "/"),
        ("a", "/"),
        ("a/", "/"),
        ("a/b", "/"),
        ("b", "-"),
        ("", "/d"),
        ("c/d/", "/"),
        ("ü", "/"),
        ("with ", ""),
        ("nothing", "/"),
        ("../", "/"),
        ("/", "/"),
    ] {
        let (objects, prefixes) = expected(prefix, delimiter);
        for limit in ["1", "2", "3", "7", "1000"] {
            let mut found: (Vec<String>, Vec<String>) = Default::default();
            let mut cursor = String::new();
            loop {
                let query = [
                    ("prefix", prefix),
                    ("delimiter", delimiter),
                    ("limit", limit),
                    ("cursor", cursor.as_str()),
                ];
                let page = page(&server, &query).await;
                let objects = names(&page["objects"], "key");
                let prefixes = names(&page["prefixes"], "");
                let most: usize = limit.parse().unwrap();
                assert!(objects.len() + prefixes.len() <= most, "{query:?}: {page}");
                found.0.extend(objects);
                found.1.extend(prefixes);
                match page["cursor"].as_str() {
                    Some(next) => cursor = next.to_owned(),
                    None => break,
                }
            }
            assert_eq!(found.0, objects, "{prefix:?} {delimiter:?} {limit}");
            assert_eq!(found.1, prefixes, "{prefix:?} {delimiter:?} {limit}");
        }
    }
}

#[tokio::test]
async fn a_listing_stays_inside_the_objects() {
    let server = filled().await;
    // Tables and the catalog are in the same store, beside the objects.
    for folder in ["catalog", "warehouse", "objects2", "zzz"] {
        let folder = server.store_dir().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("a"), "not an object").unwrap();
    }
    for query in [
        [("prefix", "../warehouse/"), ("cursor", "")],
        [("prefix", ""), ("cursor", "../catalog")],
        [("prefix", "/"), ("cursor", "")],
        [("prefix", ""), ("cursor", "zzzz")],
        [("prefix", "2"), ("cursor", "")],
        [("prefix", ""), ("cursor", "")],
    ] {
        let listed = page(&server, &query).await;
        let keys = names(&listed["objects"], "key");
        assert!(
            keys.iter().all(|key| KEYS.contains(&key.as_str())),
            "{keys:?}"
        );
    }
}

#[tokio::test]
async fn a_limit_is_1_to_1000() {
    let server = storage().await;
    for limit in ["0", "1001", "-1", "ten", "1.5", "99999999999999999999"] {
        let answer = server.get("/v1/storage/list").query(&[("limit", limit)]);
        let problem = expect_problem(answer.send().await.unwrap(), 400).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("limit") && detail.contains(limit),
            "{detail}"
        );
    }
    for limit in ["1", "1000"] {
        page(&server, &[("limit", limit)]).await;
    }
}
