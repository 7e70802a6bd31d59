//! Which keys there are.

use crate::{all_keys, encode, get, put, raw, storage};

#[tokio::test]
async fn odd_keys_are_keys() {
    let server = storage().await;
    let mut keys: Vec<String> = [
        "a b",
        "a+b",
        "a%2Fb",
        "%2e%2e",
        "%00",
        "c#1",
        "c?d=e",
        "x&y",
        "...",
        "a/...",
        ".hidden",
        "~",
        "\"quoted\"",
        "back\\slash",
        "C:",
        "tab\there",
        "new\nline",
        "ümlaut/日本/🦆",
        "deep/1/2/3/4/5/6/7/8/9",
        "put",
        "get/put",
        "-",
        "_",
        "*",
        "<html>",
    ]
    .map(str::to_owned)
    .into();
    keys.push("k".repeat(1024));
    keys.push("l".repeat(256));
    keys.push(format!("{}/{}", "m".repeat(300), "n".repeat(300)));
    keys.push("é".repeat(512));
    for key in &keys {
        let stored = put(&server, key, key.clone()).await;
        assert_eq!(stored["key"], key.as_str());
    }
    for key in &keys {
        let content = get(&server, key).await;
        assert_eq!(content.as_deref(), Some(key.as_bytes()), "{key}");
    }
    keys.sort();
    assert_eq!(all_keys(&server).await, keys);
    for key in &keys {
        let answer = server.delete(&crate::path("delete", key)).send().await;
        assert_eq!(answer.unwrap().status(), 204, "{key}");
    }
    assert!(all_keys(&server).await.is_empty());
}

#[tokio::test]
async fn an_escaped_slash_and_a_plain_one_are_the_same_key() {
    let server = storage().await;
    put(&server, "a/b", "content").await;
    let answer = raw::request(&server, "GET", "/v1/storage/get/a%2Fb");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, "content");
}

#[tokio::test]
async fn bad_keys_are_refused_and_nothing_is_touched() {
    let server = storage().await;
    put(&server, "kept", "content").await;
    let too_long = "k".repeat(1025);
    let too_long_escaped = "%C3%A9".repeat(513);
    let cases = [
        ("..", "`..`"),
        ("../x", "`..`"),
        ("../../etc/passwd", "`..`"),
        ("a/../b", "`..`"),
        ("a/..", "`..`"),
        (".", "`.`"),
        ("a/./b", "`.`"),
        ("%2e%2e", "`..`"),
        ("%2E%2e/x", "`..`"),
        (".%2e/x", "`..`"),
        ("%2e", "`.`"),
        ("..%2Fx", "`..`"),
        ("a%2F..%2Fb", "`..`"),
        ("a//b", "empty segment"),
        ("a/%2Fb", "empty segment"),
        ("/etc/passwd", "absolute"),
        ("%2Fetc/passwd", "absolute"),
        ("//x", "absolute"),
        ("a/", "empty"),
        ("", "empty"),
        ("a%00b", "NUL"),
        ("%00", "NUL"),
        ("a%", "`%` at byte 1"),
        ("%zz", "`%` at byte 0"),
        ("%ff", "UTF-8"),
        ("%c3", "UTF-8"),
        (too_long.as_str(), "1025 bytes"),
        (too_long_escaped.as_str(), "1026 bytes"),
    ];
    for (key, expected) in cases {
        for (method, call) in [("PUT", "put"), ("GET", "get"), ("DELETE", "delete")] {
            let answer = raw::request(&server, method, &format!("/v1/storage/{call}/{key}"));
            let problem = answer.problem(400);
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(expected), "{method} {key:?}: {detail}");
        }
        let answer = raw::request(&server, "HEAD", &format!("/v1/storage/get/{key}"));
        assert_eq!(answer.status, 400, "HEAD {key:?}");
    }
    assert_eq!(all_keys(&server).await, ["kept"]);
}

#[tokio::test]
async fn a_key_is_decoded_once() {
    let server = storage().await;
    let answer = raw::request(&server, "PUT", "/v1/storage/put/%252e%252e%252Fx");
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(all_keys(&server).await, ["%2e%2e%2Fx"]);
    assert_eq!(encode("%2e%2e%2Fx"), "%252e%252e%252Fx");
}

#[tokio::test]
async fn a_local_folder_cannot_hold_a_key_below_an_object_and_says_so() {
    let server = storage().await;
    put(&server, "a", "content").await;
    let answer = server.put("/v1/storage/put/a/b").body("x").send().await;
    lakehouse_tests::expect_problem(answer.unwrap(), 409).await;
    assert_eq!(get(&server, "a").await.unwrap(), b"content");
    assert_eq!(all_keys(&server).await, ["a"]);
}
