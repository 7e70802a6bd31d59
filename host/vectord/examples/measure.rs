//! Fills an index with vectors from a file, then searches it as it is told;
//! `bench/vectors.py` does the same with other libraries in turns with this.
//!
//! usage: measure JOB, a [`Job`] in JSON; on the input a [`Search`] in JSON a
//! line
//!
//! Files hold little-endian values without a header: `f32`, and for the true
//! neighbours `u32`, the rows nearest to each query, as many as to search for.
//! Item `i` is the file's row `i`, its metadata `{"n": i % 100}`.
//!
//! Prints a line of JSON when the index is filled: the seconds that building
//! took, of which adding, and the seconds of all processors together; bytes on
//! disk and in memory. Then one for each search: the seconds it took, those of
//! all processors, and the share of the true neighbours that it found. At the
//! end of the input it opens the index again and prints the seconds.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::BufRead;
use std::time::Instant;

use cpu_time::ProcessTime;
use lakehouse_vectord::{
    Config, Distance, Engine, Filter, Hit, IndexSpec, Item, Quantization, Query, Service,
};
use serde_json::json;

/// Items of one call.
const BATCH: usize = 10_000;
const INDEX: &str = "x";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What to build.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Job {
    vectors: String,
    queries: String,
    /// Files of true neighbours: of all items at 100, and at a percentage less
    /// than that of those whose `n` is less.
    truths: BTreeMap<usize, String>,
    dimension: usize,
    distance: Distance,
    quantization: Quantization,
    engine: Engine,
    threads: usize,
}

/// What to search for: all queries once, on each of some threads.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    ef: usize,
    threads: usize,
    /// See [`Job::truths`].
    percent: usize,
}

fn words(path: &str) -> Result<Vec<[u8; 4]>> {
    Ok(std::fs::read(path)?.as_chunks::<4>().0.to_vec())
}

fn floats(path: &str) -> Result<Vec<f32>> {
    Ok(words(path)?.into_iter().map(f32::from_le_bytes).collect())
}

/// Seconds on the clock and of all processors together.
fn timed<R>(run: impl FnOnce() -> Result<R>) -> Result<(R, f64, f64)> {
    let (clock, processors) = (Instant::now(), ProcessTime::now());
    let result = run()?;
    let processors = processors.elapsed().as_secs_f64();
    Ok((result, clock.elapsed().as_secs_f64(), processors))
}

/// Adds all vectors; the seconds until they were acknowledged.
fn fill(service: &Service, job: &Job) -> Result<f64> {
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
    Ok(started.elapsed().as_secs_f64())
}

/// Runs all queries on each of some threads; what one of them found.
fn ask(service: &Service, queries: &[Query], threads: usize) -> Result<Vec<Vec<Hit>>> {
    let run = || queries.iter().map(|query| service.search(INDEX, query));
    std::thread::scope(|scope| {
        let all = || run().collect::<std::result::Result<Vec<_>, _>>();
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(all)).collect();
        let found = all()?;
        for other in others {
            other.join().map_err(|_| "a thread panicked")??;
        }
        Ok(found)
    })
}

/// The share of the true neighbours that were found.
fn recall(found: &[Vec<Hit>], truth: &[u32]) -> Result<f64> {
    let nearest = truth.chunks(truth.len() / found.len());
    let mut hits = 0;
    for (found, nearest) in found.iter().zip(nearest) {
        for hit in found {
            hits += usize::from(nearest.contains(&hit.id.parse()?));
        }
    }
    Ok(hits as f64 / truth.len() as f64)
}

fn main() -> Result<()> {
    let job = std::env::args().nth(1).ok_or("usage: see the source")?;
    let job: Job = serde_json::from_str(&job)?;
    let vectors = floats(&job.queries)?;
    let vectors: Vec<Vec<f32>> = vectors.chunks(job.dimension).map(<[f32]>::to_vec).collect();
    let mut truths = BTreeMap::new();
    for (percent, file) in &job.truths {
        let truth: Vec<u32> = words(file)?.into_iter().map(u32::from_le_bytes).collect();
        truths.insert(*percent, truth);
    }

    let folder = tempfile::tempdir()?;
    let config = Config {
        build_threads: Some(job.threads),
        engine: job.engine,
        ..Config::default()
    };
    let service = Service::open(folder.path(), config.clone())?;
    service.create(&IndexSpec {
        m: Some(16),
        ef_construction: Some(200),
        quantization: job.quantization,
        ..IndexSpec::new(INDEX, job.dimension, job.distance)
    })?;
    let (added, built, processors) = timed(|| {
        let added = fill(&service, &job)?;
        service.settle();
        Ok(added)
    })?;
    let info = service.get(INDEX)?;
    println!(
        "{}",
        json!({
            "added": added, "built": built, "processors": processors, "bytes": info.bytes,
            "memory": info.memory, "segments": info.segments,
        })
    );

    for line in std::io::stdin().lock().lines() {
        let search: Search = serde_json::from_str(&line?)?;
        let truth = truths
            .get(&search.percent)
            .ok_or("no truth at this percentage")?;
        let filter: Option<Filter> = match search.percent {
            100 => None,
            percent => Some(format!("{{\"n\": {{\"$lt\": {percent}}}}}").parse()?),
        };
        let query = |vector: &Vec<f32>| Query {
            ef: Some(search.ef),
            filter: filter.clone(),
            ..Query::new(vector.as_slice(), truth.len() / vectors.len())
        };
        let queries: Vec<Query> = vectors.iter().map(query).collect();
        let (found, seconds, processors) = timed(|| ask(&service, &queries, search.threads))?;
        let recall = recall(&found, truth)?;
        println!(
            "{}",
            json!({ "recall": recall, "seconds": seconds, "processors": processors })
        );
    }

    drop(service);
    let first = Query::new(vectors[0].as_slice(), 1);
    let (_, opened, _) = timed(|| {
        let service = Service::open(folder.path(), config)?;
        Ok(service.search(INDEX, &first)?)
    })?;
    println!("{}", json!({ "opened": opened }));
    Ok(())
}
