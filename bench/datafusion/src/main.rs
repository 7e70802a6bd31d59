//! Times queries in native DataFusion with one partition.
//!
//! usage: bench-datafusion RUNS TABLE=FOLDER... -- QUERY_FILE...
//!
//! Prints a JSON object: for every query file the seconds of its best run. As
//! behind an HTTP server, a session is made for each query, and every row is
//! fetched; files' metadata stays cached between runs.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let runs: usize = arguments.next().ok_or("RUNS is missing")?.parse()?;
    let (mut tables, mut queries) = (Vec::new(), Vec::new());
    let mut behind = false;
    for argument in arguments {
        if argument == "--" {
            behind = true;
        } else if behind {
            queries.push(argument);
        } else {
            let (name, folder) = argument.split_once('=').ok_or("TABLE=FOLDER expected")?;
            tables.push((name.to_owned(), folder.to_owned()));
        }
    }
    let runtime = Arc::new(RuntimeEnv::default());
    let config = SessionConfig::new()
        .with_target_partitions(1)
        .with_collect_statistics(true);
    let context = SessionContext::new_with_config_rt(config, runtime);
    for (name, folder) in &tables {
        context
            .register_parquet(name, folder, ParquetReadOptions::default())
            .await?;
    }
    let mut best = serde_json::Map::new();
    for file in queries {
        let statement = std::fs::read_to_string(&file)?;
        let mut fastest = f64::INFINITY;
        for _ in 0..runs {
            let start = Instant::now();
            let batches = context.sql(&statement).await?.collect().await?;
            fastest = fastest.min(start.elapsed().as_secs_f64());
            drop(batches);
        }
        best.insert(file, fastest.into());
    }
    println!("{}", serde_json::Value::Object(best));
    Ok(())
}
