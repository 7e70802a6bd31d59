//! Filling an index from a query.
//!
//! The rows are checked one by one while they come, and kept in a file without
//! a name; the index is written to when all of them are there. So a query that
//! fails on its way, or a row that makes no item, changes nothing, and memory
//! stays bounded.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use lakehouse_vectord::{Added, ErrorKind, Item, Service, Source, SourceTable};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::Mutex;

use super::answer::{self, Failure};
use super::work::Work;
use super::{input, now, row, statement};
use crate::gateway::Sql;

/// Bytes of rows that are checked at once, and added at once.
const CHUNK: usize = 4 << 20;
/// Most bytes of one row.
const MAX_ROW: usize = 64 << 20;
/// The header in which an answer to SQL tells of which snapshots it is.
const SNAPSHOTS: &str = "lakehouse-snapshots";

/// The body of `load`, which is handed on as it is.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Request {
    sql: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    params: Option<Box<RawValue>>,
}

/// What loading did.
#[derive(Serialize)]
struct Loaded {
    #[serde(flatten)]
    added: Added,
    source: Source,
}

/// Fills indexes from queries.
#[derive(Clone)]
pub struct Loader {
    work: Work,
    sql: Sql,
    /// Where rows are kept while they come.
    folder: PathBuf,
    /// Held while rows are added: those of two loads do not mix, and what an
    /// index says to be complete is.
    turn: Arc<Mutex<()>>,
}

impl Loader {
    pub fn new(work: Work, sql: Sql, folder: PathBuf) -> Self {
        Self {
            work,
            sql,
            folder,
            turn: Arc::default(),
        }
    }

    /// Adds the rows of a query to an index. What the query's plugin says of a
    /// bad query is the answer.
    pub async fn load(&self, name: String, body: Bytes) -> Result<Response, Failure> {
        let index = name.clone();
        let read = move |service: &Service| {
            let request: Request = input::parse(&body)?;
            statement::check(&request.sql)
                .map_err(|why| Failure::new(StatusCode::BAD_REQUEST, format!("sql: {why}")))?;
            service.get(&index)?;
            let text = serde_json::to_vec(&request);
            let text = text.map_err(|error| Failure::internal(error.to_string()))?;
            Ok((request.sql, text))
        };
        let (sql, text) = self.work.compute(read).await?;
        let answer = match self.sql.lines(text.into()).await {
            Ok(answer) if answer.status().is_success() => answer,
            Ok(answer) => return Ok(answer.map(Body::new)),
            Err(refusal) => return Ok(*refusal),
        };
        let tables = tables(answer.headers());
        let (rows, file) = self.receive(&name, answer.into_body()).await?;
        let source = Source {
            sql,
            tables,
            rows,
            loaded_at: now(),
            complete: false,
        };
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let fill = move |service: &Service| {
            // Held to the end, even when the client has gone.
            let _turn = turn;
            fill(service, &name, file, source)
        };
        answer::json(StatusCode::OK, &self.work.write(fill).await?)
    }

    /// Checks and keeps all rows; says how many there are.
    async fn receive(
        &self,
        name: &str,
        mut body: lakehouse_runtime::Body,
    ) -> Result<(u64, File), Failure> {
        let folder = self.folder.clone();
        let make = move |_: &Service| {
            let made = fs::create_dir_all(&folder).and_then(|()| tempfile::tempfile_in(&folder));
            made.map_err(|error| kept(&error))
        };
        let mut file = self.work.write(make).await?;
        let (mut rows, mut pending, mut whole) = (0, Vec::new(), 0);
        loop {
            let frame = body.frame().await.transpose().map_err(|error| {
                let what = format!("the query broke off after {rows} rows: {error}");
                let failure = Failure::new(StatusCode::BAD_GATEWAY, what);
                // Its head was sent: the plugin could tell the log alone.
                failure
                    .and("nothing was added, and the reason is in the log under this request's id")
            })?;
            let ended = frame.is_none();
            if let Some(Ok(data)) = frame.map(|frame| frame.into_data()) {
                if let Some(end) = data.iter().rposition(|byte| *byte == b'\n') {
                    whole = pending.len() + end + 1;
                }
                pending.extend_from_slice(&data);
            }
            if ended {
                whole = pending.len();
            } else if pending.len() < CHUNK {
                continue;
            }
            let rest = pending.split_off(whole);
            if rest.len() > MAX_ROW {
                let what = format!("a row after row {rows} has more than {MAX_ROW} bytes");
                return Err(Failure::new(StatusCode::BAD_REQUEST, what));
            }
            let chunk = std::mem::replace(&mut pending, rest);
            whole = 0;
            if !chunk.is_empty() {
                let index = name.to_owned();
                let check = move |service: &Service| {
                    let items = items(&chunk, rows)?;
                    service.check(&index, &items, rows as usize)?;
                    file.write_all(&chunk).map_err(|error| kept(&error))?;
                    Ok((rows + items.len() as u64, file))
                };
                (rows, file) = self.work.write(check).await?;
            }
            if ended {
                return Ok((rows, file));
            }
        }
    }
}

/// Adds all rows that were kept, and notes where they come from.
fn fill(service: &Service, name: &str, file: File, source: Source) -> Result<Loaded, Failure> {
    service.set_source(name, source.clone())?;
    let mut done = 0;
    let added = add_all(service, name, file, &mut done).map_err(|failure| {
        failure.and(format_args!(
            "{done} of {} rows were added before, and the index says that it is not complete",
            source.rows
        ))
    })?;
    let source = Source {
        loaded_at: now(),
        complete: true,
        ..source
    };
    service.set_source(name, source.clone())?;
    Ok(Loaded { added, source })
}

/// Adds rows, some megabytes at a time, and counts them.
fn add_all(
    service: &Service,
    name: &str,
    mut file: File,
    done: &mut u64,
) -> Result<Added, Failure> {
    file.rewind().map_err(|error| kept(&error))?;
    let mut total = Added::default();
    let mut lines = BufReader::with_capacity(CHUNK, file);
    let mut chunk = Vec::new();
    loop {
        let read = lines.read_until(b'\n', &mut chunk);
        let ended = read.map_err(|error| kept(&error))? == 0;
        if chunk.len() >= CHUNK || (ended && !chunk.is_empty()) {
            let (rows, added) = add(service, name, &chunk, *done)?;
            total.added += added.added;
            total.updated += added.updated;
            *done += rows;
            chunk.clear();
        }
        if ended {
            return Ok(total);
        }
    }
}

/// Adds rows, the first of which has this number, and counts them. Where memory
/// is at its bound they wait for the room that sealing makes.
fn add(service: &Service, name: &str, lines: &[u8], first: u64) -> Result<(u64, Added), Failure> {
    loop {
        let items = items(lines, first)?;
        let rows = items.len() as u64;
        match service.add(name, items) {
            Err(error) if error.kind() == ErrorKind::Exhausted && service.wait_for_room() => {}
            added => return Ok((rows, added?)),
        }
    }
}

/// Items of rows, the first of which has this number.
fn items(lines: &[u8], first: u64) -> Result<Vec<Item>, Failure> {
    let lines = lines.split(|byte| *byte == b'\n');
    let rows = lines.filter(|line| !line.is_empty()).zip(first..);
    let item = |(line, number)| {
        row::item(line).map_err(|why| {
            let what = format!("row {number} of the query: {why}");
            Failure::new(StatusCode::BAD_REQUEST, what)
        })
    };
    rows.map(item).collect()
}

/// The rows cannot be kept.
fn kept(error: &std::io::Error) -> Failure {
    let status = match error.kind() {
        std::io::ErrorKind::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Failure::new(
        status,
        format!("the rows of the query cannot be kept: {error}"),
    )
}

/// The tables that an answer tells to be of: `namespace.name=snapshot, ...`.
fn tables(headers: &HeaderMap) -> Vec<SourceTable> {
    let Some(value) = headers.get(SNAPSHOTS) else {
        return Vec::new();
    };
    let value = String::from_utf8_lossy(value.as_bytes());
    let (mut tables, mut name) = (Vec::new(), String::new());
    // A name may hold a comma; a snapshot is a number.
    for part in value.split(", ") {
        if !name.is_empty() {
            name.push_str(", ");
        }
        let parts = part.rsplit_once('=');
        let number = parts.and_then(|(table, id)| Some((table, id.parse().ok()?)));
        match number {
            Some((table, snapshot_id)) => {
                let table = std::mem::take(&mut name) + table;
                tables.push(SourceTable { table, snapshot_id });
            }
            None => name.push_str(part),
        }
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_read() {
        let mut headers = HeaderMap::new();
        assert_eq!(tables(&headers), []);
        let value = "default.t=123, a.b, c=d=-5".parse().unwrap();
        headers.insert(SNAPSHOTS, value);
        let table = |table: &str, snapshot_id| SourceTable {
            table: table.into(),
            snapshot_id,
        };
        assert_eq!(
            tables(&headers),
            [table("default.t", 123), table("a.b, c=d", -5)]
        );
    }
}
