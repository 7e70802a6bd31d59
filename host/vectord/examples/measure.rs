//! Fills an index with vectors from a file and times its building and
//! searching; `bench/vectors.py` calls this beside other libraries.
//!
//! usage: measure VECTORS QUERIES TRUTH DIMENSION DISTANCE QUANTIZATION ENGINE THREADS RUNS EF...
//!
//! The files hold little-endian values without a header: `f32`, and for
//! TRUTH `u32`, the true nearest rows of each query, as many as to search for.
//! Prints JSON: the seconds that building took, the bytes on disk, the seconds
//! to open it again, and for each EF the recall, the queries a second of one
//! thread (the best of RUNS) and of all THREADS together.

use std::error::Error;
use std::time::Instant;

use lakehouse_vectord::{Config, Distance, Engine, IndexSpec, Item, Quantization, Query, Service};

/// Items of one call.
const BATCH: usize = 10_000;
const INDEX: &str = "x";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn words(path: &str) -> Result<Vec<[u8; 4]>> {
    Ok(std::fs::read(path)?.as_chunks::<4>().0.to_vec())
}

fn floats(path: &str) -> Result<Vec<f32>> {
    Ok(words(path)?.into_iter().map(f32::from_le_bytes).collect())
}

fn named<T: serde::de::DeserializeOwned>(name: &str) -> Result<T> {
    Ok(serde_json::from_value(serde_json::Value::from(name))?)
}

/// Queries, and what they should find.
struct Questions {
    vectors: Vec<Vec<f32>>,
    truth: Vec<Vec<u32>>,
}

impl Questions {
    fn query(&self, number: usize, ef: usize) -> Query {
        Query {
            vector: self.vectors[number].clone(),
            k: self.truth[number].len(),
            ef: Some(ef),
            filter: None,
            with_vectors: false,
        }
    }

    /// Runs every query once; the share of true neighbours found.
    fn recall(&self, service: &Service, ef: usize) -> Result<f64> {
        let (mut found, mut wanted) = (0, 0);
        for (number, truth) in self.truth.iter().enumerate() {
            for hit in service.search(INDEX, &self.query(number, ef))? {
                found += usize::from(truth.contains(&hit.id.parse()?));
            }
            wanted += truth.len();
        }
        Ok(found as f64 / wanted as f64)
    }

    /// Queries a second of some threads together.
    fn rate(&self, service: &Service, ef: usize, threads: usize) -> Result<f64> {
        let queries: Vec<Query> = (0..self.vectors.len()).map(|n| self.query(n, ef)).collect();
        let started = Instant::now();
        std::thread::scope(|scope| {
            let run = || {
                let mut answers = queries.iter().map(|query| service.search(INDEX, query));
                answers.try_for_each(|answer| answer.map(drop))
            };
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
            running
                .into_iter()
                .try_for_each(|thread| match thread.join() {
                    Ok(done) => done.map_err(|e| e.into()),
                    Err(_) => Err(Box::<dyn Error>::from("a thread panicked")),
                })
        })?;
        Ok((threads * queries.len()) as f64 / started.elapsed().as_secs_f64())
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [
        vectors,
        queries,
        truth,
        dimension,
        distance,
        quantization,
        engine,
        threads,
        runs,
        efs @ ..,
    ] = arguments.as_slice()
    else {
        return Err("usage: see the source".into());
    };
    let (dimension, threads): (usize, usize) = (dimension.parse()?, threads.parse()?);
    let runs: usize = runs.parse()?;
    let distance: Distance = named(distance)?;
    let engine: Engine = named(engine)?;
    let spec = IndexSpec {
        name: INDEX.into(),
        dimension,
        distance,
        m: Some(16),
        ef_construction: Some(200),
        quantization: named::<Quantization>(quantization)?,
    };
    let query_vectors = floats(queries)?;
    let truth: Vec<u32> = words(truth)?.into_iter().map(u32::from_le_bytes).collect();
    let k = truth.len() * dimension / query_vectors.len();
    let questions = Questions {
        vectors: query_vectors
            .chunks(dimension)
            .map(<[f32]>::to_vec)
            .collect(),
        truth: truth.chunks(k).map(<[u32]>::to_vec).collect(),
    };

    let folder = tempfile::tempdir()?;
    let config = Config {
        build_threads: Some(threads),
        engine,
        ..Config::default()
    };
    let service = Service::open(folder.path(), config.clone())?;
    service.create(&spec)?;
    let vectors = floats(vectors)?;
    let started = Instant::now();
    for (batch, rows) in vectors.chunks(BATCH * dimension).enumerate() {
        let rows = rows.chunks(dimension).enumerate();
        let items = rows.map(|(at, vector)| Item {
            id: (batch * BATCH + at).to_string(),
            vector: vector.to_vec(),
            metadata: None,
        });
        service.add(INDEX, items.collect())?;
    }
    let added = started.elapsed().as_secs_f64();
    service.settle();
    let built = started.elapsed().as_secs_f64();
    drop(vectors);

    let mut curve = Vec::new();
    for ef in efs {
        let ef: usize = ef.parse()?;
        let recall = questions.recall(&service, ef)?;
        let best = |threads| -> Result<f64> {
            let mut best = 0.0_f64;
            for _ in 0..runs {
                best = best.max(questions.rate(&service, ef, threads)?);
            }
            Ok(best)
        };
        curve.push(serde_json::json!({
            "ef": ef, "recall": recall, "rate": best(1)?, "all": best(threads)?,
        }));
    }
    let info = service.get(INDEX)?;
    drop(service);
    let started = Instant::now();
    let service = Service::open(folder.path(), config)?;
    service.search(INDEX, &questions.query(0, 64))?;
    let opened = started.elapsed().as_secs_f64();
    let result = serde_json::json!({
        "added": added, "built": built, "opened": opened, "bytes": info.bytes,
        "segments": info.segments, "curve": curve,
    });
    println!("{result}");
    Ok(())
}
