//! Bodies that stream in and out of plugins.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use wasmtime_wasi_http::WasiBody;

use crate::ticket::{Failure, Guard};

pub use wasmtime_wasi_http::Error as BodyError;

/// A request's or a response's body, streamed.
///
/// That of a response holds the guest that writes it: dropped before its end, the
/// guest is stopped; and if the guest traps or runs out of time, the body ends in an
/// error and not as if it were whole.
pub struct Body {
    inner: WasiBody,
    guard: Option<Guard>,
}

impl Body {
    /// Wraps any body of bytes.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        Self {
            inner: body
                .map_err(|error| BodyError::InternalError(Some(error.into().to_string())))
                .boxed_unsync(),
            guard: None,
        }
    }

    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::new(Empty::new())
    }

    /// These bytes.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self::new(Full::new(bytes.into()))
    }

    pub(crate) fn guarded(inner: WasiBody, guard: Guard) -> Self {
        Self {
            inner,
            guard: Some(guard),
        }
    }

    /// As the guest is handed it.
    pub(crate) fn into_wasi(self) -> WasiBody {
        match self.guard {
            None => self.inner,
            Some(_) => self.boxed_unsync(),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let Some(guard) = &mut self.guard else {
            return Poll::Ready(frame);
        };
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    guard.passed(data.len());
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                guard.complete();
                Some(Err(error))
            }
            // A guest that was stopped half way leaves a body that merely ends.
            None => match guard.failure() {
                Some(failure) if !guard.is_complete() => {
                    guard.complete();
                    Some(Err(failure.into()))
                }
                _ => {
                    guard.complete();
                    None
                }
            },
        })
    }

    fn is_end_stream(&self) -> bool {
        self.guard.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<Failure> for BodyError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Timeout => Self::HttpResponseTimeout,
            Failure::Trap(_) | Failure::Cancelled => Self::HttpResponseIncomplete,
        }
    }
}
