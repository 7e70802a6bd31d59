//! SQL for what the host itself serves.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use lakehouse_runtime::{Body, Cause};

use super::body::ResponseBody;
use super::problem::Problem;
use super::{explain, strip, stripped};
use crate::host::Host;

/// The route of what answers SQL.
const ROUTE: &str = "/v1/sql";
/// What asks for a row of JSON a line.
const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// Runs SQL by the plugin that serves it. Cheap to clone.
#[derive(Clone)]
pub struct Sql(Arc<Host>);

impl Sql {
    /// By a plugin of this host.
    pub fn new(host: Arc<Host>) -> Self {
        Self(host)
    }

    /// Posts a request for SQL, in JSON, on behalf of the request that is being
    /// answered. The rows of an answer that succeeds are a JSON object a line each.
    ///
    /// # Errors
    /// The answer to give instead if the plugin gives none, or one of another type.
    pub async fn lines(
        &self,
        body: Bytes,
    ) -> Result<Response<Body>, Box<Response<axum::body::Body>>> {
        let answer = self.ask(body).await;
        answer.map_err(|problem| {
            let refusal = Response::<ResponseBody>::from(problem);
            Box::new(refusal.map(axum::body::Body::new))
        })
    }

    async fn ask(&self, body: Bytes) -> Result<Response<Body>, Problem> {
        let upstreams = self.0.config.upstreams();
        if upstreams.is_ok_and(|upstreams| upstreams.contains_key("query")) {
            return Err(Problem::new(
                StatusCode::NOT_IMPLEMENTED,
                "another host answers SQL (gateway.query_url): load from a query there",
            ));
        }
        let plugins = self.0.roster.all();
        let mut serving = plugins.iter();
        let Some(plugin) = serving.find(|entry| entry.route.as_deref() == Some(ROUTE)) else {
            let missing = format!("no plugin serves {ROUTE}");
            return Err(Problem::unavailable(missing, Duration::from_secs(30)));
        };
        let name = &plugin.name;
        let prefix = self.0.config.plugins.section(name).strip_prefix == Some(true);
        let path = strip(&Uri::from_static(ROUTE), stripped(ROUTE, prefix));
        let request = Request::post(path)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(ACCEPT, LINES)
            .body(Body::full(body))
            .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.to_string()))?;
        let cause = lakehouse_trace::current().unwrap_or_else(|| Cause::from(""));
        let answer = self.0.runtime.handle(name, request, cause).await;
        let answer = answer.map_err(|error| explain(&self.0, name, &error))?;
        let media = answer.headers().get(CONTENT_TYPE);
        if answer.status().is_success() && media.is_none_or(|media| media != LINES) {
            let what = format!("what answers SQL sent {media:?}, and was asked for lines of JSON");
            return Err(Problem::new(StatusCode::BAD_GATEWAY, what));
        }
        Ok(answer)
    }
}
