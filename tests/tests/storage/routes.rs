//! Methods and paths that are none.

use lakehouse_tests::expect_problem;
use reqwest::Method;

use crate::storage;

#[tokio::test]
async fn a_wrong_method_is_405_and_names_the_right_ones() {
    let server = storage().await;
    for (method, path, allow) in [
        (Method::GET, "/v1/storage/put/k", "PUT"),
        (Method::POST, "/v1/storage/put/k", "PUT"),
        (Method::DELETE, "/v1/storage/put/k", "PUT"),
        (Method::PUT, "/v1/storage/get/k", "GET, HEAD"),
        (Method::PATCH, "/v1/storage/get/k", "GET, HEAD"),
        (Method::GET, "/v1/storage/delete/k", "DELETE"),
        (Method::POST, "/v1/storage/list", "GET"),
    ] {
        let answer = server.request(method.clone(), path).send().await.unwrap();
        assert_eq!(answer.status(), 405, "{method} {path}");
        assert_eq!(answer.headers()["allow"], allow, "{method} {path}");
        expect_problem(answer, 405).await;
    }
}

#[tokio::test]
async fn unknown_paths_are_404() {
    let server = storage().await;
    for path in [
        "/v1/storage",
        "/v1/storage/",
        "/v1/storage/put",
        "/v1/storage/get",
        "/v1/storage/list/x",
        "/v1/storage/copy/k",
        "/v1/storage/PUT/k",
    ] {
        let answer = server.get(path).send().await.unwrap();
        let problem = expect_problem(answer, 404).await;
        assert!(problem["detail"].is_string(), "{path}: {problem}");
    }
}
