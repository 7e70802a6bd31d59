//! A collector of spans: OTLP over HTTP, as protobuf.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1;
use prost::Message;
use tokio::net::TcpListener;

/// How long spans may be on their way.
const PATIENCE: Duration = Duration::from_secs(20);

/// A span as it came.
#[derive(Clone, Debug)]
pub struct Span {
    pub service: String,
    pub inner: v1::Span,
}

impl Span {
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    pub fn id(&self) -> String {
        hex(&self.inner.span_id)
    }

    pub fn parent(&self) -> String {
        hex(&self.inner.parent_span_id)
    }

    pub fn trace(&self) -> String {
        hex(&self.inner.trace_id)
    }

    /// The text or number of an attribute.
    pub fn attribute(&self, key: &str) -> Option<String> {
        attribute(&self.inner.attributes, key)
    }

    pub fn failed(&self) -> bool {
        let status = self.inner.status.as_ref();
        status.is_some_and(|status| status.code == v1::status::StatusCode::Error as i32)
    }
}

#[derive(Clone, Default)]
pub struct Spans(Arc<Mutex<Vec<Span>>>);

impl Spans {
    fn list(&self) -> Vec<Span> {
        let spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spans.clone()
    }
}

/// The collector, until it drops.
pub struct Collector {
    address: SocketAddr,
    spans: Spans,
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let spans = Spans::default();
        let router = Router::new()
            .route("/v1/traces", post(take))
            .with_state(spans.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, spans }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.list()
    }

    /// The spans, as soon as they satisfy.
    pub async fn until(&self, satisfied: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let begun = Instant::now();
        loop {
            let spans = self.spans();
            if satisfied(&spans) {
                return spans;
            }
            assert!(begun.elapsed() < PATIENCE, "not all came: {spans:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The one span of this name, as soon as it is there, and those that came with it.
    pub async fn span(&self, name: &str) -> (Span, Vec<Span>) {
        let named = |spans: &[Span]| spans.iter().any(|span| span.name() == name);
        let spans = self.until(named).await;
        (one(&spans, name), spans)
    }
}

/// The one span of this name.
pub fn one(spans: &[Span], name: &str) -> Span {
    let mut found = spans.iter().filter(|span| span.name() == name);
    match (found.next(), found.next()) {
        (Some(span), None) => span.clone(),
        (None, _) => panic!("no {name} in {spans:#?}"),
        _ => panic!("{name} more than once in {spans:#?}"),
    }
}

async fn take(
    State(spans): State<Spans>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Vec<u8>, (StatusCode, String)> {
    let refuse = |why: String| (StatusCode::BAD_REQUEST, why);
    if headers["content-type"] != "application/x-protobuf" {
        return Err(refuse(format!("{headers:?}")));
    }
    let request = ExportTraceServiceRequest::decode(body);
    let request = request.map_err(|error| refuse(error.to_string()))?;
    let mut list = spans.0.lock().unwrap_or_else(PoisonError::into_inner);
    for resource in request.resource_spans {
        let attributes = resource.resource.unwrap_or_default().attributes;
        let service = attribute(&attributes, "service.name").unwrap_or_default();
        for scope in resource.scope_spans {
            list.extend(scope.spans.into_iter().map(|inner| Span {
                service: service.clone(),
                inner,
            }));
        }
    }
    Ok(ExportTraceServiceResponse::default().encode_to_vec())
}

fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.clone()? {
        AnyValue {
            value: Some(Value::StringValue(text)),
        } => Some(text),
        AnyValue {
            value: Some(Value::IntValue(number)),
        } => Some(number.to_string()),
        other => panic!("{key}: {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
