//! Names, methods and media types.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use lakehouse_tests::{Server, expect_problem, expect_status};
use reqwest::Method;
use serde_json::json;

use crate::{INDEX, delete, get, make, post, start};

/// Sends a request whose path nobody tidies up; returns the status.
fn raw(server: &Server, method: &str, path: &str) -> u16 {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn no_name_leaves_the_folder() {
    let server = start().await;
    let folder = server.data_dir();
    let before = listing(&folder);
    for name in [
        "../x",
        "..",
        ".",
        ".x",
        "a/b",
        "/etc",
        "a\\b",
        "",
        "a\0b",
        "é",
        "a b",
        "%2e%2e%2fx",
        &"n".repeat(129),
    ] {
        let spec = json!({"name": name, "dimension": 3, "distance": "l2"});
        expect_problem(post(&server, "", &spec).await, 400).await;
    }
    for path in [
        "..%2Fx",
        "%2e%2e%2fx",
        "..%2f..%2fstore",
        "%2Fetc",
        "a%00b",
        "%c3%a9",
        ".x",
    ] {
        expect_problem(get(&server, &format!("/{path}")).await, 400).await;
        expect_problem(delete(&server, &format!("/{path}")).await, 400).await;
        let body = json!({"items": []});
        expect_problem(post(&server, &format!("/{path}/add"), &body).await, 400).await;
    }
    for path in ["../x", "%2e%2e/x", "..", "../../store", "./.."] {
        for method in ["GET", "DELETE"] {
            let status = raw(&server, method, &format!("{INDEX}/{path}"));
            assert!([400, 404].contains(&status), "{method} {path}: {status}");
        }
    }
    assert_eq!(raw(&server, "GET", &format!("{INDEX}/%ff")), 400);
    assert_eq!(listing(&folder), before);
}

fn listing(folder: &Path) -> BTreeSet<String> {
    let folders = [
        folder.to_owned(),
        folder.join("vectors"),
        folder.join("store"),
    ];
    let entries = folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten();
    entries
        .map(|entry| entry.unwrap().path().display().to_string())
        .collect()
}

#[tokio::test]
async fn methods_and_media_types() {
    let server = start().await;
    make(&server, "l2").await;
    for (method, path, allow) in [
        (Method::PUT, "", "GET,HEAD,POST"),
        (Method::POST, "/x", "DELETE,GET,HEAD"),
        (Method::GET, "/x/add", "POST"),
        (Method::PUT, "/x/items/a", "DELETE,GET,HEAD"),
    ] {
        let answer = server
            .request(method, &format!("{INDEX}{path}"))
            .send()
            .await
            .unwrap();
        let allowed = answer.headers()["allow"].to_str().unwrap().to_owned();
        let mut names: Vec<_> = allowed.split(',').map(str::trim).collect();
        names.sort_unstable();
        assert_eq!(names.join(","), allow);
        expect_problem(answer, 405).await;
    }
    let body = json!({"vector": [1, 2, 3], "k": 1}).to_string();
    let search = format!("{INDEX}/x/search");
    for media in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "nonsense",
    ] {
        let request = server.post(&search).header("content-type", media);
        expect_problem(request.body(body.clone()).send().await.unwrap(), 415).await;
    }
    let request = server
        .post(&search)
        .header("content-type", "application/json; charset=utf-8");
    expect_status(request.body(body).send().await.unwrap(), 200).await;
}
