//! Running calls of the service, most of them off the async threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use lakehouse_vectord::Service;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::answer::Failure;

/// Writes under way at once: they mostly wait for one flush together.
const WRITES: usize = 64;
/// Calls that compute, waiting or under way, for each processor: enough that
/// none is idle while one call's answer is sent and the next one's body read.
const COMPUTES: usize = 4;
/// How long a call waits for its turn.
const PATIENCE: Duration = Duration::from_secs(30);

/// The service, and how many calls of it may be under way.
#[derive(Clone)]
pub struct Work {
    service: Arc<Service>,
    compute: Arc<Semaphore>,
    write: Arc<Semaphore>,
}

impl Work {
    pub fn new(service: Arc<Service>) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            service,
            compute: Arc::new(Semaphore::new(processors * COMPUTES)),
            write: Arc::new(Semaphore::new(WRITES)),
        }
    }

    /// Runs a call that computes, on one of the threads that search: there
    /// are as many as processors.
    pub async fn compute<R: Send + 'static>(
        &self,
        call: impl FnOnce(&Service) -> Result<R, Failure> + Send + 'static,
    ) -> Result<R, Failure> {
        let turn = turn(&self.compute).await?;
        let service = Arc::clone(&self.service);
        let (answer, answered) = oneshot::channel();
        let cause = lakehouse_trace::current();
        self.service.spawn(move || {
            let result = lakehouse_trace::enter(cause, || call(&service));
            drop(turn);
            // The client may have gone.
            let _ = answer.send(result);
        });
        answered.await.unwrap_or_else(|_| Err(Failure::failed()))
    }

    /// Makes a call that is over in a moment, here.
    pub fn now<R>(&self, call: impl FnOnce(&Service) -> R) -> Result<R, Failure> {
        catch_unwind(AssertUnwindSafe(|| call(&self.service))).map_err(|_| Failure::failed())
    }

    /// Runs a call that waits for the disk.
    pub async fn write<R: Send + 'static>(
        &self,
        call: impl FnOnce(&Service) -> Result<R, Failure> + Send + 'static,
    ) -> Result<R, Failure> {
        let turn = turn(&self.write).await?;
        let service = Arc::clone(&self.service);
        let running = lakehouse_trace::spawn_blocking(move || {
            // Held to the end of the call, even when the client has gone.
            let _turn = turn;
            call(&service)
        });
        running
            .await
            .unwrap_or_else(|error| Err(Failure::internal(error.to_string())))
    }
}

/// Waits for a turn, and gives up at some time.
async fn turn(turns: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Failure> {
    if let Ok(turn) = Arc::clone(turns).try_acquire_owned() {
        return Ok(turn);
    }
    let turn = Arc::clone(turns).acquire_owned();
    match tokio::time::timeout(PATIENCE, turn).await {
        Ok(Ok(turn)) => Ok(turn),
        _ => Err(Failure::busy()),
    }
}
