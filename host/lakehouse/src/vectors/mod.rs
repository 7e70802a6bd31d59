//! The routes of the vector service, `/v1/vectors/...`.
//!
//! Parsing, computing and waiting for the disk happen off the async threads,
//! a bounded number of them at once; but for searches that are over in a moment.

mod answer;
mod arrow;
mod frames;
mod input;
mod load;
mod row;
mod snapshots;
mod statement;
mod work;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use lakehouse_vectord::{IndexSpec, Service};

use answer::{Failure, FoundItem, Listing};
use input::{Deletion, Media};
use load::Loader;
use snapshots::{Snapshots, Wanted};
use work::Work;

use crate::gateway::Sql;
use crate::host::Host;

type Answer = Result<Response, Failure>;

/// Bytes of a search that is read where it comes in.
const SHORT: usize = 64 << 10;

/// The routes, each a full path.
pub fn router(host: &Host, sql: Sql) -> Router {
    let (service, store) = (Arc::clone(&host.vectors), Arc::clone(&host.store));
    let work = Work::new(Arc::clone(&service));
    let load = Router::new()
        .route("/v1/vectors/index/{name}/load", post(load))
        .with_state(Loader::new(
            work.clone(),
            sql,
            host.config.data.dir.join("tmp"),
        ));
    let snapshots = Router::new()
        .route("/v1/vectors/index/{name}/snapshot", post(snapshot))
        .route("/v1/vectors/index/{name}/snapshots", get(list_snapshots))
        .route(
            "/v1/vectors/index/{name}/snapshots/{snapshot}",
            axum::routing::delete(delete_snapshot),
        )
        .route("/v1/vectors/index/{name}/restore", post(restore))
        .with_state(Snapshots::new(Arc::clone(&service), store));
    Router::new()
        .route("/v1/vectors/index", get(list).post(create))
        .route("/v1/vectors/index/{name}", get(index).delete(drop_index))
        .route("/v1/vectors/index/{name}/add", post(add))
        .route("/v1/vectors/index/{name}/search", post(search))
        .route("/v1/vectors/index/{name}/delete", post(delete))
        .route(
            "/v1/vectors/index/{name}/items/{id}",
            get(item).delete(delete_item),
        )
        .with_state(work)
        .merge(load)
        .merge(snapshots)
}

async fn list(State(work): State<Work>) -> Answer {
    let run = |service: &Service| {
        answer::json(
            StatusCode::OK,
            &Listing {
                indexes: service.list(),
                damaged: service.damaged(),
            },
        )
    };
    work.compute(run).await
}

async fn create(State(work): State<Work>, request: Request<Body>) -> Answer {
    let body = input::body(request).await?;
    let run = move |service: &Service| {
        let spec: IndexSpec = input::parse(&body)?;
        answer::json(StatusCode::CREATED, &service.create(&spec)?)
    };
    work.write(run).await
}

async fn index(State(work): State<Work>, Path(name): Path<String>) -> Answer {
    let run = move |service: &Service| answer::json(StatusCode::OK, &service.get(&name)?);
    work.compute(run).await
}

async fn drop_index(State(work): State<Work>, Path(name): Path<String>) -> Answer {
    let run = move |service: &Service| {
        service.drop(&name)?;
        Ok(answer::nothing())
    };
    work.write(run).await
}

async fn add(State(work): State<Work>, Path(name): Path<String>, request: Request<Body>) -> Answer {
    let (media, body) = input::any_body(request).await?;
    let run = move |service: &Service| {
        let items = input::items(media, body)?;
        answer::json(StatusCode::OK, &service.add(&name, items)?)
    };
    work.write(run).await
}

async fn search(
    State(work): State<Work>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Answer {
    let uri = request.uri().clone();
    let (media, body) = input::any_body(request).await?;
    let short = media == Media::Json && body.len() <= SHORT;
    let searched = short.then(|| input::search(&body)).transpose()?;
    // To hand a search to another thread and its answer back takes longer than most
    // searches do.
    if let Some(searched) = &searched {
        let now = work.now(|service| service.search_now(&name, &searched.queries));
        if let Some(found) = now? {
            return answer::found(media, searched, &found?);
        }
    }
    let run = move |service: &Service| {
        let searched = match (searched, media) {
            (Some(searched), _) => searched,
            (None, Media::Json) => input::search(&body)?,
            (None, Media::Arrow) => input::arrow_search(&uri, body)?,
        };
        let found = service.search_many(&name, &searched.queries)?;
        answer::found(media, &searched, &found)
    };
    work.compute(run).await
}

async fn delete(
    State(work): State<Work>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Answer {
    let body = input::body(request).await?;
    let run = move |service: &Service| {
        let deletion: Deletion = input::parse(&body)?;
        let deleted = service.delete(&name, deletion.ids)?;
        answer::json(StatusCode::OK, &serde_json::json!({ "deleted": deleted }))
    };
    work.write(run).await
}

async fn item(State(work): State<Work>, Path((name, id)): Path<(String, String)>) -> Answer {
    let run = move |service: &Service| {
        let item = service.item(&name, &id)?;
        answer::json(StatusCode::OK, &FoundItem::new(&item)?)
    };
    work.compute(run).await
}

async fn delete_item(State(work): State<Work>, Path((name, id)): Path<(String, String)>) -> Answer {
    let run = move |service: &Service| {
        service.delete_item(&name, &id)?;
        Ok(answer::nothing())
    };
    work.write(run).await
}

async fn snapshot(State(all): State<Snapshots>, Path(name): Path<String>) -> Answer {
    answer::json(StatusCode::CREATED, &all.take(name).await?)
}

async fn list_snapshots(State(all): State<Snapshots>, Path(name): Path<String>) -> Answer {
    let snapshots = all.list(&name).await?;
    answer::json(
        StatusCode::OK,
        &serde_json::json!({ "snapshots": snapshots }),
    )
}

async fn delete_snapshot(
    State(all): State<Snapshots>,
    Path((name, snapshot)): Path<(String, String)>,
) -> Answer {
    all.remove(&name, &snapshot).await?;
    Ok(answer::nothing())
}

async fn restore(
    State(all): State<Snapshots>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Answer {
    let body = input::body(request).await?;
    let wanted = match body.is_empty() {
        true => Wanted::default(),
        false => input::parse(&body)?,
    };
    answer::json(StatusCode::CREATED, &all.restore(name, wanted).await?)
}

async fn load(
    State(loader): State<Loader>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Answer {
    let body = input::body(request).await?;
    loader.load(name, body).await
}

/// Milliseconds since 1970-01-01T00:00:00Z.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
