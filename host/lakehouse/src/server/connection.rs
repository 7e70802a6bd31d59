//! One connection, HTTP/1.1 or HTTP/2, from its first byte to its last.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Version};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, Stale, Watched};
use crate::config::Server as Settings;
use crate::gateway::{Front, Peer, REQUEST_ID, RequestIds};

/// Requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;
/// Silence on an HTTP/2 connection before it is pinged.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long the answer to a ping may take.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Where the streams of HTTP/2 run: a connection may bring hundreds of requests at once,
/// which one thread would answer in turn.
#[derive(Clone)]
struct Streams(Handle);

impl<F> Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.spawn(stream);
    }
}

/// What all connections share.
pub struct Connections {
    front: Front,
    builder: Builder<Streams>,
    ids: RequestIds,
    header_timeout: Duration,
    idle_timeout: Duration,
}

impl Connections {
    /// Connections of a server with these settings; each stream of HTTP/2 is a task
    /// of `streams`.
    pub fn new(front: Front, settings: &Settings, streams: Handle) -> Self {
        let mut builder = Builder::new(Streams(streams));
        // Its own header time-out would end idle connections too: `Activity` knows
        // these apart.
        builder
            .http1()
            .timer(TokioTimer::new())
            // Head and a short body in one piece: copying them costs the kernel less than
            // gathering them.
            .writev(false)
            .header_read_timeout(None);
        builder
            .http2()
            .timer(TokioTimer::new())
            .adaptive_window(true)
            .max_concurrent_streams(MAX_STREAMS)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        Self {
            front,
            builder,
            ids: RequestIds::new(),
            header_timeout: settings.header_timeout.0,
            idle_timeout: settings.idle_timeout.0,
        }
    }

    /// Serves a connection until it ends, is stale, or `stop` is cancelled and its
    /// requests are answered.
    pub async fn run(&self, stream: TcpStream, stop: CancellationToken) {
        // Small answers would wait for the client's acknowledgement otherwise.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let peer = stream.peer_addr().ok().map(|address| Peer(address.ip()));
        // Of its own, so that its requests do not write where those of others do.
        let front = Arc::new(self.front.clone());
        let ids = self.ids.connection();
        let activity = Activity::new();
        let service = service_fn(|mut request: Request<Incoming>| {
            let in_flight = activity.begin(request.version() == Version::HTTP_2);
            let id = ids.assign(request.headers_mut());
            let front = Arc::clone(&front);
            async move {
                let mut response = front.answer(request, peer).await;
                response.headers_mut().insert(REQUEST_ID, id);
                response.body_mut().hold(in_flight);
                Ok::<_, Infallible>(response)
            }
        });
        let io = Watched::new(stream, Arc::clone(&activity));
        let mut connection = pin!(self.builder.serve_connection(io, service));
        let shortest = self.header_timeout.min(self.idle_timeout);
        let period = (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ending = false;
        loop {
            tokio::select! {
                biased;
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        tracing::debug!(%error, "connection ended");
                    }
                    return;
                }
                () = stop.cancelled(), if !ending => {
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                }
                _ = ticks.tick() => match activity.stale(self.header_timeout, self.idle_timeout) {
                    None => {}
                    Some(Stale::Idle) if !ending => {
                        ending = true;
                        connection.as_mut().graceful_shutdown();
                    }
                    Some(_) => return,
                },
            }
        }
    }
}
