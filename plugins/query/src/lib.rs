//! The query plugin: `POST /v1/sql`, answered by DataFusion over the catalog's
//! tables.
//!
//! One statement a request. Everything that can fail without reading the whole
//! result fails before the head of the answer is sent; after that the result
//! streams, batch by batch, as fast as the client takes it.

mod accept;
#[cfg(target_family = "wasm")]
mod arithmetic;
mod catalog;
mod depth;
mod engine;
mod error;
mod execute;
mod files;
mod functions;
mod nested;
mod objects;
mod output;
mod predicate;
mod request;
mod scan;
mod settings;
mod spill;
mod statement;
mod statistics;
mod table;
mod time_travel;
mod vector_search;
mod write;

use std::time::Instant;

use lakehouse_sdk::http::{Handler, Problem, Request, Response};

use crate::accept::Format;
use crate::request::Query;

struct Plugin;

impl Handler for Plugin {
    fn handle(mut request: Request) -> Result<Response, Problem> {
        let started = Instant::now();
        if request.path() != "/sql" {
            return Err(Problem::not_found(format!(
                "nothing is at {}; SQL goes to /v1/sql",
                request.path()
            )));
        }
        if request.method() != "POST" {
            return Err(Problem::method_not_allowed(request.method(), "POST"));
        }
        let format = Format::negotiate(request.header("accept"))?;
        let query = Query::read(&mut request)?;
        let result = execute::run(query)?;
        Ok(output::respond(result, format, started))
    }
}

lakehouse_sdk::export_http!(Plugin);
