//! The threads that build graphs.

use rayon::ThreadPool;

use crate::error::{Error, Result};

/// How nice threads are that do not wait until the processors are idle, from 0 to 19:
/// searches go first.
const NICE: i32 = 10;

/// The threads of one service.
#[derive(Debug)]
pub(crate) struct Builders {
    /// Build while the processors have nothing else to do: searches beside them are as
    /// quick as without, and where the processors are never idle they hardly go on.
    pub patient: ThreadPool,
    /// Build what cannot wait for that.
    pub urgent: ThreadPool,
    /// One, which links the newest rows.
    pub linking: ThreadPool,
}

impl Builders {
    /// Starts so many threads for graphs that last.
    pub fn start(threads: usize) -> Result<Self> {
        Ok(Self {
            patient: pool("idle", threads, wait_for_idle)?,
            urgent: pool("build", threads, step_back)?,
            linking: pool("link", 1, step_back)?,
        })
    }
}

fn pool(name: &'static str, threads: usize, begin: fn()) -> Result<ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(move |i| format!("vectord-{name}-{i}"))
        .start_handler(move |_| begin())
        .build()
        .map_err(|e| Error::internal(format!("starting threads: {e}")))
}

/// Gives the calling thread less of the processor where others want it too.
pub(crate) fn step_back() {
    // Without a process id it is the calling thread that is meant.
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "building keeps the priority of searches");
    }
}

/// Gives the calling thread the processor where no other wants it. The scheduler puts a
/// thread that wakes there at once, which it does not where one runs that is just nice.
#[cfg(target_os = "linux")]
fn wait_for_idle() {
    let priority = libc::sched_param { sched_priority: 0 };
    // SAFETY: it reads the priority, which lives until it returns; 0 is the calling thread.
    let failed = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &priority) } != 0;
    if failed {
        let error = std::io::Error::last_os_error();
        tracing::debug!(%error, "building does not wait for idle processors");
        step_back();
    }
}

#[cfg(not(target_os = "linux"))]
fn wait_for_idle() {
    step_back();
}
