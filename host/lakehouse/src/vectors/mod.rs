//! The routes of the vector service, `/v1/vectors/...`.
//!
//! Parsing, computing and waiting for the disk happen off the async threads,
//! a bounded number of them at once.

mod answer;
mod input;
mod work;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use lakehouse_vectord::{IndexSpec, Service};

use answer::{Failure, Found, FoundItem, Listing};
use input::{Addition, Deletion, Search};
use work::Work;

type Answer = Result<Response, Failure>;

/// The routes, each a full path.
pub fn router(service: Arc<Service>) -> Router {
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
        .with_state(Work::new(service))
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
    let body = input::body(request).await?;
    let run = move |service: &Service| {
        let addition: Addition = input::parse(&body)?;
        answer::json(StatusCode::OK, &service.add(&name, addition.items())?)
    };
    work.write(run).await
}

async fn search(
    State(work): State<Work>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Answer {
    let body = input::body(request).await?;
    let run = move |service: &Service| {
        let (query, shown) = input::parse::<Search>(&body)?.query()?;
        let hits = service.search(&name, &query)?;
        answer::json(StatusCode::OK, &Found::new(&hits, shown)?)
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
