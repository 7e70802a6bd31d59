//! The request on whose behalf something happens.

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::Trace;

tokio::task_local! {
    static CAUSE: Option<Cause>;
}

/// The request on whose behalf something happens. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Its id: the header `x-request-id`.
    pub request_id: Arc<str>,
    /// Where in a trace it stands, if it is part of one.
    pub trace: Option<Trace>,
}

impl Cause {
    /// The same request within a span, whose trace takes the place of its own.
    #[must_use]
    pub fn within(&self, span: &crate::Span) -> Self {
        Self {
            request_id: Arc::clone(&self.request_id),
            trace: span.trace().or_else(|| self.trace.clone()),
        }
    }
}

impl From<&str> for Cause {
    fn from(request_id: &str) -> Self {
        Self {
            request_id: Arc::from(request_id),
            trace: None,
        }
    }
}

/// Runs a future on behalf of a request, or of none.
pub fn scope<F: Future>(
    cause: Option<Cause>,
    future: F,
) -> impl Future<Output = F::Output> + use<F> {
    CAUSE.scope(cause, future)
}

/// Runs a closure on behalf of a request, or of none.
pub fn enter<R>(cause: Option<Cause>, work: impl FnOnce() -> R) -> R {
    CAUSE.sync_scope(cause, work)
}

/// The request on whose behalf this code runs: what a task or thread that goes on with
/// its work takes along.
#[must_use]
pub fn current() -> Option<Cause> {
    CAUSE.try_with(Clone::clone).ok().flatten()
}

/// [`tokio::spawn`] on behalf of the current request.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(scope(current(), future))
}

/// [`tokio::task::spawn_blocking`] on behalf of the current request.
pub fn spawn_blocking<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> JoinHandle<R> {
    let cause = current();
    tokio::task::spawn_blocking(move || enter(cause, work))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_cause_counts() {
        assert_eq!(current(), None);
        enter(Some("outer".into()), || {
            enter(None, || assert_eq!(current(), None));
            enter(Some("inner".into()), || {
                assert_eq!(&*current().unwrap().request_id, "inner");
            });
            assert_eq!(&*current().unwrap().request_id, "outer");
        });
        assert_eq!(current(), None);
    }
}
