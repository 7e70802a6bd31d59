//! Graphs find what looking at every row finds, whatever was done before.

use lakehouse_vectord::{
    Config, Distance, Engine, Filter, IndexSpec, Item, Quantization, Query, Service,
};

const DIMENSION: usize = 24;
const ROWS: usize = 4000;

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        ((self.0 >> 40) as f32 / (1 << 23) as f32) - 1.0
    }

    /// A vector near one of some centres.
    fn vector(&mut self) -> Vec<f32> {
        let mut centre = Numbers(((self.next() + 1.0) * 20.0) as u64);
        (0..DIMENSION)
            .map(|_| centre.next() * 2.0 + self.next())
            .collect()
    }
}

fn open(dir: &std::path::Path, engine: Engine) -> Service {
    let config = Config {
        seal_rows: Some(500),
        build_threads: Some(2),
        engine,
        ..Config::default()
    };
    Service::open(dir, config).unwrap()
}

/// An index named `x`.
fn spec(distance: Distance, quantization: Quantization) -> IndexSpec {
    IndexSpec {
        quantization,
        ..IndexSpec::new("x", DIMENSION, distance)
    }
}

fn item(number: usize, vector: Vec<f32>) -> Item {
    Item {
        id: format!("v-{number}"),
        vector,
        metadata: Some(format!(
            "{{\"third\": {}, \"rare\": {}}}",
            number % 3,
            number % 500
        )),
    }
}

fn query(vector: &[f32], k: usize, ef: Option<usize>, filter: Option<&str>) -> Query {
    let filter = filter.map(|text| Filter::parse(&serde_json::from_str(text).unwrap()).unwrap());
    Query {
        ef,
        filter,
        ..Query::new(vector, k)
    }
}

/// Share of the true nearest 10 that searches find.
fn recall(service: &Service, numbers: &mut Numbers, filter: Option<&str>) -> f64 {
    let count = service.get("x").unwrap().count as usize;
    let (mut found, mut wanted) = (0, 0);
    for _ in 0..100 {
        let vector = numbers.vector();
        let hits = service
            .search("x", &query(&vector, 10, None, filter))
            .unwrap();
        // A walk as wide as the index is a look at every row.
        let all = service
            .search("x", &query(&vector, count, Some(10_000), filter))
            .unwrap();
        assert_eq!(hits.len(), 10.min(all.len()));
        wanted += hits.len();
        found += hits
            .iter()
            .filter(|hit| all[..hits.len()].contains(hit))
            .count();
    }
    found as f64 / wanted as f64
}

fn run(distance: Distance, engine: Engine, quantization: Quantization) {
    let dir = tempfile::tempdir().unwrap();
    let mut service = open(dir.path(), engine);
    service.create(&spec(distance, quantization)).unwrap();
    let mut numbers = Numbers(1);
    let vectors: Vec<_> = (0..ROWS).map(|_| numbers.vector()).collect();
    for (batch, chunk) in vectors.chunks(200).enumerate() {
        let numbered = chunk.iter().enumerate();
        let items = numbered.map(|(i, v)| item(batch * 200 + i, v.clone()));
        service.add("x", items.collect()).unwrap();
    }
    service.settle();
    assert!(service.get("x").unwrap().segments < 12);
    assert!(recall(&service, &mut numbers, None) > 0.95, "built");

    drop(service);
    service = open(dir.path(), engine);
    assert!(recall(&service, &mut numbers, None) > 0.95, "opened again");
    for (number, vector) in vectors.iter().enumerate().step_by(97) {
        let hits = service.search("x", &query(vector, 1, None, None)).unwrap();
        if distance != Distance::Dot {
            assert_eq!(&*hits[0].id, format!("v-{number}"));
            assert!(hits[0].distance < 1e-6);
        }
    }

    let half = (0..ROWS).step_by(2).map(|number| format!("v-{number}"));
    assert_eq!(
        service.delete("x", half.collect()).unwrap(),
        ROWS as u64 / 2
    );
    assert!(recall(&service, &mut numbers, None) > 0.95, "half deleted");
    for number in (0..ROWS).step_by(2) {
        if number % 4 == 0 {
            let vector = vectors[number].clone();
            service.add("x", vec![item(number, vector)]).unwrap();
        }
    }
    service.settle();
    assert!(
        recall(&service, &mut numbers, None) > 0.95,
        "a quarter added again"
    );
    assert!(
        recall(&service, &mut numbers, Some(r#"{"third": 1}"#)) > 0.95,
        "filtered"
    );
    assert_eq!(
        recall(&service, &mut numbers, Some(r#"{"rare": 3}"#)),
        1.0,
        "few match"
    );
    assert_eq!(service.get("x").unwrap().count, 3000);
}

#[test]
fn cosine() {
    run(Distance::Cosine, Engine::Own, Quantization::None);
    run(Distance::Cosine, Engine::Own, Quantization::Int8);
    run(Distance::Cosine, Engine::Own, Quantization::F16);
}

#[test]
fn l2() {
    run(Distance::L2, Engine::Own, Quantization::None);
    run(Distance::L2, Engine::Own, Quantization::Int8);
    run(Distance::L2, Engine::Own, Quantization::F16);
}

#[test]
fn dot() {
    run(Distance::Dot, Engine::Own, Quantization::None);
    run(Distance::Dot, Engine::Own, Quantization::Int8);
    run(Distance::Dot, Engine::Own, Quantization::F16);
}

/// What our own engine is held against does as well by the same rules.
#[test]
fn hnsw_rs() {
    for distance in [Distance::Cosine, Distance::L2, Distance::Dot] {
        run(distance, Engine::HnswRs, Quantization::None);
    }
}

#[test]
fn equal_vectors_are_all_found() {
    let dir = tempfile::tempdir().unwrap();
    let service = open(dir.path(), Engine::Own);
    let spec = IndexSpec {
        m: Some(2),
        ef_construction: Some(8),
        ..IndexSpec::new("x", 2, Distance::L2)
    };
    service.create(&spec).unwrap();
    // Crowds of equal points, which fill each other's links.
    let place = |number: usize| vec![(number / 300) as f32, 0.0];
    let items = (0..3000).map(|number| item(number, place(number)));
    service.add("x", items.collect()).unwrap();
    service.settle();
    for number in (0..3000).step_by(50) {
        let hits = service
            .search("x", &query(&place(number), 5, None, None))
            .unwrap();
        assert_eq!(hits.len(), 5);
        assert!(hits.iter().all(|hit| hit.distance == 0.0), "{hits:?}");
    }
}

#[test]
fn what_is_sealed_in_haste_is_built_anew() {
    let dir = tempfile::tempdir().unwrap();
    // More come at once than are waited for.
    let config = Config {
        seal_rows: Some(ROWS / 16),
        ..Config::default()
    };
    let service = Service::open(dir.path(), config).unwrap();
    service
        .create(&spec(Distance::L2, Quantization::None))
        .unwrap();
    let mut numbers = Numbers(3);
    let items: Vec<_> = (0..ROWS).map(|i| item(i, numbers.vector())).collect();
    service
        .search("x", &query(&items[0].vector, 1, None, None))
        .unwrap();
    service.add("x", items).unwrap();
    service.settle();
    let info = service.get("x").unwrap();
    assert_eq!((info.segments, info.built_rows), (1, 2 * ROWS as u64));
    assert!(recall(&service, &mut numbers, None) > 0.95);
}

#[test]
fn wide_searches_among_vectors_without_order_are_exact() {
    for quantization in [Quantization::None, Quantization::F16, Quantization::Int8] {
        let dir = tempfile::tempdir().unwrap();
        let service = Service::open(dir.path(), Config::default()).unwrap();
        service.create(&spec(Distance::L2, quantization)).unwrap();
        let mut numbers = Numbers(5);
        let mut vector = || (0..DIMENSION).map(|_| numbers.next()).collect::<Vec<_>>();
        let mut vectors: Vec<_> = (0..ROWS).map(|_| vector()).collect();
        // Some are there twice: the graph has one node for both.
        vectors.extend_from_within(..50);
        let items = vectors.into_iter().enumerate();
        let items = items.map(|(number, vector)| item(number, vector));
        service.add("x", items.collect()).unwrap();
        service.settle();
        let gone = (0..ROWS).step_by(9).map(|number| format!("v-{number}"));
        let gone = service.delete("x", gone.collect()).unwrap() as usize;
        for _ in 0..50 {
            let vector = vector();
            let search = |k, ef| service.search("x", &query(&vector, k, Some(ef), None));
            let all = search(ROWS + 50 - gone, 10_000).unwrap();
            assert_eq!(all.len(), ROWS + 50 - gone);
            assert_eq!(search(10, 1000).unwrap(), all[..10], "{quantization:?}");
        }
    }
}
