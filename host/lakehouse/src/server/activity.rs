//! What a connection is doing, so that idle and stalled ones can be told apart.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Shared by a connection's stream, its requests and its watch.
#[derive(Debug)]
pub struct Activity {
    epoch: Instant,
    requests: AtomicUsize,
    /// Milliseconds after `epoch` of the last change of what follows.
    since: AtomicU64,
    /// Bytes came while no request was under way: a head has begun.
    head: AtomicBool,
    /// On HTTP/2 such bytes may be anything (pings, settings).
    multiplexed: AtomicBool,
}

/// Why a connection should end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// No request for too long.
    Idle,
    /// The rest of a head does not come.
    Head,
}

impl Activity {
    /// A new connection.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            epoch: Instant::now(),
            requests: AtomicUsize::new(0),
            since: AtomicU64::new(0),
            head: AtomicBool::new(false),
            multiplexed: AtomicBool::new(false),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A request has begun.
    pub fn begin(self: &Arc<Self>, multiplexed: bool) -> InFlight {
        self.requests.fetch_add(1, Relaxed);
        self.head.store(false, Relaxed);
        if multiplexed {
            self.multiplexed.store(true, Relaxed);
        }
        InFlight(Arc::clone(self))
    }

    fn received(&self) {
        if self.requests.load(Relaxed) == 0
            && !self.multiplexed.load(Relaxed)
            && !self.head.swap(true, Relaxed)
        {
            self.since.store(self.now(), Relaxed);
        }
    }

    /// Whether it should end, and why.
    pub fn stale(&self, header_timeout: Duration, idle_timeout: Duration) -> Option<Stale> {
        if self.requests.load(Relaxed) > 0 {
            return None;
        }
        let age = Duration::from_millis(self.now().saturating_sub(self.since.load(Relaxed)));
        if self.head.load(Relaxed) {
            (age > header_timeout).then_some(Stale::Head)
        } else {
            (age > idle_timeout).then_some(Stale::Idle)
        }
    }
}

/// A request under way, until it drops.
#[derive(Debug)]
pub struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.since.store(self.0.now(), Relaxed);
        self.0.requests.fetch_sub(1, Relaxed);
    }
}

/// A stream that notes when bytes come.
pub struct Watched {
    stream: TokioIo<TcpStream>,
    activity: Arc<Activity>,
}

impl Watched {
    /// Notes what comes in on this stream.
    pub fn new(stream: TcpStream, activity: Arc<Activity>) -> Self {
        Self {
            stream: TokioIo::new(stream),
            activity,
        }
    }
}

impl Read for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        if matches!(poll, Poll::Ready(Ok(()))) {
            self.activity.received();
        }
        poll
    }
}

impl Write for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}
