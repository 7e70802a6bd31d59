//! Services that another host serves.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use lakehouse_trace::{Cause, Kind, Span};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use super::body::{RequestBody, ResponseBody};
use super::problem::Problem;
use super::routes;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const POOL_IDLE: Duration = Duration::from_secs(60);
/// `/v1`, which the other host does not see.
const STRIP: usize = 3;

/// Headers that are between two neighbours and go no further.
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-authorization"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Who sent a request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// A client to other hosts.
pub struct Proxy {
    client: Client<HttpsConnector<HttpConnector>, RequestBody>,
    timeout: Duration,
}

impl Proxy {
    /// `timeout` bounds the wait for an answer's head. Without `tls` no upstream is
    /// https, and the system's certificates are not read.
    ///
    /// # Errors
    /// If the system's certificates cannot be used.
    pub fn new(timeout: Duration, tls: bool) -> Result<Self, rustls::Error> {
        Ok(Self {
            client: Client::builder(TokioExecutor::new())
                .pool_idle_timeout(POOL_IDLE)
                .build(connector(tls)?),
            timeout,
        })
    }

    /// Sends a request to the host at `base` and its answer back. Both bodies stream.
    pub async fn forward(
        &self,
        base: &Uri,
        request: Request<RequestBody>,
        peer: Option<Peer>,
        cause: &Cause,
    ) -> Result<Response<ResponseBody>, Problem> {
        let (mut head, body) = request.into_parts();
        let own_host = head
            .uri
            .authority()
            .and_then(|authority| HeaderValue::try_from(authority.as_str()).ok())
            .or_else(|| head.headers.remove(HOST));
        head.uri = target(base, &head.uri)?;
        head.version = Version::HTTP_11;
        strip_hop_by_hop(&mut head.headers);
        // The client sets the upstream's own.
        head.headers.remove(HOST);
        // Its body is on the way: this host asks for it as soon as it reads.
        head.headers.remove(EXPECT);
        if let Some(host) = own_host {
            let name = HeaderName::from_static("x-forwarded-host");
            head.headers.entry(name).or_insert(host);
        }
        let name = HeaderName::from_static("x-forwarded-proto");
        let proto = HeaderValue::from_static("http");
        head.headers.entry(name).or_insert(proto);

        if let Some(Peer(address)) = peer {
            forwarded_for(&mut head.headers, address);
        }

        let host = base.authority().map_or("", |authority| authority.as_str());
        let above = cause.trace.as_ref();
        let mut span = Span::start(Kind::Client, above, || head.method.to_string());
        span.set("http.request.method", || head.method.to_string());
        span.set("server.address", || host.to_owned());
        if let Some(trace) = span.trace() {
            trace.inject(&mut head.headers);
        }
        let answer = self.client.request(Request::from_parts(head, body));
        let answer = match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(mut response)) => {
                strip_hop_by_hop(response.headers_mut());
                *response.version_mut() = Version::HTTP_11;
                Ok(response.map(ResponseBody::upstream))
            }
            Ok(Err(error)) => {
                let what = if error.is_connect() {
                    "cannot be reached"
                } else {
                    "broke the connection"
                };
                tracing::warn!(upstream = host, error = chain(&error), "upstream {what}");
                Err(Problem::new(
                    StatusCode::BAD_GATEWAY,
                    format!("upstream {host} {what}"),
                ))
            }
            Err(_) => Err(Problem::new(
                StatusCode::GATEWAY_TIMEOUT,
                format!("upstream {host} has not answered in {:?}", self.timeout),
            )),
        };
        match &answer {
            Ok(response) => span.set("http.response.status_code", || {
                i64::from(response.status().as_u16())
            }),
            Err(problem) => span.fail(|| problem.detail().to_owned()),
        }
        answer
    }
}

/// Connections to other hosts. Without `tls` none is https, and the system's
/// certificates are not read.
///
/// # Errors
/// If the system's certificates cannot be used.
pub fn connector(tls: bool) -> Result<HttpsConnector<HttpConnector>, rustls::Error> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.enforce_http(false);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = if tls {
        config.with_platform_verifier()?
    } else {
        config.with_root_certificates(RootCertStore::empty())
    };
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(config.with_no_client_auth())
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector))
}

/// The URL at the other host: its base, then the path without `/v1`.
fn target(base: &Uri, uri: &Uri) -> Result<Uri, Problem> {
    let path = format!(
        "{}{}",
        base.path().trim_end_matches('/'),
        routes::strip(uri, STRIP)
    );
    let mut parts = base.clone().into_parts();
    let bad = |error: &dyn std::fmt::Display| {
        Problem::new(StatusCode::BAD_REQUEST, format!("the path: {error}"))
    };
    parts.path_and_query = Some(path.parse().map_err(|error| bad(&error))?);
    Uri::from_parts(parts).map_err(|error| bad(&error))
}

/// Adds who sent the request to those that it was forwarded for already.
fn forwarded_for(headers: &mut HeaderMap, address: IpAddr) {
    let name = HeaderName::from_static("x-forwarded-for");
    let mut chain: Vec<u8> = Vec::new();
    for earlier in headers.get_all(&name) {
        chain.extend_from_slice(earlier.as_bytes());
        chain.extend_from_slice(b", ");
    }
    chain.extend_from_slice(address.to_canonical().to_string().as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&chain) {
        headers.insert(name, value);
    }
}

/// Takes out what concerns one connection alone, with what `Connection` names.
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// An error with all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
