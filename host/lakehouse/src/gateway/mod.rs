//! The gateway: finds who answers a request, and makes an answer of what comes back.
//!
//! One function from request to response, without a stack of layers: a request to
//! a plugin costs one look at a short list of routes, one copy of the path and one
//! request id on top of the plugin's own work. CORS and compression are layers
//! around it that are there only when the configuration asks for them.

mod access;
mod admin;
mod body;
mod digest;
mod layers;
mod metrics;
mod ops;
mod problem;
mod proxy;
mod request_id;
mod routes;
mod sql;
mod trace;

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use futures::FutureExt;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use lakehouse_runtime::{Body, CallError, Cause};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tower::Service;

use crate::config::ConfigError;
use crate::host::Host;
use crate::roster::State;

use access::Access;
pub use body::ResponseBody;
use body::{Exceeded, RequestBody};
pub use layers::Front;
use metrics::Metrics;
pub use metrics::of_plugins as metrics_of_plugins;
use problem::Problem;
use proxy::Proxy;
pub use proxy::{Peer, connector};
pub use request_id::{REQUEST_ID, RequestIds};
use routes::{Route, Routes, Target};
pub(crate) use routes::{strip, stripped};
pub use sql::Sql;

/// The largest answer of a native service that is turned into a problem.
const MAX_NATIVE_ERROR: usize = 64 << 10;

/// The gateway. Cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    host: Arc<Host>,
    routes: ArcSwap<Routes>,
    proxy: Proxy,
    vectors: axum::Router,
    metrics: Metrics,
    access: Access,
    /// Components that are being received.
    uploads: Semaphore,
    /// Runs what does not belong to a connection.
    tasks: Handle,
}

impl Gateway {
    /// A gateway to what the host holds, for a server that listens on this address.
    /// Changes to plugins become tasks of `tasks`.
    ///
    /// # Errors
    /// If an upstream's URL or the admin token cannot be used.
    pub fn new(host: Arc<Host>, bound: IpAddr, tasks: Handle) -> Result<Self, ConfigError> {
        let access = Access::new(&host.config.admin, bound)?;
        let metrics = Metrics::new();
        let routes = Routes::new(&host.config, &host.roster, &metrics)?;
        let vectors = crate::vectors::router(&host, Sql::new(Arc::clone(&host)))
            .layer(axum::extract::DefaultBodyLimit::disable());
        let mut upstreams = host.config.upstreams()?.into_values();
        let tls = upstreams.any(|uri| uri.scheme_str() == Some("https"));
        let proxy = Proxy::new(host.config.gateway.timeout.0, tls)
            .map_err(|error| ConfigError::new(format!("gateway: https: {error}")))?;
        Ok(Self(Arc::new(Inner {
            proxy,
            host,
            routes: ArcSwap::from_pointee(routes),
            vectors,
            metrics,
            access,
            uploads: Semaphore::new(admin::UPLOADS),
            tasks,
        })))
    }

    /// Answers a request of `peer`, whose id is in its headers already. What it causes from
    /// here on is logged with that id, and traced below a span of its own.
    pub async fn answer(
        &self,
        mut request: Request<Incoming>,
        peer: Option<Peer>,
    ) -> Response<ResponseBody> {
        let started = Instant::now();
        let gateway = &*self.0;
        let path = request.uri().path();
        let mut routes = gateway.routes();
        if routes.find(path).is_none_or(Route::is_idle) {
            // Boxed, since it is rare, and a part of every request's future otherwise.
            routes = Box::pin(gateway.arrivals(routes, path)).await;
        }
        let found = routes.find(path);
        let came = lakehouse_trace::extract(request.headers_mut());
        let mut span = trace::begin(&request, peer, found, came.as_ref());
        let trace = span.trace();
        let cause = Cause {
            request_id: id(&request),
            trace: trace.clone().or(came),
        };
        // Pinned here, so that what goes around it moves a pointer and not all of it.
        let answer = pin!(gateway.answer(found, request, peer, &cause, started));
        let mut response = lakehouse_trace::scope(Some(cause.clone()), caught(answer)).await;
        trace::end(&mut span, &mut response, trace.as_ref());
        response.body_mut().trace(span);
        response
    }
}

/// An answer in any case: a panic on the way to it costs its own request alone, and not
/// all that share the connection.
fn caught<F>(answer: F) -> impl Future<Output = Response<ResponseBody>>
where
    F: Future<Output = Response<ResponseBody>>,
{
    // What it held is dropped, and locks are not poisoned here.
    let answer = AssertUnwindSafe(answer).catch_unwind();
    answer.map(|answer| {
        answer.unwrap_or_else(|_| {
            let detail = "the host failed on this request; its log says how";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).into()
        })
    })
}

/// The request's id, which is in its headers.
fn id<B>(request: &Request<B>) -> Arc<str> {
    let id = request.headers().get(&REQUEST_ID);
    id.and_then(|id| id.to_str().ok())
        .unwrap_or_default()
        .into()
}

impl Inner {
    async fn answer(
        &self,
        found: Option<&Route>,
        request: Request<Incoming>,
        peer: Option<Peer>,
        cause: &Cause,
        started: Instant,
    ) -> Response<ResponseBody> {
        let access = tracing::enabled!(target: "lakehouse::access", tracing::Level::DEBUG)
            .then(|| (request.method().clone(), request.uri().clone()));
        let response = match found {
            Some(route) => self.route(route, request, peer, cause).await,
            None if admin::covers(request.uri().path()) => {
                // Every request's future would be as large otherwise, and is moved.
                Box::pin(admin::answer(self, request)).await
            }
            None => self.native(request),
        };
        let elapsed = started.elapsed();
        let metrics = found.map_or(&self.metrics.other, |route| &route.metrics);
        metrics.answered(response.status());
        metrics.took(elapsed);
        if let Some((method, uri)) = access {
            tracing::debug!(
                target: "lakehouse::access",
                %method,
                path = uri.path(),
                status = response.status().as_u16(),
                ms = elapsed.as_secs_f64() * 1000.0,
            );
        }
        response
    }

    /// The routes as they are now: made anew when plugins have come or gone.
    fn routes(&self) -> Guard<Arc<Routes>> {
        let known = self.routes.load();
        if known.version() == self.host.roster.version() {
            return known;
        }
        match Routes::new(&self.host.config, &self.host.roster, &self.metrics) {
            Ok(routes) => {
                let routes = Arc::new(routes);
                self.routes.store(Arc::clone(&routes));
                // Not what is stored by now: that may be older, made by a slower request.
                Guard::from_inner(routes)
            }
            Err(error) => {
                tracing::error!(%error, "the routes stay as they were");
                known
            }
        }
    }

    /// The routes once the plugin serves that a path belongs to, if it is about to.
    async fn arrivals(&self, routes: Guard<Arc<Routes>>, path: &str) -> Guard<Arc<Routes>> {
        let name = match routes.find(path).map(|route| &route.target) {
            Some(Target::Plugin { name, .. }) => name,
            Some(_) => return routes,
            None => match routes::by_default(path) {
                Some(name) => name,
                None => return routes,
            },
        };
        match &self.host.deployer {
            Some(deployer) if deployer.is_to_come(name).await => {
                deployer.arrival(name).await;
                self.routes()
            }
            _ => routes,
        }
    }

    async fn route(
        &self,
        route: &Route,
        request: Request<Incoming>,
        peer: Option<Peer>,
        cause: &Cause,
    ) -> Response<ResponseBody> {
        let limit = route.max_body.0;
        let (head, body) = request.into_parts();
        let announced = body.size_hint().lower();
        let body = RequestBody::new(&head.headers, body, limit);
        if announced > limit {
            return Problem::too_large(limit).into();
        }
        let exceeded = body.exceeded();
        let request = Request::from_parts(head, body);
        let response = match &route.target {
            Target::Plugin { name, strip } => self.plugin(name, *strip, request, cause).await,
            Target::Upstream(base) => self.proxy.forward(base, request, peer, cause).await,
            Target::Vectors => self.vectors(request).await,
        };
        match response {
            // Whatever was made of a body cut off at the limit is beside the point.
            _ if over(&exceeded, &response) => Problem::too_large(limit).into(),
            Ok(response) => response,
            Err(problem) => problem.into(),
        }
    }

    async fn plugin(
        &self,
        name: &str,
        strip: usize,
        request: Request<RequestBody>,
        cause: &Cause,
    ) -> Result<Response<ResponseBody>, Problem> {
        let (mut head, body) = request.into_parts();
        head.uri = routes::strip(&head.uri, strip)
            .try_into()
            .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the path: {error}")))?;
        let body = if body.is_end_stream() {
            Body::empty()
        } else {
            Body::new(body)
        };
        match self
            .host
            .runtime
            .handle(name, Request::from_parts(head, body), cause.clone())
            .await
        {
            Ok(response) => Ok(response.map(ResponseBody::plugin)),
            Err(error) => Err(explain(&self.host, name, &error)),
        }
    }

    async fn vectors(
        &self,
        request: Request<RequestBody>,
    ) -> Result<Response<ResponseBody>, Problem> {
        let request = request.map(axum::body::Body::new);
        let path = request.uri().path().to_owned();
        let method = request.method().clone();
        let Ok(response) = self.vectors.clone().call(request).await;
        let status = response.status();
        let is_problem = response.headers().get(CONTENT_TYPE) == Some(&problem::MEDIA_TYPE);
        if is_problem || !(status.is_client_error() || status.is_server_error()) {
            return Ok(response.map(ResponseBody::native));
        }
        // The router's own refusals are plain text, or nothing.
        let (head, body) = response.into_parts();
        let body = http_body_util::Limited::new(body, MAX_NATIVE_ERROR);
        let text = body
            .collect()
            .await
            .map(|body| body.to_bytes())
            .unwrap_or_default();
        let detail = match String::from_utf8_lossy(&text).trim() {
            "" if status == StatusCode::NOT_FOUND => format!("nothing serves {path}"),
            "" if status == StatusCode::METHOD_NOT_ALLOWED => {
                format!("{method} is not a method of {path}")
            }
            "" => format!(
                "{method} {path}: {}",
                status.canonical_reason().unwrap_or("refused")
            ),
            text => text.to_owned(),
        };
        let mut response = Response::from(Problem::new(status, detail));
        if let Some(allow) = head.headers.get(http::header::ALLOW) {
            response
                .headers_mut()
                .insert(http::header::ALLOW, allow.clone());
        }
        Ok(response)
    }

    fn native(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let (head, body) = request.into_parts();
        drop(RequestBody::new(&head.headers, body, 0));
        let path = head.uri.path();
        let Some(answer) = ops::find(path) else {
            return Problem::no_route(path).into();
        };
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return Problem::method(&head.method, path, "GET, HEAD").into();
        }
        answer(self)
    }
}

/// What to say about a plugin that did not answer.
fn explain(host: &Host, name: &str, error: &CallError) -> Problem {
    let entry = host.roster.get(name);
    match (error, entry.map(|entry| entry.state())) {
        // It is listed as serving a moment before it does.
        (CallError::NotFound, Some(state @ (State::Loading | State::Serving)))
            if state == State::Loading || host.runtime.plugin(name).is_none() =>
        {
            Problem::unavailable(
                format!("plugin `{name}` is being loaded"),
                Duration::from_secs(1),
            )
        }
        (
            CallError::NotFound | CallError::Unavailable { .. },
            Some(State::Absent(reason) | State::Failed(reason)),
        ) => Problem::unavailable(
            format!("plugin `{name}` does not serve: {reason}"),
            Duration::from_secs(30),
        ),
        _ => {
            tracing::warn!(plugin = name, %error, "request failed");
            Problem::call(name, error)
        }
    }
}

/// Whether the body was over its limit and nothing that the client may rely on was
/// said yet.
fn over(exceeded: &Exceeded, response: &Result<Response<ResponseBody>, Problem>) -> bool {
    exceeded.get() && !matches!(response, Ok(response) if response.status().is_success())
}

/// An answer of JSON.
fn json(value: &impl serde::Serialize) -> Response<ResponseBody> {
    match serde_json::to_vec(value) {
        Ok(body) => {
            let mut response = Response::new(ResponseBody::full(body));
            let media = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, media);
            response
        }
        Err(error) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        let failing = async {
            tokio::task::yield_now().await;
            panic!("on purpose");
        };
        let response = caught(failing).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[CONTENT_TYPE], problem::MEDIA_TYPE);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert!(
            problem["detail"].as_str().unwrap().contains("its log"),
            "{problem}"
        );
    }
}
