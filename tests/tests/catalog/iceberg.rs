//! The Iceberg REST catalog, as other engines use it.

use lakehouse_tests::{Server, expect_json, expect_status};
use reqwest::Method;
use serde_json::{Value, json};

use super::{append, rows, server};

async fn call(server: &Server, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let mut request = server.request(method, &format!("/v1/catalog/iceberg/v1/{path}"));
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("a whole answer");
    let value = if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&text).expect("JSON")
    };
    (status, value)
}

async fn get(server: &Server, path: &str) -> Value {
    let (status, value) = call(server, Method::GET, path, None).await;
    assert_eq!(status, 200, "{value}");
    value
}

/// The type of an error, which must be told in Iceberg's own way.
fn kind(answer: &(u16, Value)) -> (u16, &str) {
    let (status, body) = answer;
    assert_eq!(body["error"]["code"], *status, "{body}");
    assert!(body["error"]["message"].is_string(), "{body}");
    (*status, body["error"]["type"].as_str().expect("a type"))
}

fn new_table(name: &str) -> Value {
    json!({
        "name": name,
        "schema": {
            "type": "struct",
            "schema-id": 0,
            "fields": [
                { "id": 1, "name": "a", "required": false, "type": "long" },
                { "id": 2, "name": "b", "required": false, "type": "string" },
            ],
        },
        "properties": { "owner": "test" },
    })
}

#[tokio::test]
async fn tables_of_ingest_are_there() {
    let server = server().await;
    append(&server, "t", 0, 10).await;
    let config = get(&server, "config?warehouse=any").await;
    assert!(config["defaults"].is_object() && config["overrides"].is_object());
    assert_eq!(
        get(&server, "namespaces").await["namespaces"],
        json!([["default"]])
    );
    let tables = get(&server, "namespaces/default/tables").await;
    let expected = json!([{ "namespace": ["default"], "name": "t" }]);
    assert_eq!(tables["identifiers"], expected);
    let loaded = get(&server, "namespaces/default/tables/t").await;
    let metadata = &loaded["metadata"];
    assert_eq!(metadata["format-version"], 2);
    let snapshots = metadata["snapshots"].as_array().expect("snapshots");
    assert_eq!(snapshots[0]["summary"]["total-records"], "10");
    let location = metadata["location"].as_str().expect("a location");
    assert!(
        loaded["metadata-location"]
            .as_str()
            .unwrap()
            .starts_with(location)
    );
    for (path, status) in [("t", 204), ("none", 404)] {
        let path = format!("/v1/catalog/iceberg/v1/namespaces/default/tables/{path}");
        expect_status(server.head(&path).send().await.unwrap(), status).await;
    }
}

#[tokio::test]
async fn a_table_is_made_changed_and_dropped() {
    let server = server().await;
    let namespace = json!({ "namespace": ["sales"], "properties": {} });
    let (status, made) = call(&server, Method::POST, "namespaces", Some(namespace)).await;
    assert_eq!((status, &made["namespace"]), (200, &json!(["sales"])));
    let tables = "namespaces/sales/tables";
    let (status, made) = call(&server, Method::POST, tables, Some(new_table("t"))).await;
    assert_eq!(status, 200, "{made}");
    assert_eq!(made["metadata"]["properties"]["owner"], "test");
    let again = call(&server, Method::POST, tables, Some(new_table("t"))).await;
    assert_eq!(kind(&again), (409, "AlreadyExistsException"));

    let uuid = &made["metadata"]["table-uuid"];
    let change = |uuid: &Value| {
        json!({
            "identifier": { "namespace": ["sales"], "name": "t" },
            "requirements": [{ "type": "assert-table-uuid", "uuid": uuid }],
            "updates": [{ "action": "set-properties", "updates": { "owner": "other" } }],
        })
    };
    let table = "namespaces/sales/tables/t";
    let (status, changed) = call(&server, Method::POST, table, Some(change(uuid))).await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(changed["metadata"]["properties"]["owner"], "other");
    assert_ne!(changed["metadata-location"], made["metadata-location"]);
    let wrong = json!("00000000-0000-0000-0000-000000000000");
    let refused = call(&server, Method::POST, table, Some(change(&wrong))).await;
    assert_eq!(kind(&refused), (409, "CommitFailedException"));
    let moved = json!({
        "requirements": [],
        "updates": [{ "action": "set-location", "location": "file:///elsewhere" }],
    });
    let refused = call(&server, Method::POST, table, Some(moved)).await;
    assert_eq!(kind(&refused), (400, "BadRequestException"));

    // What another engine made, ingest fills.
    let request = server.post("/v1/ingest?table=sales.t&format=csv");
    let answer = request.body("a,b\n1,x\n2,y\n").send().await.unwrap();
    expect_json(answer, 201).await;
    assert_eq!(rows(&server, "sales/t").await, 2);

    let full = call(&server, Method::DELETE, "namespaces/sales", None).await;
    assert_eq!(kind(&full), (409, "NamespaceNotEmptyException"));
    assert_eq!(call(&server, Method::DELETE, table, None).await.0, 204);
    assert_eq!(
        call(&server, Method::DELETE, "namespaces/sales", None)
            .await
            .0,
        204
    );
}

#[tokio::test]
async fn errors_are_told_in_icebergs_way() {
    let server = server().await;
    let table = "namespaces/default/tables/none";
    let cases = [
        (Method::GET, table, None, 404, "NoSuchTableException"),
        (Method::DELETE, table, None, 404, "NoSuchTableException"),
        (
            Method::GET,
            "namespaces/none",
            None,
            404,
            "NoSuchNamespaceException",
        ),
        (
            Method::GET,
            "namespaces/none/tables",
            None,
            404,
            "NoSuchNamespaceException",
        ),
        (
            Method::GET,
            "namespaces/..%2Fx",
            None,
            400,
            "BadRequestException",
        ),
        (Method::GET, "nothing", None, 404, "NoSuchEndpointException"),
        (Method::PUT, table, None, 405, "MethodNotAllowedException"),
        (
            Method::POST,
            table,
            Some(json!({})),
            400,
            "BadRequestException",
        ),
        (
            Method::POST,
            "namespaces",
            Some(json!({ "namespace": ["a", "b"] })),
            400,
            "BadRequestException",
        ),
    ];
    for (method, path, body, status, expected) in cases {
        let answer = call(&server, method, path, body).await;
        assert_eq!(kind(&answer), (status, expected), "{path}");
    }
    let mut staged = new_table("t");
    staged["stage-create"] = json!(true);
    let answer = call(
        &server,
        Method::POST,
        "namespaces/default/tables",
        Some(staged),
    )
    .await;
    assert_eq!(kind(&answer), (406, "UnsupportedOperationException"));
    let mut newer = new_table("t");
    newer["properties"]["format-version"] = json!("3");
    let answer = call(
        &server,
        Method::POST,
        "namespaces/default/tables",
        Some(newer),
    )
    .await;
    assert_eq!(kind(&answer), (406, "UnsupportedOperationException"));
}
