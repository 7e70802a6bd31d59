//! Bodies that stream in and out of plugins.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use wasmtime_wasi_http::WasiBody;

use crate::ticket::{Failure, Guard};

pub use wasmtime_wasi_http::Error as BodyError;

/// As many bytes of a body go on in one piece, if they are there.
const PIECE: usize = 64 << 10;

/// A guest at work.
pub(crate) type Guest<T = ()> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A guest that runs as part of reading what it writes.
pub(crate) struct Running {
    /// None when it is through, or was stopped at its deadline.
    guest: Arc<Mutex<Option<Guest>>>,
    watchdog: AbortHandle,
}

impl Running {
    /// Who does not read does not drive the guest either, so its deadline is kept from
    /// outside: `overdue` is called if it passes.
    pub(crate) fn new(
        guest: Guest,
        deadline: Instant,
        overdue: impl FnOnce() + Send + 'static,
    ) -> Self {
        let guest = Arc::new(Mutex::new(Some(guest)));
        let watched = Arc::downgrade(&guest);
        let watchdog = tokio::spawn(async move {
            tokio::time::sleep_until(deadline.into()).await;
            // One that is locked is being driven, and looks at the time itself.
            let stopped = watched
                .upgrade()
                .and_then(|guest| guest.try_lock().and_then(|mut guest| guest.take()));
            if let Some(guest) = stopped {
                overdue();
                drop(guest);
            }
        });
        Self {
            guest,
            watchdog: watchdog.abort_handle(),
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut guest = self.guest.lock();
        if let Some(running) = &mut *guest {
            ready!(running.as_mut().poll(cx));
            *guest = None;
        }
        Poll::Ready(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.watchdog.abort();
    }
}

/// A request's or a response's body, streamed.
///
/// That of a response holds the guest that writes it: dropped before its end, the
/// guest is stopped; and if the guest traps or runs out of time, the body ends in an
/// error and not as if it were whole.
pub struct Body {
    inner: WasiBody,
    guard: Option<Guard>,
    guest: Option<Running>,
    /// What came of reading ahead.
    ahead: Option<Read>,
}

/// What a read of a body gives.
pub(crate) type Read = Option<Result<Frame<Bytes>, BodyError>>;

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
            guest: None,
            ahead: None,
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
            guest: None,
            ahead: None,
        }
    }

    /// With the guest that goes on writing it, and what was read of it already.
    pub(crate) fn driven(mut self, guest: Option<Running>, ahead: Option<Read>) -> Self {
        self.guest = guest;
        self.ahead = ahead;
        self
    }

    /// Lets the guest go on as far as it can.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(guest) = &self.guest
            && guest.poll(cx).is_ready()
        {
            self.guest = None;
        }
    }

    /// What comes next. Most guests write 4 KiB at a time, and each piece costs the client a
    /// chunk to read and the system a call or two, so those that are there are joined.
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Read> {
        let read = match self.ahead.take() {
            Some(read) => read,
            None => ready!(Pin::new(&mut self.inner).poll_frame(cx)),
        };
        let Some(Ok(frame)) = read else {
            return Poll::Ready(read);
        };
        let first = match frame.into_data() {
            Ok(data) => data,
            Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
        };
        let mut length = first.len();
        let mut more = Vec::new();
        while length < PIECE
            && let Poll::Ready(read) = Pin::new(&mut self.inner).poll_frame(cx)
        {
            match read {
                Some(Ok(frame)) if frame.is_data() => {
                    let data = frame.into_data();
                    length += data.as_ref().map_or(0, Bytes::len);
                    more.extend(data);
                }
                end => {
                    self.ahead = Some(end);
                    break;
                }
            }
        }
        if more.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        more.insert(0, first);
        Poll::Ready(Some(Ok(Frame::data(more.concat().into()))))
    }

    /// As the guest is handed it.
    pub(crate) fn into_wasi(mut self) -> WasiBody {
        match self.guard {
            None => std::mem::take(&mut self.inner),
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
        let this = &mut *self;
        this.drive(cx);
        let frame = ready!(this.next(cx));
        let Some(guard) = &mut this.guard else {
            return Poll::Ready(frame);
        };
        Poll::Ready(match frame {
            Some(Ok(mut frame)) => {
                let allowed = guard.allowed();
                // As much as may pass does, whatever it was joined with.
                if let Some(data) = frame.data_mut()
                    && (1..data.len()).contains(&allowed)
                {
                    let rest = data.split_off(allowed);
                    this.ahead = Some(Some(Ok(Frame::data(rest))));
                }
                let length = frame.data_ref().map_or(0, Bytes::len);
                match guard.pass(length) {
                    Ok(()) => Some(Ok(frame)),
                    Err(_) => guard.failure().map(|failure| Err(failure.into())),
                }
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
        self.guard.is_none() && self.ahead.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Body {
    /// Who has all of an answer leaves the guest to what it still has to do.
    fn drop(&mut self) {
        if let (Some(running), Some(guard)) = (&self.guest, &self.guard)
            && guard.is_satisfied()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
            && let Some(guest) = running.guest.lock().take()
        {
            runtime.spawn(guest);
        }
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
            Failure::Timeout(_) => Self::HttpResponseTimeout,
            Failure::TooLong(limit) => Self::HttpResponseBodySize(Some(limit)),
            Failure::Trap(_) | Failure::Cancelled => Self::HttpResponseIncomplete,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Waker;

    use http::HeaderMap;
    use http_body_util::StreamBody;

    use super::*;

    /// A body that gives one of these a poll; where there is none, it waits.
    fn script(reads: impl Into<VecDeque<Option<Frame<Bytes>>>>) -> Body {
        let mut reads = reads.into();
        let stream = futures::stream::poll_fn(move |_| match reads.pop_front() {
            Some(None) => Poll::Pending,
            frame => Poll::Ready(frame.flatten().map(Ok::<_, BodyError>)),
        });
        Body::new(StreamBody::new(stream))
    }

    fn piece(length: usize) -> Option<Frame<Bytes>> {
        Some(Frame::data(vec![length as u8; length].into()))
    }

    fn trailers() -> Option<Frame<Bytes>> {
        Some(Frame::trailers(HeaderMap::new()))
    }

    /// What comes of it: the lengths of pieces, 0 for trailers, and none where it waits.
    fn read(reads: impl Into<VecDeque<Option<Frame<Bytes>>>>) -> Vec<Option<usize>> {
        let mut body = script(reads);
        let mut cx = Context::from_waker(Waker::noop());
        let mut read = Vec::new();
        loop {
            match Pin::new(&mut body).poll_frame(&mut cx) {
                Poll::Pending => read.push(None),
                Poll::Ready(None) => return read,
                Poll::Ready(Some(frame)) => {
                    let data = frame.unwrap().into_data().unwrap_or_default();
                    read.push(Some(data.len()));
                }
            }
        }
    }

    #[test]
    fn pieces_that_are_there_are_joined() {
        assert_eq!(read([]), []);
        assert_eq!(read([piece(1)]), [Some(1)]);
        assert_eq!(read([piece(1), piece(2), piece(3)]), [Some(6)]);
        assert_eq!(read([piece(1), None, piece(2)]), [Some(1), Some(2)]);
        assert_eq!(read([None, piece(1)]), [None, Some(1)]);
        assert_eq!(read([piece(1), trailers()]), [Some(1), Some(0)]);
        let three = [piece(PIECE - 1), piece(1), piece(1)];
        assert_eq!(read(three), [Some(PIECE), Some(1)]);
        assert_eq!(read([piece(PIECE), piece(1)]), [Some(PIECE), Some(1)]);
    }

    #[test]
    fn joined_pieces_keep_their_order() {
        let mut body = script([piece(1), piece(2), piece(3)]);
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut cx) else {
            panic!("nothing there");
        };
        assert_eq!(frame.into_data().unwrap(), &[1, 2, 2, 3, 3, 3][..]);
        assert!(!body.is_end_stream());
    }
}
