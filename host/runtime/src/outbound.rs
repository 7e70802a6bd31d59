//! HTTP requests that guests send: to whom they may, and how they get there.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http::uri::Authority;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt;
use serde::Deserialize;
use tokio::time::Sleep;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

/// How long a connection may take to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection is kept without a request on it.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// Whom a plugin may send requests to.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    rules: Vec<Rule>,
    client: Option<Client<HttpsConnector<HttpConnector>, WasiBody>>,
}

/// One of its grants.
#[derive(Debug, PartialEq, Eq)]
struct Rule {
    host: Host,
    /// None stands for the port that belongs to the scheme.
    port: Option<u16>,
}

#[derive(Debug, PartialEq, Eq)]
enum Host {
    Any,
    Named(String),
    /// Every name below this one, which begins with a dot.
    Below(String),
}

impl Rule {
    fn parse(text: &str) -> Result<Self, String> {
        let bad = |why: &str| {
            Err(format!(
                "`{text}` {why}: write a host like `api.example.org`, `*.example.org`, \
                 `api.example.org:8443` or `*`"
            ))
        };
        if text.contains("://") {
            return bad("names a scheme, and a grant is for both http and https");
        }
        let (name, wildcard) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        // A host of one star is any host; it may have a port too.
        if let Some(port) = name.strip_prefix('*').filter(|_| !wildcard) {
            let port = match port.strip_prefix(':').map(str::parse) {
                None if port.is_empty() => None,
                Some(Ok(port)) => Some(port),
                _ => return bad("is not a host"),
            };
            return Ok(Self {
                host: Host::Any,
                port,
            });
        }
        let Ok(authority) = name.parse::<Authority>() else {
            return bad("is not a host");
        };
        let host = authority.host().to_ascii_lowercase();
        if host.is_empty() || host.contains('*') || authority.as_str().contains('@') {
            return bad("is not a host");
        }
        let port = authority.port_u16();
        if port.is_none() && authority.as_str().len() != authority.host().len() {
            return bad("has no port behind its colon");
        }
        let host = match wildcard {
            true => Host::Below(format!(".{host}")),
            false => Host::Named(host),
        };
        Ok(Self { host, port })
    }

    fn covers(&self, uri: &Uri) -> bool {
        let Some(host) = uri.host().map(str::to_ascii_lowercase) else {
            return false;
        };
        let own = match uri.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            _ => return false,
        };
        let named = match &self.host {
            Host::Any => true,
            Host::Named(name) => *name == host,
            Host::Below(end) => host.len() > end.len() && host.ends_with(end),
        };
        named && uri.port_u16().unwrap_or(own) == self.port.unwrap_or(own)
    }
}

impl Outbound {
    /// Reads `grants.http`: `["api.example.org", "*.example.org:8443"]`.
    ///
    /// # Errors
    /// A text for people.
    pub(crate) fn new(grants: &serde_json::Value) -> Result<Self, String> {
        let Some(hosts) = grants.get("http") else {
            return Ok(Self::default());
        };
        let hosts = Vec::<String>::deserialize(hosts)
            .map_err(|error| format!("grants.http: {error}; it is a list of hosts"))?;
        let rules = hosts
            .iter()
            .map(|host| Rule::parse(host))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("grants.http: {error}"))?;
        let client = (!rules.is_empty()).then(client).transpose();
        let client = client.map_err(|error| format!("grants.http: no TLS: {error}"))?;
        Ok(Self { rules, client })
    }

    /// Sends a request, if it may go there, and waits for the head of the answer.
    pub(crate) fn send(
        &self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<impl Future<Output = Result<http::Response<WasiBody>, Error>> + use<>, Error> {
        let covered = self.rules.iter().any(|rule| rule.covers(request.uri()));
        let client = self.client.as_ref().filter(|_| covered);
        let client = client.ok_or(Error::HttpRequestDenied)?.clone();
        let options = options.unwrap_or_default();
        Ok(async move {
            let answer = client.request(request);
            let head = match patience(&options) {
                None => answer.await,
                Some(patience) => tokio::time::timeout(patience, answer)
                    .await
                    .map_err(|_| Error::ConnectionReadTimeout)?,
            };
            let between = options.between_bytes_timeout;
            Ok(head.map_err(failed)?.map(|body| {
                let body = Answer {
                    body,
                    between,
                    alarm: None,
                };
                body.boxed_unsync()
            }))
        })
    }
}

/// How long the head of an answer may take. The connection is part of that.
fn patience(options: &RequestOptions) -> Option<Duration> {
    let first_byte = options.first_byte_timeout?;
    let connect = options.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
    Some(connect.saturating_add(first_byte))
}

fn client() -> Result<Client<HttpsConnector<HttpConnector>, WasiBody>, rustls::Error> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.enforce_http(false);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    Ok(Client::builder(TokioExecutor::new())
        .pool_idle_timeout(POOL_IDLE)
        .build(connector))
}

/// What went wrong, in the words that `wasi:http` has for it.
fn failed(error: hyper_util::client::legacy::Error) -> Error {
    let connecting = error.is_connect();
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return match io.kind() {
                std::io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
                std::io::ErrorKind::TimedOut => Error::ConnectionTimeout,
                std::io::ErrorKind::InvalidData => Error::TlsCertificateError,
                _ if connecting => Error::DestinationUnavailable,
                _ => Error::ConnectionTerminated,
            };
        }
        source = cause.source();
    }
    if connecting {
        Error::DestinationUnavailable
    } else {
        Error::InternalError(Some(error.to_string()))
    }
}

/// The body of an answer, whose next bytes may be long in coming, but not too long.
struct Answer {
    body: Incoming,
    between: Option<Duration>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.alarm = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Error::from)));
        }
        let Some(between) = this.between else {
            return Poll::Pending;
        };
        let alarm = this
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(between)));
        ready!(alarm.as_mut().poll(cx));
        Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(rule: &str, uri: &str) -> bool {
        Rule::parse(rule).unwrap().covers(&uri.parse().unwrap())
    }

    #[test]
    fn a_rule_covers_its_host_and_port_alone() {
        for (rule, uri, expected) in [
            ("api.example.org", "https://api.example.org/x", true),
            ("api.example.org", "http://API.example.org/", true),
            ("api.example.org", "http://api.example.org:443/", false),
            ("api.example.org", "https://api.example.org:8443/", false),
            ("api.example.org", "https://xapi.example.org/", false),
            (
                "api.example.org",
                "https://api.example.org.evil.net/",
                false,
            ),
            (
                "api.example.org:8443",
                "https://api.example.org:8443/",
                true,
            ),
            ("api.example.org:8443", "https://api.example.org/", false),
            ("*.example.org", "https://a.b.example.org/", true),
            ("*.example.org", "https://example.org/", false),
            ("*.example.org", "https://evilexample.org/", false),
            ("*.example.org:443", "https://a.example.org/", true),
            ("*", "http://127.0.0.1/", true),
            ("*", "http://127.0.0.1:99/", false),
            ("*:99", "http://127.0.0.1:99/", true),
            ("[::1]:99", "http://[::1]:99/", true),
            ("127.0.0.1", "ftp://127.0.0.1/", false),
        ] {
            assert_eq!(covers(rule, uri), expected, "{rule} {uri}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            "https://example.org",
            "example.org/path",
            "user@example.org",
            "*.",
            "a.*.org",
            "*example.org",
            "example.org:",
            "example.org:99999",
            "*:x",
        ] {
            let error = Rule::parse(text).unwrap_err();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }
}
