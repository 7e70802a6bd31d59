//! Filtered searches find what looking at every match finds, however many
//! match, and as many as there are.

use lakehouse_vectord::{Config, Distance, Filter, IndexSpec, Item, Quantization, Query, Service};
use serde_json::{Value, json};

const DIMENSION: usize = 16;
const ROWS: usize = 20_000;
const CENTRES: usize = 50;
const NEAREST: usize = 10;

/// A number that looks random and is the same each time, -1 to 1.
fn number(seed: u64) -> f32 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
}

/// Which centre a row is near.
fn centre(row: u64) -> u64 {
    row * 7 % CENTRES as u64
}

fn vector(row: u64) -> Vec<f32> {
    let component = |i: u64| 2.0 * number(centre(row) * 100 + i) + number((row + 9) * 1000 + i);
    (0..DIMENSION as u64).map(component).collect()
}

fn metadata(row: u64) -> Value {
    json!({
        "n": row * 31 % 1000,
        "shop": {"city": format!("{}-{}", ["York", "Bath"][row as usize % 2], row % 10)},
        "centre": centre(row),
        "tags": ["a", row % 4],
    })
}

/// A filter's name, the filter, and which rows it takes.
type Filtered = (&'static str, Value, fn(u64) -> bool);

/// 1%, 10%, 50%, all near some centres, nearly none, and by what is not kept
/// by value.
fn filters() -> Vec<Filtered> {
    vec![
        ("1%", json!({"n": {"$lt": 10}}), |row| row * 31 % 1000 < 10),
        (
            "10%",
            json!({"shop.city": {"$in": ["York-4", "Bath-99"]}}),
            |row| row % 10 == 4,
        ),
        ("50%", json!({"shop.city": {"$prefix": "Bath"}}), |row| {
            row % 2 == 1
        }),
        (
            "a few places",
            json!({"$or": [{"centre": 3}, {"centre": {"$gte": 20, "$lte": 23}}]}),
            |row| centre(row) == 3 || (20..=23).contains(&centre(row)),
        ),
        (
            "all but a few places",
            json!({"$not": {"centre": {"$lt": 5}}}),
            |row| centre(row) >= 5,
        ),
        ("three", json!({"n": 5, "$and": [{"centre": 5}]}), |row| {
            row * 31 % 1000 == 5 && centre(row) == 5
        }),
        ("a list", json!({"tags": ["a", 2]}), |row| row % 4 == 2),
        ("nothing", json!({"n": {"$exists": false}}), |_| false),
    ]
}

fn open(dir: &std::path::Path, seal_rows: usize) -> Service {
    let config = Config {
        seal_rows: Some(seal_rows),
        build_threads: Some(2),
        ..Config::default()
    };
    Service::open(dir, config).unwrap()
}

fn add(service: &Service, rows: impl Iterator<Item = u64>) {
    let item = |row: u64| Item {
        id: row.to_string(),
        vector: vector(row),
        metadata: Some(metadata(row).to_string()),
    };
    let items: Vec<Item> = rows.map(item).collect();
    for batch in items.chunks(1000) {
        service.add("x", batch.to_vec()).unwrap();
    }
}

fn squared(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

/// Recall of each filter, all else checked on the way.
fn check(service: &Service, live: impl Fn(u64) -> bool, when: &str) {
    let rows: Vec<(u64, Vec<f32>)> = (0..ROWS as u64)
        .filter(|row| live(*row))
        .map(|row| (row, vector(row)))
        .collect();
    for (name, filter, takes) in filters() {
        let matching: Vec<_> = rows.iter().filter(|(row, _)| takes(*row)).collect();
        let (mut found, mut wanted) = (0, 0);
        for query in 0..40 {
            let query = vector(1_000_000 + query);
            let hits = service
                .search(
                    "x",
                    &Query {
                        filter: Some(Filter::parse(&filter).unwrap()),
                        ..Query::new(query.as_slice(), NEAREST)
                    },
                )
                .unwrap();
            assert_eq!(hits.len(), NEAREST.min(matching.len()), "{when}, {name}");
            let mut nearest: Vec<_> = matching
                .iter()
                .map(|(row, vector)| (squared(&query, vector), *row))
                .collect();
            nearest.sort_by(|a, b| a.0.total_cmp(&b.0));
            nearest.truncate(NEAREST);
            for hit in &hits {
                let row: u64 = hit.id.parse().unwrap();
                assert!(takes(row) && live(row), "{when}, {name}: {row}");
                found += usize::from(nearest.iter().any(|(_, near)| *near == row));
            }
            wanted += nearest.len();
        }
        let recall = if wanted == 0 {
            1.0
        } else {
            found as f64 / wanted as f64
        };
        assert!(recall >= 0.95, "{when}, {name}: {recall}");
    }
}

fn run(quantization: Quantization) {
    let dir = tempfile::tempdir().unwrap();
    let service = open(dir.path(), 4096);
    let spec = IndexSpec {
        quantization,
        ..IndexSpec::new("x", DIMENSION, Distance::L2)
    };
    service.create(&spec).unwrap();
    add(&service, 0..ROWS as u64);
    service.settle();
    check(&service, |_| true, "built");
    let third = (0..ROWS).step_by(3).map(|row| row.to_string());
    service.delete("x", third.collect()).unwrap();
    check(&service, |row| row % 3 != 0, "a third deleted");
    drop(service);
    // So that what is added next stays without a graph.
    let service = open(dir.path(), 1_000_000);
    check(&service, |row| row % 3 != 0, "opened again");
    add(&service, (0..ROWS as u64).step_by(6));
    check(
        &service,
        |row| row % 6 == 0 || row % 3 != 0,
        "a sixth in the log",
    );
}

#[test]
fn plain() {
    run(Quantization::None);
}

#[test]
fn int8() {
    run(Quantization::Int8);
}

#[test]
fn f16() {
    run(Quantization::F16);
}
