//! Accepting connections, and stopping to.

mod activity;
mod connection;
mod threads;
mod turn;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::config::Server as Settings;
use crate::gateway::Front;

pub use activity::InFlight;
use connection::Connections;
pub use threads::Threads;

/// How long accepting rests when the system has no more to give.
const REST: Duration = Duration::from_millis(50);

/// Serves on these threads until `stop` is cancelled, then waits for requests under way,
/// but no longer than the drain time-out. True if all of them finished.
pub async fn serve(
    listener: TcpListener,
    threads: &Threads,
    front: Front,
    settings: &Settings,
    stop: CancellationToken,
) -> bool {
    let most = settings.max_connections.min(Semaphore::MAX_PERMITS >> 1);
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    let places = Arc::new(Semaphore::new(most as usize));
    let connections = Arc::new(Connections::new(front, settings, Handle::current()));
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                let connections = Arc::clone(&connections);
                // Each poll of a connection asks for it, and takes a lock for that.
                let stop = stop.child_token();
                threads.serve(async move {
                    match TcpStream::from_std(stream) {
                        Ok(stream) => connections.run(stream, stop).await,
                        Err(error) => tracing::warn!(%error, "cannot serve a connection"),
                    }
                    drop(place);
                });
            }
            Err(error) => {
                // Out of descriptors, mostly: connections that end make room.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(REST).await;
            }
        }
    }
    // New connections are refused from here on.
    drop(listener);
    let all = tokio::time::timeout(settings.drain_timeout.0, places.acquire_many(most));
    all.await.is_ok()
}

/// The next connection, when there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(std::net::TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    loop {
        match listener.accept().await {
            // Another thread's event loop will wait for it.
            Ok((stream, _)) => return Ok((stream.into_std()?, place)),
            // That connection is gone; the next one may be fine.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                ) => {}
            Err(error) => return Err(error),
        }
    }
}
