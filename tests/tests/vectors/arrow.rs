//! Items and queries as Arrow IPC streams.

use std::sync::Arc;

use arrow_array::builder::StringViewBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int32Type, UInt32Type};
use arrow_array::{
    ArrayRef, DictionaryArray, FixedSizeListArray, Float32Array, Int32Array, LargeStringArray,
    RecordBatch, StringArray, StringViewArray,
};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use lakehouse_tests::{Server, expect_json, expect_problem, expect_status};
use reqwest::Response;
use serde_json::json;

use crate::{INDEX, count, detail, get, make, start};

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
    let doubles: ArrayRef = Arc::new(
        FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>(
            [Some([Some(1.0); 3]), Some([Some(1.0); 3])],
            3,
        ),
    );
    let named: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::from_iter(["a", "b"]));
    for (columns, why) in [
        (
            vec![("id", named), ("vector", two())],
            "message 1 is a dictionary",
        ),
        (
            vec![("id", ids()), ("vector", doubles)],
            "not a fixed-size list of 32-bit floats",
        ),
        (
            vec![
                ("id", ids()),
                (
                    "vector",
                    vectors(&[Some([1.0; 3]), Some([1.0, f32::NAN, 1.0])]),
                ),
            ],
            "item 1 (id \"b\")",
        ),
        (
            vec![
                ("id", ids()),
                (
                    "vector",
                    vectors(&[Some([f32::INFINITY; 3]), Some([1.0; 3])]),
                ),
            ],
            "item 0 (id \"a\")",
        ),
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
        ("?k=0", "k must be 1"),
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

/// Columns of two good items.
fn good() -> Vec<u8> {
    stream(vec![vec![
        ("id", texts(&[Some("a"), Some("b")])),
        ("vector", vectors(&[Some([1.0; 3]), Some([2.0; 3])])),
        ("metadata", texts(&[Some("{}"), None])),
    ]])
}

#[tokio::test]
async fn a_cut_stream_is_refused_wherever_it_ends() {
    let server = start().await;
    make(&server, "l2").await;
    let good = good();
    for length in 0..good.len() {
        let answer = send(&server, "/x/add", good[..length].to_vec()).await;
        let problem = expect_problem(answer, 400).await;
        assert!(detail(&problem).contains("cut"), "{length}: {problem}");
    }
    let mut longer = good.clone();
    longer.extend([0; 8]);
    let problem = expect_problem(send(&server, "/x/add", longer).await, 400).await;
    assert!(detail(&problem).contains("end mark"), "{problem}");
    assert_eq!(count(&server).await, 0);
    expect_status(send(&server, "/x/add", good).await, 200).await;
    assert_eq!(count(&server).await, 2);
}

/// Whatever stands in whichever word of a stream: it is taken, or refused and
/// nothing has changed.
#[tokio::test]
async fn a_changed_stream_is_taken_or_refused() {
    let server = start().await;
    make(&server, "l2").await;
    let good = good();
    let (mut taken, mut refused, mut before) = (0, 0, 0);
    for at in (0..good.len()).step_by(4) {
        for word in [0, 1, 7, 1 << 20, i32::MAX, i32::MIN, -1] {
            let mut changed = good.clone();
            changed[at..at + 4].copy_from_slice(&word.to_le_bytes());
            let answer = send(&server, "/x/search?k=1", changed.clone()).await;
            expect_problem(answer, 400).await;
            let answer = send(&server, "/x/add", changed).await;
            if answer.status() == 200 {
                taken += 1;
                before = count(&server).await;
            } else {
                refused += 1;
                expect_problem(answer, 400).await;
                assert_eq!(count(&server).await, before, "byte {at}, {word}");
            }
        }
    }
    assert!(taken > 100 && refused > 100, "{taken} taken, {refused} not");
}

/// A few bytes cannot become many in memory.
#[tokio::test]
async fn texts_that_are_repeated_without_end_are_refused() {
    let server = start().await;
    make(&server, "l2").await;
    let mut metadata = StringViewBuilder::new();
    let block = metadata.append_block(Buffer::from(vec![b' '; 1 << 20]));
    for _ in 0..1000 {
        metadata.try_append_view(block, 0, 1 << 20).unwrap();
    }
    let ids: Vec<_> = (0..1000).map(|row| row.to_string()).collect();
    let ids: ArrayRef = Arc::new(StringArray::from(ids));
    let body = stream(vec![vec![
        ("id", ids),
        ("vector", vectors(&[Some([1.0; 3]); 1000])),
        ("metadata", Arc::new(metadata.finish())),
    ]]);
    let problem = expect_problem(send(&server, "/x/add", body).await, 400).await;
    assert!(detail(&problem).contains("far longer"), "{problem}");
    assert_eq!(count(&server).await, 0);
}
