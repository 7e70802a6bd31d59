//! A guest's call into the host, as traces and log lines see it.

use std::borrow::Cow;

use lakehouse_runtime::CallContext;
use lakehouse_trace::{Cause, Kind as SpanKind, Span};

use crate::bindings::types;
use crate::{Error, Kind};

/// One call under way: a span below the request's, whose id is in what it logs.
pub(crate) struct Call {
    cause: Option<Cause>,
    span: Span,
}

impl Call {
    /// Begins a call on behalf of a request; one of the host itself is not traced.
    pub(crate) fn new<N>(cause: Option<&Cause>, name: impl FnOnce() -> N) -> Self
    where
        N: Into<Cow<'static, str>>,
    {
        let span = match cause {
            Some(cause) => Span::start(SpanKind::Internal, cause.trace.as_ref(), name),
            None => Span::default(),
        };
        Self {
            cause: cause.map(|cause| cause.within(&span)),
            span,
        }
    }

    /// The request on whose behalf it runs, for what it calls in turn.
    pub(crate) fn pass_on(&self, request: &CallContext) -> CallContext {
        CallContext {
            cause: self.cause.clone(),
            ..request.clone()
        }
    }

    /// Notes what the call is about.
    pub(crate) fn about(mut self, key: &'static str, value: &str) -> Self {
        self.span.set(key, || value.to_owned());
        self
    }

    /// Does the work, and notes how it went.
    pub(crate) async fn run<T>(
        mut self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let result = lakehouse_trace::scope(self.cause.take(), work).await;
        if let Err(error) = &result {
            self.span.set("error.type", || error.kind().word());
            // What a guest asked for in vain is an answer like others.
            if matches!(
                error.kind(),
                Kind::Exhausted | Kind::Unavailable | Kind::Internal
            ) {
                self.span.fail(|| error.to_string());
            }
        }
        result
    }
}

/// A failure as the guest sees it; one of the host's own is logged with the request.
pub(crate) fn convert(cause: Option<&Cause>, error: Error) -> types::Error {
    lakehouse_trace::enter(cause.cloned(), || error.into())
}
