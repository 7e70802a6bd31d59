//! Random calls against an exact model, with restarts and background work in
//! between: every rule holds after every call.

use std::collections::BTreeMap;

use lakehouse_vectord::{
    Config, Distance, ErrorKind, Filter, IndexSpec, Item, Quantization, Query, Service,
};
use proptest::prelude::*;

const DIMENSION: usize = 3;

/// Number, vector, and metadata: none, `{}` or an object.
type NewItem = (u8, [i8; DIMENSION], Option<Option<u8>>);

#[derive(Clone, Debug)]
enum Call {
    Add(Vec<NewItem>),
    AddBroken(Vec<(u8, [i8; DIMENSION])>, u8),
    Delete(Vec<u8>),
    DeleteOne(u8),
    DropAndMake,
    Reopen,
    Settle,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let vector = prop::array::uniform3(-9_i8..9);
    // Metadata: none, `{}`, or an object.
    let metadata = prop::option::of(prop::option::of(0_u8..9));
    let item = (0_u8..60, vector.clone(), metadata);
    let call = prop_oneof![
        6 => prop::collection::vec(item, 0..25).prop_map(Call::Add),
        1 => (prop::collection::vec((0_u8..60, vector), 1..9), 0_u8..5)
            .prop_map(|(items, how)| Call::AddBroken(items, how)),
        2 => prop::collection::vec(0_u8..60, 0..20).prop_map(Call::Delete),
        2 => (0_u8..60).prop_map(Call::DeleteOne),
        1 => Just(Call::DropAndMake),
        2 => Just(Call::Reopen),
        1 => Just(Call::Settle),
    ];
    prop::collection::vec(call, 1..40)
}

type Model = BTreeMap<String, ([f32; DIMENSION], Option<String>)>;

fn id(number: u8) -> String {
    format!("i-{number}")
}

fn floats(vector: [i8; DIMENSION], distance: Distance) -> [f32; DIMENSION] {
    let mut floats = vector.map(f32::from);
    if distance == Distance::Cosine && floats == [0.0; DIMENSION] {
        floats[0] = 1.0;
    }
    floats
}

fn spec(distance: Distance, quantization: Quantization) -> IndexSpec {
    IndexSpec {
        m: Some(4),
        ef_construction: Some(32),
        quantization,
        ..IndexSpec::new("x", DIMENSION, distance)
    }
}

fn config(seal_rows: usize) -> Config {
    Config {
        seal_rows: Some(seal_rows),
        build_threads: Some(1),
        ..Config::default()
    }
}

fn exact(distance: Distance, a: &[f32], b: &[f32]) -> f64 {
    let pairs = || a.iter().zip(b).map(|(x, y)| (f64::from(*x), f64::from(*y)));
    let dot: f64 = pairs().map(|(x, y)| x * y).sum();
    match distance {
        Distance::Dot => -dot,
        Distance::L2 => pairs().map(|(x, y)| (x - y).powi(2)).sum(),
        Distance::Cosine => {
            let length = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            1.0 - dot / (length(a) * length(b))
        }
    }
}

/// Metadata that hold a number in several ways.
fn metadata_of(n: u8) -> String {
    let list = if n.is_multiple_of(2) { "[1]" } else { "null" };
    format!(
        "{{\"n\": {n}.0, \"at\": {{\"text\": \"t{n}\", \"list\": {list}}}, \"a.b\": {}}}",
        n > 4
    )
}

/// Filters, and whether they take metadata that hold a number or none.
type Takes = fn(Option<u8>) -> bool;
const FILTERS: [(&str, Takes); 8] = [
    (r#"{"n": 3}"#, |n| n == Some(3)),
    (r#"{"n": {"$gt": 2, "$lte": 6.0}}"#, |n| {
        n.is_some_and(|n| (3..=6).contains(&n))
    }),
    (r#"{"at.text": {"$in": ["t1", "t2", "t99"]}}"#, |n| {
        matches!(n, Some(1 | 2))
    }),
    (r#"{"at.text": {"$prefix": "t"}}"#, |n| n.is_some()),
    (r#"{"n": {"$exists": false}}"#, |n| n.is_none()),
    (r#"{"$or": [{"a.b": true}, {"n": {"$lt": 1}}]}"#, |n| {
        n.is_some_and(|n| n == 0 || n > 4)
    }),
    (
        r#"{"$not": {"$and": [{"a.b": false}, {"at.text": {"$ne": "t0"}}]}}"#,
        |n| n.is_none_or(|n| n == 0 || n > 4),
    ),
    (r#"{"at.list": [1.0]}"#, |n| {
        n.is_some_and(|n| n.is_multiple_of(2))
    }),
];

/// The number that metadata hold.
fn number_of(metadata: Option<&str>) -> Option<u8> {
    (0..9).find(|n| metadata == Some(&metadata_of(*n)))
}

fn check_filters(service: &Service, model: &Model, distance: Distance, exactly: bool) {
    let query = [0.5, -1.0, 2.0];
    for (filter, takes) in FILTERS {
        for k in [1, 4, 60] {
            let query_of_k = Query {
                filter: Some(filter.parse::<Filter>().unwrap()),
                ..Query::new(query, k)
            };
            let hits = service.search("x", &query_of_k).unwrap();
            let matching = model
                .values()
                .filter(|(_, m)| takes(number_of(m.as_deref())));
            let mut wanted: Vec<f64> = matching.map(|(v, _)| exact(distance, &query, v)).collect();
            wanted.sort_by(f64::total_cmp);
            assert_eq!(hits.len(), k.min(wanted.len()), "{filter}, k {k}");
            for (hit, wanted) in hits.iter().zip(wanted) {
                assert!(takes(number_of(hit.metadata.as_deref())), "{filter}");
                let distance = f64::from(hit.distance);
                assert!(!exactly || (distance - wanted).abs() < 1e-4, "{filter}");
            }
        }
    }
}

fn add(service: &Service, model: &mut Model, distance: Distance, items: &[NewItem]) {
    let text = |metadata: Option<u8>| match metadata {
        Some(n) => metadata_of(n),
        None => "{}".to_owned(),
    };
    let (mut new, mut old) = (0, 0);
    let mut seen = Vec::new();
    let mut batch = Vec::new();
    for (number, vector, metadata) in items {
        let vector = floats(*vector, distance);
        let metadata = metadata.map(text);
        if !seen.contains(number) {
            seen.push(*number);
            *(if model.contains_key(&id(*number)) {
                &mut old
            } else {
                &mut new
            }) += 1;
        }
        let kept = model.get(&id(*number)).and_then(|(_, kept)| kept.clone());
        model.insert(id(*number), (vector, metadata.clone().or(kept)));
        batch.push(Item {
            id: id(*number),
            vector: vector.to_vec(),
            metadata,
        });
    }
    let added = service.add("x", batch).unwrap();
    assert_eq!((added.added, added.updated), (new, old));
}

fn add_broken(service: &Service, distance: Distance, items: &[(u8, [i8; DIMENSION])], how: u8) {
    let mut batch: Vec<Item> = items
        .iter()
        .map(|(number, vector)| Item {
            id: id(*number),
            vector: floats(*vector, distance).to_vec(),
            metadata: None,
        })
        .collect();
    let at = batch.len() / 2;
    match how {
        0 => batch[at].vector[1] = f32::NAN,
        1 => batch[at].vector[2] = f32::INFINITY,
        2 => batch[at].vector.push(1.0),
        3 => batch[at].id.clear(),
        _ => batch[at].metadata = Some("[1]".into()),
    }
    let error = service.add("x", batch).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.to_string().contains(&format!("item {at} ")),
        "{error}"
    );
}

/// Everything that can be asked agrees with the model.
fn check(service: &Service, model: &Model, distance: Distance, graphs: bool) {
    assert_eq!(service.get("x").unwrap().count, model.len() as u64);
    for number in 0..60 {
        match (service.item("x", &id(number)), model.get(&id(number))) {
            (Ok(item), Some((vector, metadata))) => {
                assert_eq!(item.vector, vector);
                assert_eq!(item.metadata.as_deref(), metadata.as_deref());
            }
            (Err(error), None) => assert_eq!(error.kind(), ErrorKind::NotFound),
            (found, wanted) => panic!("{found:?} where {wanted:?} should be"),
        }
    }
    for (query, k) in [
        ([1.0, -2.0, 3.0], 1),
        ([-1.0, 0.5, 0.0], 7),
        ([0.0, 1.0, 0.0], 100),
    ] {
        let query_of_k = Query {
            ef: Some(64),
            with_vectors: true,
            ..Query::new(query, k)
        };
        let hits = service.search("x", &query_of_k).unwrap();
        assert_eq!(hits.len(), k.min(model.len()), "k {k}");
        let mut wanted: Vec<f64> = model
            .values()
            .map(|(v, _)| exact(distance, &query, v))
            .collect();
        wanted.sort_by(f64::total_cmp);
        let mut seen = std::collections::BTreeSet::new();
        let mut last = f32::NEG_INFINITY;
        for (rank, hit) in hits.iter().enumerate() {
            assert!(seen.insert(hit.id.to_string()), "{} twice", hit.id);
            let (vector, metadata) = &model[&*hit.id];
            assert_eq!(hit.vector.as_deref(), Some(&vector[..]));
            assert_eq!(hit.metadata.as_deref(), metadata.as_deref());
            assert!((f64::from(hit.distance) - exact(distance, &query, vector)).abs() < 1e-4);
            assert!(hit.distance >= last);
            last = hit.distance;
            if !graphs {
                assert!(
                    (f64::from(hit.distance) - wanted[rank]).abs() < 1e-4,
                    "rank {rank}"
                );
            }
        }
    }
}

fn run(calls: Vec<Call>, distance: Distance, quantization: Quantization, seal_rows: usize) {
    let dir = tempfile::tempdir().unwrap();
    let open = || Service::open(dir.path(), config(seal_rows)).unwrap();
    let mut service = open();
    service.create(&spec(distance, quantization)).unwrap();
    let mut model = Model::new();
    for call in calls {
        match &call {
            Call::Add(items) => add(&service, &mut model, distance, items),
            Call::AddBroken(items, how) => add_broken(&service, distance, items, *how),
            Call::Delete(numbers) => {
                let before = model.len();
                numbers.iter().for_each(|number| {
                    model.remove(&id(*number));
                });
                let deleted = service.delete("x", numbers.iter().map(|n| id(*n)).collect());
                assert_eq!(deleted.unwrap(), (before - model.len()) as u64);
            }
            Call::DeleteOne(number) => {
                let deleted = service.delete_item("x", &id(*number));
                assert_eq!(deleted.is_ok(), model.remove(&id(*number)).is_some());
            }
            Call::DropAndMake => {
                service.drop("x").unwrap();
                assert_eq!(service.get("x").unwrap_err().kind(), ErrorKind::NotFound);
                service.create(&spec(distance, quantization)).unwrap();
                model.clear();
            }
            Call::Reopen => {
                drop(service);
                service = open();
                assert!(service.damaged().is_empty());
            }
            Call::Settle => service.settle(),
        }
        check(&service, &model, distance, seal_rows < 1000);
        check_filters(&service, &model, distance, seal_rows >= 1000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn unsealed_rows_answer_exactly(calls in calls()) {
        for distance in [Distance::Cosine, Distance::L2, Distance::Dot] {
            run(calls.clone(), distance, Quantization::None, 1_000_000);
        }
    }

    #[test]
    fn sealed_rows_answer_right(calls in calls(), seal_rows in 2_usize..40) {
        for distance in [Distance::Cosine, Distance::L2, Distance::Dot] {
            let quantization = match seal_rows % 3 {
                0 => Quantization::None,
                1 => Quantization::Int8,
                _ => Quantization::F16,
            };
            run(calls.clone(), distance, quantization, seal_rows);
        }
    }
}
