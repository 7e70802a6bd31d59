//! Calls to a running host.

use anyhow::{Context, bail};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::Remote;
use crate::gateway::connector;

/// A client of one host.
pub struct Client {
    http: hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    token: Option<HeaderValue>,
}

impl Client {
    /// A client of this host.
    ///
    /// # Errors
    /// If the URL or the token cannot be used.
    pub fn new(remote: &Remote) -> anyhow::Result<Self> {
        let uri: Uri = remote
            .url
            .parse()
            .with_context(|| format!("--url {}", remote.url))?;
        let Some("http" | "https") = uri.scheme_str() else {
            bail!(
                "--url {}: it must begin with http:// or https://",
                remote.url
            );
        };
        let token = remote.token.as_deref().filter(|token| !token.is_empty());
        let token = token
            .map(|token| HeaderValue::try_from(format!("Bearer {token}")))
            .transpose()
            .context("--token: it cannot be sent in a header")?;
        let connector = connector(uri.scheme_str() == Some("https"))?;
        Ok(Self {
            http: hyper_util::client::legacy::Client::builder(TokioExecutor::new())
                .build(connector),
            base: remote.url.trim_end_matches('/').to_owned(),
            token,
        })
    }

    /// Sends a request; the JSON of its answer, null if there is none.
    ///
    /// # Errors
    /// What the host says, if it says no.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.base);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = url.parse().with_context(|| url.clone())?;
        *request.headers_mut() = headers;
        if let Some(token) = &self.token {
            request.headers_mut().insert(AUTHORIZATION, token.clone());
        }
        let answer = self
            .http
            .request(request)
            .await
            .with_context(|| format!("cannot ask {}: does a host run there?", self.base))?;
        let status = answer.status();
        let media = answer.headers().get(CONTENT_TYPE).cloned();
        let text = answer
            .into_body()
            .collect()
            .await
            .with_context(|| url.clone())?;
        let text = text.to_bytes();
        if status.is_success() {
            if text.is_empty() {
                return Ok(Value::Null);
            }
            return serde_json::from_slice(&text)
                .with_context(|| format!("{url} answers no JSON: is it a lakehouse?"));
        }
        let is_problem = media.is_some_and(|media| media.as_bytes().ends_with(b"json"));
        let problem: Value = match is_problem {
            true => serde_json::from_slice(&text).unwrap_or_default(),
            false => Value::Null,
        };
        match problem["detail"].as_str() {
            Some(detail) => bail!("{detail} ({status})"),
            None => bail!("{url} answers {status}"),
        }
    }
}
