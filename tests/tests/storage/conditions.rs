//! Conditional reads and writes.

use lakehouse_tests::{Server, expect_json, expect_problem, expect_status};
use reqwest::Response;

use crate::{get, path, put, storage};

async fn read(server: &Server, key: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = server.get(&path("get", key));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("an answer")
}

async fn write(server: &Server, key: &str, content: &str, condition: (&str, &str)) -> Response {
    let request = server.put(&path("put", key)).body(content.to_owned());
    let request = request.header(condition.0, condition.1);
    request.send().await.expect("an answer")
}

async fn etag_of(server: &Server, key: &str, content: &'static str) -> String {
    let stored = put(server, key, content).await;
    format!("\"{}\"", stored["etag"].as_str().expect("an etag"))
}

#[tokio::test]
async fn a_reader_that_has_the_object_already_gets_304() {
    let server = storage().await;
    let etag = etag_of(&server, "k", "content").await;
    let weak = format!("W/{etag}");
    let among = format!("\"other\", {etag}");
    for tags in [etag.as_str(), &weak, &among, "*"] {
        let answer = read(&server, "k", &[("if-none-match", tags)]).await;
        let answer = expect_status(answer, 304).await;
        assert_eq!(answer.headers()["etag"], etag, "{tags}");
        assert_eq!(answer.text().await.unwrap(), "");
    }
    let answer = read(&server, "k", &[("if-none-match", "\"other\"")]).await;
    expect_status(answer, 200).await;

    let answer = read(&server, "k", &[]).await;
    let modified = answer.headers()["last-modified"]
        .to_str()
        .unwrap()
        .to_owned();
    let answer = read(&server, "k", &[("if-modified-since", &modified)]).await;
    expect_status(answer, 304).await;
    let old = "Thu, 01 Jan 2015 00:00:00 GMT";
    let answer = read(&server, "k", &[("if-modified-since", old)]).await;
    expect_status(answer, 200).await;
    // The ETag is the better witness of the two.
    let both = [
        ("if-none-match", "\"other\""),
        ("if-modified-since", &modified),
    ];
    expect_status(read(&server, "k", &both).await, 200).await;
    // What is no date is no condition.
    expect_status(
        read(&server, "k", &[("if-modified-since", "soon")]).await,
        200,
    )
    .await;

    let head = server
        .head(&path("get", "k"))
        .header("if-none-match", &etag);
    assert_eq!(head.send().await.unwrap().status(), 304);
}

#[tokio::test]
async fn a_reader_that_wants_one_version_gets_that_or_412() {
    let server = storage().await;
    let etag = etag_of(&server, "k", "content").await;
    expect_status(read(&server, "k", &[("if-match", &etag)]).await, 200).await;
    expect_status(read(&server, "k", &[("if-match", "*")]).await, 200).await;
    for tags in ["\"other\"".to_owned(), format!("W/{etag}")] {
        expect_problem(read(&server, "k", &[("if-match", &tags)]).await, 412).await;
    }
    let old = "Thu, 01 Jan 2015 00:00:00 GMT";
    expect_problem(
        read(&server, "k", &[("if-unmodified-since", old)]).await,
        412,
    )
    .await;
}

#[tokio::test]
async fn if_range_gives_the_part_only_of_the_same_version() {
    let server = storage().await;
    let etag = etag_of(&server, "k", "0123456789").await;
    let range = ("range", "bytes=2-3");
    let part = read(&server, "k", &[range, ("if-range", &etag)]).await;
    let modified = part.headers()["last-modified"].to_str().unwrap().to_owned();
    assert_eq!(part.status(), 206);
    assert_eq!(part.text().await.unwrap(), "23");
    let part = read(&server, "k", &[range, ("if-range", &modified)]).await;
    assert_eq!(part.status(), 206);
    for other in ["\"other\"", "Thu, 01 Jan 2015 00:00:00 GMT"] {
        let whole = read(&server, "k", &[range, ("if-range", other)]).await;
        assert_eq!(whole.status(), 200, "{other}");
        assert_eq!(whole.text().await.unwrap(), "0123456789");
    }
}

#[tokio::test]
async fn if_none_match_writes_only_what_is_not_there() {
    let server = storage().await;
    let answer = write(&server, "new", "first", ("if-none-match", "*")).await;
    expect_json(answer, 201).await;
    let answer = write(&server, "new", "second", ("if-none-match", "*")).await;
    expect_problem(answer, 412).await;
    assert_eq!(get(&server, "new").await.unwrap(), b"first");
}

#[tokio::test]
async fn if_match_writes_only_over_that_version() {
    let server = storage().await;
    let first = etag_of(&server, "k", "first").await;
    let answer = write(&server, "k", "second", ("if-match", &first)).await;
    let second = expect_json(answer, 201).await;
    let answer = write(&server, "k", "third", ("if-match", &first)).await;
    expect_problem(answer, 412).await;
    assert_eq!(get(&server, "k").await.unwrap(), b"second");
    // The ETag as the JSON tells it serves as well.
    let bare = second["etag"].as_str().unwrap();
    let answer = write(&server, "k", "third", ("if-match", bare)).await;
    expect_json(answer, 201).await;

    let answer = write(&server, "k", "fourth", ("if-match", "*")).await;
    expect_json(answer, 201).await;
    for tags in ["*", first.as_str()] {
        let answer = write(&server, "absent", "x", ("if-match", tags)).await;
        expect_problem(answer, 412).await;
    }
    assert_eq!(get(&server, "absent").await, None);
}

#[tokio::test]
async fn of_many_writers_with_one_condition_one_wins() {
    let server = storage().await;
    let etag = etag_of(&server, "raced", "before").await;
    for (key, header, value) in [
        ("created", "if-none-match", "*"),
        ("raced", "if-match", &etag),
    ] {
        let writes = (0..16).map(|writer| {
            let content = format!("writer {writer}");
            let server = &server;
            async move {
                let answer = write(server, key, &content, (header, value)).await;
                (answer.status().as_u16(), content)
            }
        });
        let results = futures::future::join_all(writes).await;
        let won: Vec<_> = results
            .iter()
            .filter(|(status, _)| *status == 201)
            .collect();
        assert_eq!(won.len(), 1, "{results:?}");
        assert!(
            results
                .iter()
                .all(|(status, _)| [201, 412].contains(status)),
            "{results:?}"
        );
        assert_eq!(get(&server, key).await.unwrap(), won[0].1.as_bytes());
    }
}

#[tokio::test]
async fn conditions_that_cannot_be_kept_are_refused() {
    let server = storage().await;
    let etag = etag_of(&server, "k", "content").await;
    let answer = server
        .delete(&path("delete", "k"))
        .header("if-match", &etag)
        .send()
        .await
        .unwrap();
    expect_problem(answer, 501).await;
    let answer = server
        .put(&path("put", "k"))
        .header("content-range", "bytes 0-1/10")
        .body("xy")
        .send()
        .await
        .unwrap();
    expect_problem(answer, 400).await;
    assert_eq!(get(&server, "k").await.unwrap(), b"content");
}
