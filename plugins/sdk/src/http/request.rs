//! What a client asks.

use std::borrow::Cow;
use std::cell::OnceCell;

use wasip2::http::types::{IncomingRequest, Method};

use super::{BodyReader, Problem};

/// A request. Its parts are fetched from the host when first asked for.
#[derive(Debug)]
pub struct Request {
    inner: IncomingRequest,
    method: OnceCell<Cow<'static, str>>,
    target: OnceCell<String>,
    headers: OnceCell<Vec<(String, Vec<u8>)>>,
    body: Option<BodyReader>,
}

impl Request {
    pub(crate) fn new(inner: IncomingRequest) -> Self {
        Self {
            inner,
            method: OnceCell::new(),
            target: OnceCell::new(),
            headers: OnceCell::new(),
            body: None,
        }
    }

    /// The method in capitals, such as `GET`.
    pub fn method(&self) -> &str {
        self.method.get_or_init(|| match self.inner.method() {
            Method::Get => "GET".into(),
            Method::Head => "HEAD".into(),
            Method::Post => "POST".into(),
            Method::Put => "PUT".into(),
            Method::Delete => "DELETE".into(),
            Method::Connect => "CONNECT".into(),
            Method::Options => "OPTIONS".into(),
            Method::Trace => "TRACE".into(),
            Method::Patch => "PATCH".into(),
            Method::Other(name) => name.into(),
        })
    }

    fn target(&self) -> &str {
        self.target
            .get_or_init(|| self.inner.path_with_query().unwrap_or_default())
    }

    /// The path as it came, percent-encoded, without the query. The host has
    /// taken `/v1` off.
    pub fn path(&self) -> &str {
        let target = self.target();
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        if path.is_empty() { "/" } else { path }
    }

    /// The query as it came, without the `?`.
    pub fn query(&self) -> Option<&str> {
        self.target().split_once('?').map(|(_, query)| query)
    }

    /// The query's names and values in order, decoded as forms are: `+` is a
    /// space, `%2B` is a plus.
    pub fn query_pairs(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(self.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect()
    }

    fn fields(&self) -> &[(String, Vec<u8>)] {
        self.headers.get_or_init(|| self.inner.headers().entries())
    }

    /// The first header of this name, in any case; none if it is not there or
    /// not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// Every header in order, names in small letters.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The length that the client announced, in bytes.
    pub fn content_length(&self) -> Option<u64> {
        self.header("content-length")?.trim().parse().ok()
    }

    /// The body, read from where the last call stopped.
    pub fn body(&mut self) -> &mut BodyReader {
        if self.body.is_none() {
            self.body = Some(BodyReader::new(&self.inner, self.content_length()));
        }
        self.body.get_or_insert_with(BodyReader::empty)
    }

    /// The body as a reader of its own.
    pub fn into_body(mut self) -> BodyReader {
        self.body();
        self.body.take().unwrap_or_else(BodyReader::empty)
    }

    /// The whole body, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// 413 if it is longer, 400 if it breaks off.
    pub fn read_body(&mut self, limit: usize) -> Result<Vec<u8>, Problem> {
        let announced = self.content_length().unwrap_or(0);
        if announced > limit as u64 {
            return Err(too_long(limit));
        }
        self.body().read_all(limit)?.ok_or_else(|| too_long(limit))
    }

    /// The body as JSON of at most `limit` bytes.
    ///
    /// # Errors
    /// 400 with line and column if it is not such JSON, else as [`Self::read_body`].
    pub fn read_json<T: serde::de::DeserializeOwned>(
        &mut self,
        limit: usize,
    ) -> Result<T, Problem> {
        parse_json(&self.read_body(limit)?)
    }
}

/// A body as JSON.
///
/// # Errors
/// 400 with line and column if it is not such JSON.
pub fn parse_json<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        let problem = Problem::bad_request(format!("the body is not the JSON expected: {error}"));
        if error.line() == 0 {
            return problem;
        }
        problem
            .with("line", error.line())
            .with("column", error.column())
    })
}

fn too_long(limit: usize) -> Problem {
    Problem::new(413, format!("the body has more than {limit} bytes"))
}
