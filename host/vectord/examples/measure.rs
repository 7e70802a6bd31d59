//! Fills an index with vectors from a file and times its building and
//! searching; `bench/vectors.py` calls this beside other libraries.
//!
//! usage: measure JOB, a [`Job`] in JSON
//!
//! Files hold little-endian values without a header: `f32`, and for the true
//! neighbours `u32`, the rows nearest to each query, as many as to search for.
//! Item `i` is the file's row `i`, its metadata `{"n": i % 100}`.
//!
//! Prints JSON: the seconds that building took, the bytes on disk and in
//! memory, the seconds to open it again, and for each width the recall, the
//! queries a second of one thread (the best of the runs) and of all threads
//! together; the same of one thread for each filter.

use std::error::Error;
use std::time::Instant;

use lakehouse_vectord::{
    Config, Distance, Engine, Filter, IndexSpec, Item, Quantization, Query, Service,
};

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

/// What to measure.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Job {
    vectors: String,
    queries: String,
    truth: String,
    dimension: usize,
    distance: Distance,
    quantization: Quantization,
    engine: Engine,
    threads: usize,
    runs: usize,
    efs: Vec<usize>,
    #[serde(default)]
    filters: Vec<Filtered>,
}

/// A search for the items of which `n` is less than `percent`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Filtered {
    percent: usize,
    truth: String,
}

/// Queries, and what they should find.
struct Questions<'a> {
    vectors: &'a [Vec<f32>],
    truth: Vec<Vec<u32>>,
    filter: Option<Filter>,
}

impl<'a> Questions<'a> {
    fn read(vectors: &'a [Vec<f32>], truth: &str, filter: Option<Filter>) -> Result<Self> {
        let truth: Vec<u32> = words(truth)?.into_iter().map(u32::from_le_bytes).collect();
        let nearest = truth.chunks(truth.len() / vectors.len());
        Ok(Self {
            vectors,
            truth: nearest.map(<[u32]>::to_vec).collect(),
            filter,
        })
    }

    fn query(&self, number: usize, ef: usize) -> Query {
        Query {
            vector: self.vectors[number].clone(),
            k: self.truth[number].len(),
            ef: Some(ef),
            filter: self.filter.clone(),
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

/// The best rate of some runs.
fn best(runs: usize, rate: impl Fn() -> Result<f64>) -> Result<f64> {
    (0..runs).try_fold(0.0, |best: f64, _| Ok(best.max(rate()?)))
}

/// Adds all vectors; returns the seconds until they were acknowledged.
fn fill(service: &Service, job: &Job) -> Result<(usize, f64)> {
    let vectors = floats(&job.vectors)?;
    let started = Instant::now();
    for (batch, rows) in vectors.chunks(BATCH * job.dimension).enumerate() {
        let rows = rows.chunks(job.dimension).enumerate();
        let items = rows.map(|(at, vector)| {
            let row = batch * BATCH + at;
            Item {
                id: row.to_string(),
                vector: vector.to_vec(),
                metadata: Some(format!("{{\"n\": {}}}", row % 100)),
            }
        });
        service.add(INDEX, items.collect())?;
    }
    Ok((
        vectors.len() / job.dimension,
        started.elapsed().as_secs_f64(),
    ))
}

fn main() -> Result<()> {
    let job = std::env::args().nth(1).ok_or("usage: see the source")?;
    let job: Job = serde_json::from_str(&job)?;
    let spec = IndexSpec {
        name: INDEX.into(),
        dimension: job.dimension,
        distance: job.distance,
        m: Some(16),
        ef_construction: Some(200),
        quantization: job.quantization,
    };
    let queries = floats(&job.queries)?;
    let queries: Vec<Vec<f32>> = queries.chunks(job.dimension).map(<[f32]>::to_vec).collect();
    let questions = Questions::read(&queries, &job.truth, None)?;

    let folder = tempfile::tempdir()?;
    let config = Config {
        build_threads: Some(job.threads),
        engine: job.engine,
        ..Config::default()
    };
    let service = Service::open(folder.path(), config.clone())?;
    service.create(&spec)?;
    let started = Instant::now();
    let (rows, added) = fill(&service, &job)?;
    service.settle();
    let built = started.elapsed().as_secs_f64();

    let mut curve = Vec::new();
    for &ef in &job.efs {
        curve.push(serde_json::json!({
            "ef": ef,
            "recall": questions.recall(&service, ef)?,
            "rate": best(job.runs, || questions.rate(&service, ef, 1))?,
            "all": best(job.runs, || questions.rate(&service, ef, job.threads))?,
        }));
    }
    let mut filtered = Vec::new();
    for Filtered { percent, truth } in &job.filters {
        let filter = format!("{{\"n\": {{\"$lt\": {percent}}}}}").parse()?;
        let questions = Questions::read(&queries, truth, Some(filter))?;
        let mut curve = Vec::new();
        for &ef in &job.efs {
            curve.push(serde_json::json!({
                "ef": ef,
                "recall": questions.recall(&service, ef)?,
                "rate": best(job.runs, || questions.rate(&service, ef, 1))?,
            }));
        }
        filtered.push(serde_json::json!({ "percent": percent, "curve": curve }));
    }
    let info = service.get(INDEX)?;
    drop(service);
    let started = Instant::now();
    let service = Service::open(folder.path(), config)?;
    service.search(INDEX, &questions.query(0, 64))?;
    let opened = started.elapsed().as_secs_f64();
    let result = serde_json::json!({
        "rows": rows, "added": added, "built": built, "opened": opened, "bytes": info.bytes,
        "memory": info.memory, "segments": info.segments, "curve": curve, "filtered": filtered,
    });
    println!("{result}");
    Ok(())
}
