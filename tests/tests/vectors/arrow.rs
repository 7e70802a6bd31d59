//! Items and queries as Arrow IPC streams, and many queries at once.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt32Type};
use arrow_array::{
    ArrayRef, FixedSizeListArray, Float32Array, Int32Array, LargeStringArray, RecordBatch,
    StringArray, StringViewArray,
};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field};
use lakehouse_tests::{Server, expect_json, expect_problem, expect_status};
use reqwest::Response;
use serde_json::{Value, json};

use crate::{INDEX, add, count, detail, get, make, post, start};

const STREAM: &str = "application/vnd.apache.arrow.stream";

fn vectors(rows: &[Option<[f32; 3]>]) -> ArrayRef {
    let of = |row: &Option<[f32; 3]>| row.map(|row| row.map(Some));
    Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows.iter().map(of), 3))
}

fn texts(rows: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(rows.to_vec()))
}

/// A stream of some batches of the same columns.
fn stream(batches: Vec<Vec<(&str, ArrayRef)>>) -> Vec<u8> {
    let batches: Vec<_> = batches
        .into_iter()
        .map(|columns| {
            let columns = columns
                .into_iter()
                .map(|(name, column)| (name, column, true));
            RecordBatch::try_from_iter_with_nullable(columns).unwrap()
        })
        .collect();
    let mut writer = StreamWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
    batches
        .iter()
        .for_each(|batch| writer.write(batch).unwrap());
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

async fn send(server: &Server, path: &str, body: Vec<u8>) -> Response {
    let request = server.post(&format!("{INDEX}{path}"));
    request
        .header("content-type", STREAM)
        .body(body)
        .send()
        .await
        .unwrap()
}

async fn received(answer: Response) -> RecordBatch {
    let answer = expect_status(answer, 200).await;
    assert_eq!(answer.headers()["content-type"], STREAM);
    let body = answer.bytes().await.unwrap();
    let mut batches = StreamReader::try_new(&body[..], None).unwrap();
    let batch = batches.next().unwrap().unwrap();
    assert!(batches.next().is_none());
    batch
}

#[tokio::test]
async fn items_come_and_hits_go_as_arrow() {
    let server = start().await;
    make(&server, "l2").await;
    let body = stream(vec![
        vec![
            ("id", texts(&[Some("a"), Some("b")])),
            (
                "vector",
                vectors(&[Some([1.0, 0.0, 0.0]), Some([2.0, 0.0, 0.0])]),
            ),
            ("metadata", texts(&[Some(r#"{"n": 1}"#), None])),
        ],
        vec![
            ("id", texts(&[Some("c"), Some("a")])),
            (
                "vector",
                vectors(&[Some([3.0, 0.0, 0.0]), Some([4.0, 0.0, 0.0])]),
            ),
            ("metadata", texts(&[Some("{}"), None])),
        ],
    ]);
    let answer = send(&server, "/x/add", body).await;
    assert_eq!(
        expect_json(answer, 200).await,
        json!({"added": 3, "updated": 0})
    );
    let item = expect_json(get(&server, "/x/items/a").await, 200).await;
    let wanted = json!({"id": "a", "vector": [4.0, 0.0, 0.0], "metadata": {"n": 1}});
    assert_eq!(item, wanted);

    let queries = [Some([0.0, 0.0, 0.0]), Some([9.0, 0.0, 0.0])];
    let queries = stream(vec![vec![("vector", vectors(&queries))]]);
    let path = "/x/search?k=2&include=metadata,vector";
    let batch = received(send(&server, path, queries.clone()).await).await;
    let numbers = |name: &str| {
        let column = batch.column_by_name(name).unwrap();
        column.as_primitive::<UInt32Type>().values().to_vec()
    };
    assert_eq!(numbers("query"), [0, 0, 1, 1]);
    assert_eq!(numbers("rank"), [0, 1, 0, 1]);
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let ids: Vec<_> = column("id").as_string::<i32>().iter().flatten().collect();
    assert_eq!(ids, ["b", "c", "a", "c"]);
    let distances = column("distance").as_primitive::<Float32Type>();
    assert_eq!(distances.values().to_vec(), [4.0, 9.0, 25.0, 36.0]);
    let metadata: Vec<_> = column("metadata").as_string::<i32>().iter().collect();
    assert_eq!(
        metadata,
        [None, Some("{}"), Some(r#"{"n": 1}"#), Some("{}")]
    );
    let vectors = column("vector").as_fixed_size_list();
    let components = vectors.values().as_primitive::<Float32Type>();
    assert_eq!(components.values()[6..9], [4.0, 0.0, 0.0]);

    let path = "/x/search?k=5&ef=10&include=&filter=%7B%22n%22%3A1%7D";
    let batch = received(send(&server, path, queries).await).await;
    assert_eq!(batch.num_columns(), 4);
    let ids: Vec<_> = batch
        .column(2)
        .as_string::<i32>()
        .iter()
        .flatten()
        .collect();
    assert_eq!(ids, ["a", "a"]);
}

#[tokio::test]
async fn every_kind_of_text_is_read() {
    let server = start().await;
    make(&server, "l2").await;
    let ids: [ArrayRef; 3] = [
        Arc::new(StringArray::from(vec!["one"])),
        Arc::new(LargeStringArray::from(vec!["two"])),
        Arc::new(StringViewArray::from(vec![
            "three: longer than a view holds",
        ])),
    ];
    for id in ids {
        let body = stream(vec![vec![
            ("id", id),
            ("vector", vectors(&[Some([1.0; 3])])),
        ]]);
        expect_status(send(&server, "/x/add", body).await, 200).await;
    }
    assert_eq!(count(&server).await, 3);
}

#[tokio::test]
async fn what_is_wrong_with_a_stream_is_said() {
    let server = start().await;
    make(&server, "cosine").await;
    let two = || vectors(&[Some([1.0; 3]), Some([2.0; 3])]);
    let ids = || texts(&[Some("a"), Some("b")]);
    let wide: ArrayRef = Arc::new(
        FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(
            [Some(vec![Some(1.0); 4]), Some(vec![Some(1.0); 4])],
            4,
        ),
    );
    let holed: ArrayRef = Arc::new(
        FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(
            [Some([Some(1.0); 3]), Some([Some(1.0), None, Some(1.0)])],
            3,
        ),
    );
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
    let floats: ArrayRef = Arc::new(Float32Array::from(vec![1.0, 2.0]));
    for (columns, why) in [
        (vec![("id", ids())], "no column \"vector\""),
        (vec![("vector", two())], "no column \"id\""),
        (
            vec![("id", numbers), ("vector", two())],
            "\"id\" is Int32, not text",
        ),
        (
            vec![("id", ids()), ("vector", floats)],
            "not a fixed-size list",
        ),
        (
            vec![("id", ids()), ("vector", two()), ("colour", ids())],
            "\"colour\" is not one of",
        ),
        (
            vec![("id", texts(&[Some("a"), None])), ("vector", two())],
            "row 1 has no id",
        ),
        (
            vec![("id", ids()), ("vector", vectors(&[None, Some([1.0; 3])]))],
            "row 0 has no vector",
        ),
        (vec![("id", ids()), ("vector", holed)], "row 1: component 1"),
        (
            vec![("id", ids()), ("vector", wide)],
            "item 0 (id \"a\"): the vector has 4",
        ),
        (
            vec![
                ("id", ids()),
                ("vector", vectors(&[Some([1.0; 3]), Some([0.0; 3])])),
            ],
            "item 1 (id \"b\"): a zero vector",
        ),
        (
            vec![("id", ids()), ("vector", two()), ("metadata", ids())],
            "metadata is not JSON",
        ),
    ] {
        let answer = send(&server, "/x/add", stream(vec![columns])).await;
        let problem = expect_problem(answer, 400).await;
        assert!(detail(&problem).contains(why), "{problem}");
    }
    let queries = || stream(vec![vec![("vector", two())]]);
    for (parameters, why) in [
        ("", "k"),
        ("?k=0", "query 0: k must be 1"),
        ("?k=1&colour=2", "colour"),
        ("?k=1&filter=%7B", "filter is not JSON"),
        ("?k=1&filter=%7B%22%24or%22%3A1%7D", "filter.$or"),
        ("?k=1&include=colour", "colour"),
        ("?k=10001", "k must be"),
    ] {
        let answer = send(&server, &format!("/x/search{parameters}"), queries()).await;
        let problem = expect_problem(answer, 400).await;
        assert!(detail(&problem).contains(why), "{parameters}: {problem}");
    }
    let answer = send(&server, "/x/delete", queries()).await;
    expect_problem(answer, 415).await;
    expect_problem(send(&server, "/y/search?k=1", queries()).await, 404).await;
    assert_eq!(count(&server).await, 0);
}

/// Cut, changed and senseless bodies are refused, and change nothing.
#[tokio::test]
async fn broken_bodies_are_refused() {
    let server = start().await;
    make(&server, "l2").await;
    let good = stream(vec![vec![
        ("id", texts(&[Some("a"), Some("b")])),
        ("vector", vectors(&[Some([1.0; 3]), Some([2.0; 3])])),
        ("metadata", texts(&[Some("{}"), None])),
    ]]);
    let json =
        br#"{"items": [{"id": "a", "vector": [1, 2.5e0, -3], "metadata": {"n": "\u00e9"}}]}"#;
    let mut bodies = Vec::new();
    let mut seed = 1_u64;
    let mut next = |below: usize| {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (seed >> 33) as usize % below
    };
    for length in (0..good.len()).step_by(29) {
        bodies.push((STREAM, good[..length].to_vec()));
    }
    for (media, whole) in [(STREAM, &good[..]), ("application/json", &json[..])] {
        for _ in 0..400 {
            let mut changed = whole.to_vec();
            for _ in 0..1 + next(3) {
                let at = next(changed.len());
                changed[at] = match next(3) {
                    0 => 0,
                    1 => 0xff,
                    _ => next(256) as u8,
                };
            }
            bodies.push((media, changed));
        }
    }
    for (media, body) in bodies {
        for call in ["add", "search?k=1"] {
            let request = server.post(&format!("{INDEX}/x/{call}"));
            let request = request.header("content-type", media).body(body.clone());
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let text = answer.text().await.unwrap_or_default();
            assert!(
                status == 200 || status == 400,
                "{status} {text} for {body:?}"
            );
        }
    }
    expect_status(get(&server, "/x").await, 200).await;
}

#[tokio::test]
async fn many_queries_are_answered_in_their_order() {
    let server = start().await;
    make(&server, "l2").await;
    let item = |i: i32| json!({"id": format!("{i}"), "vector": [i, 0, 0], "metadata": {"n": i}});
    add(&server, (0..50).map(item).collect()).await;
    let queries: Vec<_> = (0..50).map(|i| json!([i, 0, 0])).collect();
    let body = json!({"vectors": queries, "k": 2, "filter": {"n": {"$lt": 49}}, "include": []});
    let found = expect_json(post(&server, "/x/search", &body).await, 200).await;
    let results = found["results"].as_array().unwrap();
    assert_eq!(results.len(), 50);
    for (i, hits) in results.iter().enumerate() {
        let nearest = if i == 49 { 48 } else { i };
        assert_eq!(hits[0]["id"], nearest.to_string());
        assert_eq!(hits.as_array().unwrap().len(), 2);
    }
    let one = json!({"vectors": [[0, 0, 0]], "k": 1, "include": []});
    let found = expect_json(post(&server, "/x/search", &one).await, 200).await;
    assert_eq!(found, json!({"results": [[{"id": "0", "distance": 0.0}]]}));
    let none = json!({"vectors": [], "k": 1});
    let found = expect_json(post(&server, "/x/search", &none).await, 200).await;
    assert_eq!(found, json!({"results": []}));

    let many: Vec<Value> = vec![json!([0, 0, 0]); 10_001];
    for (body, why) in [
        (json!({"k": 1}), "either"),
        (
            json!({"k": 1, "vector": [1, 2, 3], "vectors": []}),
            "either",
        ),
        (
            json!({"k": 1, "vectors": [[1, 2, 3], [1, 2]]}),
            "query 1: the vector has 2",
        ),
        (json!({"k": 1, "vectors": many}), "10001 queries"),
        (
            json!({"k": 10_000, "vectors": many[..101]}),
            "1010000 results",
        ),
    ] {
        let problem = expect_problem(post(&server, "/x/search", &body).await, 400).await;
        assert!(detail(&problem).contains(why), "{problem}");
    }
}
