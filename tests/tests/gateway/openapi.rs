//! `/openapi.json` and what is really served.

use std::collections::BTreeSet;

use lakehouse_tests::{Server, expect_json};
use reqwest::Method;
use serde_json::Value;

use super::bare;

const METHODS: [&str; 6] = ["get", "head", "put", "post", "delete", "patch"];

/// Every method and path of the file.
fn operations(file: &Value) -> BTreeSet<(String, Method)> {
    let paths = file["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        let methods = METHODS.iter().filter(|method| item.get(**method).is_some());
        methods.map(move |method| (path.clone(), method.to_uppercase().parse().unwrap()))
    });
    all.collect()
}

/// A path with its parameters filled in.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{ns}" | "{namespace}" => "space",
        "{table}" => "nothing",
        "{key}" | "{name}" | "{id}" | "{snapshot}" => "nothing",
        other => other,
    });
    parts.collect::<Vec<_>>().join("/")
}

async fn description(server: &Server) -> Value {
    let file = expect_json(server.get("/openapi.json").send().await.unwrap(), 200).await;
    assert_eq!(file["openapi"], "3.1.0");
    file
}

#[tokio::test]
async fn what_the_file_says_is_served() {
    let server = Server::start().await;
    let file = description(&server).await;
    for (path, method) in operations(&file) {
        let answer = server
            .request(method.clone(), &filled(&path))
            .header("content-type", "application/json")
            .send()
            .await
            .unwrap();
        let status = answer.status().as_u16();
        let allow = answer.headers().get("allow").cloned();
        let body = answer.text().await.unwrap();
        assert!(
            ![405, 501, 502, 503, 504].contains(&status),
            "{method} {path}: {status} {allow:?} {body}"
        );
        assert!(!body.contains("nothing serves"), "{method} {path}: {body}");
    }
}

#[tokio::test]
async fn methods_that_the_file_lacks_are_refused() {
    let server = Server::start().await;
    let file = description(&server).await;
    let known = operations(&file);
    for path in file["paths"].as_object().unwrap().keys() {
        for method in METHODS {
            let method: Method = method.to_uppercase().parse().unwrap();
            let implied = method == Method::HEAD && known.contains(&(path.clone(), Method::GET));
            if implied || known.contains(&(path.clone(), method.clone())) {
                continue;
            }
            let answer = server
                .request(method.clone(), &filled(path))
                .send()
                .await
                .unwrap();
            let status = answer.status().as_u16();
            assert_eq!(status, 405, "{method} {path}");
            assert!(answer.headers().contains_key("allow"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn every_reference_in_the_file_leads_somewhere() {
    fn walk(value: &Value, file: &Value) {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(reference)) = object.get("$ref") {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(file.pointer(pointer).is_some(), "{reference}");
                }
                object.values().for_each(|value| walk(value, file));
            }
            Value::Array(array) => array.iter().for_each(|value| walk(value, file)),
            _ => {}
        }
    }
    let server = bare("").start().await;
    let file = description(&server).await;
    walk(&file, &file);
    let ids: Vec<_> = file["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .filter_map(|operation| operation["operationId"].as_str())
        .collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
}
