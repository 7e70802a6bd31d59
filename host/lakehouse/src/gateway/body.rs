//! Bodies in and out of the gateway.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http::header::EXPECT;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use lakehouse_trace::Span;

use crate::server::InFlight;

/// Any error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How much of a body that nobody wants is read, so that a client which is still
/// sending gets to read the answer instead of a reset connection.
const LINGER_BYTES: u64 = 32 << 20;
/// How long that may take.
const LINGER_TIME: Duration = Duration::from_secs(5);

/// A request's body: bounded, and read to its end (within reason) after whoever
/// was to read it has let go of it.
pub struct RequestBody {
    inner: Option<Incoming>,
    left: u64,
    /// None of a body that is empty.
    exceeded: Option<Arc<AtomicBool>>,
    /// The client sends nothing before it is told to, and was not told yet.
    held: bool,
}

/// Whether a body turned out to be over its limit.
#[derive(Clone)]
pub struct Exceeded(Option<Arc<AtomicBool>>);

impl Exceeded {
    /// Whether it did, so far.
    pub fn get(&self) -> bool {
        let exceeded = self.0.as_ref();
        exceeded.is_some_and(|exceeded| exceeded.load(Ordering::Relaxed))
    }
}

/// The body is over its limit.
#[derive(Debug, thiserror::Error)]
#[error("the body is over the limit")]
pub struct TooLarge;

impl RequestBody {
    /// At most `limit` bytes of the body of a request with these headers; more is
    /// an error.
    pub fn new(headers: &HeaderMap, body: Incoming, limit: u64) -> Self {
        let inner = (!body.is_end_stream()).then_some(body);
        Self {
            left: limit,
            held: headers.contains_key(EXPECT),
            exceeded: inner.as_ref().map(|_| Arc::default()),
            inner,
        }
    }

    /// Tells later whether the limit was passed.
    pub fn exceeded(&self) -> Exceeded {
        Exceeded(self.exceeded.clone())
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.held = false;
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        match ready!(Pin::new(inner).poll_frame(cx)) {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, |data| data.remaining() as u64);
                match self.left.checked_sub(length) {
                    Some(left) => {
                        self.left = left;
                        Poll::Ready(Some(Ok(frame)))
                    }
                    None => {
                        self.left = 0;
                        if let Some(exceeded) = &self.exceeded {
                            exceeded.store(true, Ordering::Relaxed);
                        }
                        Poll::Ready(Some(Err(TooLarge.into())))
                    }
                }
            }
            Some(Err(error)) => {
                self.inner = None;
                Poll::Ready(Some(Err(error.into())))
            }
            None => {
                self.inner = None;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => inner.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(body) = self.inner.take()
            && !self.held
            && !body.is_end_stream()
        {
            discard(body);
        }
    }
}

/// Reads what is left of a body that nobody wants, in the background.
fn discard(mut body: Incoming) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return;
    };
    runtime.spawn(tokio::time::timeout(LINGER_TIME, async move {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, |data| data.len() as u64);
            if read > LINGER_BYTES {
                break;
            }
        }
    }));
}

/// A response's body. While it lives, its connection is not idle.
#[derive(Default)]
pub struct ResponseBody {
    kind: Kind,
    in_flight: Option<InFlight>,
    span: Span,
}

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Full(Bytes),
    Plugin(lakehouse_runtime::Body),
    Upstream(Incoming),
    Native(axum::body::Body),
}

impl ResponseBody {
    /// These bytes.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Kind::Full(bytes.into()).into()
    }

    /// What a plugin writes.
    pub fn plugin(body: lakehouse_runtime::Body) -> Self {
        Kind::Plugin(body).into()
    }

    /// What another host sends.
    pub fn upstream(body: Incoming) -> Self {
        Kind::Upstream(body).into()
    }

    /// What a native service or a layer writes.
    pub fn native(body: axum::body::Body) -> Self {
        Kind::Native(body).into()
    }

    /// Ties a request's end to this body's.
    pub fn hold(&mut self, in_flight: InFlight) {
        self.in_flight = Some(in_flight);
    }

    /// Has a request's span end with this body.
    pub fn trace(&mut self, span: Span) {
        self.span = span;
    }
}

impl From<Kind> for ResponseBody {
    fn from(kind: Kind) -> Self {
        Self {
            kind,
            in_flight: None,
            span: Span::default(),
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match &mut self.kind {
            Kind::Empty => None,
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.kind = Kind::Empty;
                (!bytes.is_empty()).then(|| Ok(Frame::data(bytes)))
            }
            Kind::Plugin(body) => {
                ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(Into::into))
            }
            Kind::Upstream(body) => {
                ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(Into::into))
            }
            Kind::Native(body) => {
                ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(Into::into))
            }
        };
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Full(bytes) => bytes.is_empty(),
            Kind::Plugin(body) => body.is_end_stream(),
            Kind::Upstream(body) => body.is_end_stream(),
            Kind::Native(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Plugin(body) => body.size_hint(),
            Kind::Upstream(body) => body.size_hint(),
            Kind::Native(body) => body.size_hint(),
        }
    }
}
