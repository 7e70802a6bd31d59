//! Sending spans to a collector, over OTLP (HTTP and protobuf).

use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tokio::runtime::Handle;

use crate::config;
use crate::gateway::connector;

/// Longest wait for the collector's answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer of a collector that is read.
const MAX_ANSWER: usize = 64 << 10;

/// What sends spans, as long as it is there.
pub struct Telemetry(Option<SdkTracerProvider>);

impl Telemetry {
    /// Has spans recorded and sent, if the configuration names a collector.
    ///
    /// # Errors
    /// If the collector's address or the system's certificates cannot be used.
    pub fn start(settings: &config::Telemetry) -> anyhow::Result<Self> {
        let endpoint = settings.otlp_endpoint.trim_end_matches('/');
        if endpoint.is_empty() {
            return Ok(Self(None));
        }
        let connector =
            connector(endpoint.starts_with("https:")).context("telemetry.otlp_endpoint: https")?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector {
                client: Client::builder(TokioExecutor::new()).build(connector),
                runtime: Handle::current(),
            })
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .build()
            .context("telemetry.otlp_endpoint")?;
        let version = env!("CARGO_PKG_VERSION");
        let resource = Resource::builder()
            .with_service_name(settings.service_name.clone())
            .with_attribute(KeyValue::new("service.version", version))
            .build();
        let begun_here = Sampler::TraceIdRatioBased(settings.sample);
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(begun_here)))
            .with_resource(resource)
            .build();
        lakehouse_trace::install(provider.tracer("lakehouse"));
        tracing::info!(endpoint, "sending traces");
        Ok(Self(Some(provider)))
    }

    /// Sends what is left.
    pub async fn stop(self) {
        let Some(provider) = self.0 else { return };
        let stopped = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(PATIENCE));
        if let Ok(Err(error)) = stopped.await {
            tracing::warn!(%error, "the last traces are lost");
        }
    }
}

/// The collector, as the exporter's own thread asks it.
#[derive(Debug)]
struct Collector {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let ask = async move {
            let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        // The sockets and the clock belong to other threads than the one that waits here.
        let answer = self
            .runtime
            .spawn(async move { tokio::time::timeout(PATIENCE, ask).await });
        answer.await??
    }
}
