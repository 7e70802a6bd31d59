//! Spans, for who collects them.

use std::borrow::Cow;
use std::sync::OnceLock;

use opentelemetry::trace::{Span as _, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::{SdkTracer, Span as Recorded};

use crate::Trace;

/// Where spans go. As with log lines, there is one such place in a process.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Has spans recorded from now on. Later calls change nothing.
pub fn install(tracer: SdkTracer) {
    // A second one would be a mistake of the program, not of its input.
    let _ = TRACER.set(tracer);
}

/// How a span stands to what asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It answers a request from outside.
    Server,
    /// It waits for an answer from outside.
    Client,
    /// Neither.
    Internal,
}

/// A span under way, which ends when it drops. Nothing while nobody collects spans.
#[derive(Debug, Default)]
#[must_use = "a span ends when it drops"]
pub struct Span(Option<Box<Recorded>>);

impl Span {
    /// Starts a span below another one, or a trace of its own. The name is asked for
    /// only if it is recorded.
    pub fn start<N>(kind: Kind, parent: Option<&Trace>, name: impl FnOnce() -> N) -> Self
    where
        N: Into<Cow<'static, str>>,
    {
        let Some(tracer) = TRACER.get() else {
            return Self(None);
        };
        let above = match parent {
            Some(parent) => Context::new().with_remote_span_context(parent.context().clone()),
            None => Context::new(),
        };
        let kind = match kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Internal => SpanKind::Internal,
        };
        let builder = tracer.span_builder(name()).with_kind(kind);
        Self(Some(Box::new(builder.start_with_context(tracer, &above))))
    }

    /// Its place in the trace; none if nobody collects spans.
    #[must_use]
    pub fn trace(&self) -> Option<Trace> {
        let span = self.0.as_ref()?;
        Trace::new(span.span_context().clone())
    }

    /// Notes a value, which is asked for only if it is recorded.
    pub fn set<V: Into<Value>>(&mut self, key: &'static str, value: impl FnOnce() -> V) {
        if let Some(span) = &mut self.0
            && span.is_recording()
        {
            span.set_attribute(KeyValue::new(key, value()));
        }
    }

    /// Notes that what it stands for failed, and why.
    pub fn fail<R: Into<Cow<'static, str>>>(&mut self, reason: impl FnOnce() -> R) {
        if let Some(span) = &mut self.0
            && span.is_recording()
        {
            span.set_status(Status::error(reason()));
        }
    }
}
