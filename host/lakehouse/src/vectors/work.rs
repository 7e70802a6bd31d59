//! Running calls of the service off the async threads.

use std::sync::Arc;
use std::time::Duration;

use lakehouse_vectord::Service;
use tokio::sync::Semaphore;

use super::answer::Failure;

/// Writes under way at once: they mostly wait for one flush together.
const WRITES: usize = 64;
/// How long a call waits for its turn.
const PATIENCE: Duration = Duration::from_secs(30);

/// The service, and how many calls of it may run at once.
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
            compute: Arc::new(Semaphore::new(processors)),
            write: Arc::new(Semaphore::new(WRITES)),
        }
    }

    /// Runs a call that computes: as many at once as there are processors.
    pub async fn compute<R: Send + 'static>(
        &self,
        call: impl FnOnce(&Service) -> Result<R, Failure> + Send + 'static,
    ) -> Result<R, Failure> {
        self.run(&self.compute, call).await
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
        let turn = Arc::clone(turns).acquire_owned();
        let Ok(Ok(turn)) = tokio::time::timeout(PATIENCE, turn).await else {
            return Err(Failure::busy());
        };
        let service = Arc::clone(&self.service);
        let running = tokio::task::spawn_blocking(move || {
            // Held to the end of the call, even when the client has gone.
            let _turn = turn;
            call(&service)
        });
        running
            .await
            .unwrap_or_else(|error| Err(Failure::internal(error.to_string())))
    }
}
