//! The threads that compile: at low priority, so that requests go first.

use rayon::ThreadPool;

use crate::Error;

/// How far below others they stand, as `nice` counts.
const NICENESS: i32 = 5;

/// Threads for compiling alone, one a core.
#[derive(Debug)]
pub(crate) struct Compilers(ThreadPool);

impl Compilers {
    pub(crate) fn new() -> Result<Self, Error> {
        rayon::ThreadPoolBuilder::new()
            .thread_name(|at| format!("plugin-compile-{at}"))
            .start_handler(|_| {
                // Without a process id it is the calling thread that steps back.
                if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
                    tracing::debug!(%error, "compiling keeps the priority of requests");
                }
            })
            .build()
            .map(Self)
            .map_err(|error| Error::Engine(format!("no threads to compile with: {error}")))
    }

    /// Runs `f` on one of them; what it does in parallel stays on them too.
    pub(crate) fn run<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        self.0.install(f)
    }
}
