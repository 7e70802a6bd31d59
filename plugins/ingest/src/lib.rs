//! The ingest plugin: `POST /ingest` turns a body of CSV, JSON, Parquet or Arrow
//! into data files of a table and one commit.
//!
//! The way of a request:
//! 1. [`params`] reads the query; a repeated `Idempotency-Key` is answered here.
//! 2. [`body`] unwraps the body: multipart, compression, format.
//! 3. A [`source`] for the format turns bytes into Arrow batches; formats beside those
//!    that are here are other plugins'. What an
//!    existing table says of a column's type wins over what the data looks like.
//! 4. [`load`] asks the catalog how to write, streams the batches into data
//!    files, and commits them.
//!
//! Until the commit nothing is visible, and whatever fails before it removes
//! what was written. No step holds more than a few row groups in memory.

mod answer;
mod arrow_ipc;
mod body;
mod csv;
mod fault;
mod format;
mod iceberg_json;
mod json;
mod lines;
mod load;
mod multipart;
mod params;
mod parquet_file;
mod parquet_pages;
mod source;
mod spool;

use lakehouse_sdk::http::{Handler, Problem, Request, Response};

/// The plugin.
struct Ingest;

impl Handler for Ingest {
    fn handle(request: Request) -> Result<Response, Problem> {
        match (request.method(), request.path()) {
            ("POST", "/ingest" | "/ingest/") => load::load(request),
            (method, "/ingest" | "/ingest/") => Err(Problem::method_not_allowed(method, "POST")),
            (_, path) => Err(Problem::not_found(format!("there is nothing at {path}"))),
        }
    }
}

lakehouse_sdk::export_http!(Ingest);
