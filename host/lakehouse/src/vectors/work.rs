//! Running calls of the service, most of them off the async threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use lakehouse_vectord::Service;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Failure;

/// Writes under way at once: they mostly wait for one flush together.
const WRITES: usize = 64;
/// Calls that compute under way at once, beyond one for each processor: so that none is
/// idle while one call's answer is handed over and the next one's turn comes.
const MORE_COMPUTES: usize = 1;
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
            compute: Arc::new(Semaphore::new(processors + MORE_COMPUTES)),
            write: Arc::new(Semaphore::new(WRITES)),
        }
    }

    /// Runs a call that computes.
    pub async fn compute<R: Send + 'static>(
        &self,
        call: impl FnOnce(&Service) -> Result<R, Failure> + Send + 'static,
    ) -> Result<R, Failure> {
        self.run(&self.compute, call).await
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
        self.run(&self.write, call).await
    }

    async fn run<R: Send + 'static>(
        &self,
        turns: &Arc<Semaphore>,
        call: impl FnOnce(&Service) -> Result<R, Failure> + Send + 'static,
    ) -> Result<R, Failure> {
        let turn = turn(turns).await?;
        let service = Arc::clone(&self.service);
        let running = lakehouse_trace::spawn_blocking(move || {
            // Held to the end of the call, even when the client has gone.
            let _turn = turn;
            call(&service)
        });
        running.await.unwrap_or_else(|_| Err(Failure::failed()))
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
