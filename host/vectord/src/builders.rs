//! The threads that build graphs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use rayon::ThreadPool;

use crate::error::{Error, Result};

/// How nice threads are that do not wait until the processors are idle, from 0 to 19:
/// searches go first.
const NICE: i32 = 10;
/// How long is waited before it is looked again whether to go on.
const PAUSE: Duration = Duration::from_millis(1);

/// The threads of one service.
#[derive(Debug)]
pub(crate) struct Builders {
    /// For graphs that last.
    lasting: Pools,
    /// For links of the newest rows.
    linking: Pools,
    /// Read while links are made.
    links: RwLock<()>,
}

/// Threads of two priorities.
#[derive(Debug)]
struct Pools {
    /// Build while the processors have nothing else to do: searches beside them are as
    /// quick as without, and where the processors are never idle they hardly go on.
    patient: ThreadPool,
    /// Do not wait for that.
    urgent: ThreadPool,
}

/// What keeps a build from going on.
#[derive(Debug)]
pub(crate) struct Halt<'a> {
    end: &'a AtomicBool,
    /// What goes first while it is locked.
    first: Option<&'a RwLock<()>>,
    patient: bool,
}

impl<'a> Halt<'a> {
    /// Ends it once that is set.
    #[cfg(test)]
    pub fn at(end: &'a AtomicBool) -> Self {
        Self {
            end,
            first: None,
            patient: false,
        }
    }

    pub fn has_ended(&self) -> bool {
        self.end.load(Ordering::Relaxed)
    }

    /// Whether to go on; waits for what goes first. To be asked often, since whoever waits
    /// for the processor gets it then.
    pub fn goes_on(&self) -> bool {
        let waits = || self.first.is_some_and(RwLock::is_locked);
        while waits() && !self.has_ended() {
            std::thread::sleep(PAUSE);
        }
        self.give_way();
        !self.has_ended()
    }

    /// Lets whoever waits for the processor go first, if the build is patient.
    ///
    /// Linux owes a thread that waits for idle processors a share of a busy one too, 0.3%
    /// beside one other thread (their weights are 3 and 1024), and pays it by the tick: one
    /// that is chosen keeps the processor for 4 ms with most systems, whoever else could
    /// run, unless it lets go by itself.
    fn give_way(&self) {
        if self.patient {
            std::thread::yield_now();
        }
    }
}

impl Builders {
    /// Starts so many threads of each kind for graphs that last, and so many for links
    /// that wait for idle processors. One is enough for those that do not.
    pub fn start(lasting: usize, linking: usize) -> Result<Self> {
        Ok(Self {
            lasting: Pools::start("build", lasting, lasting)?,
            linking: Pools::start("link", linking, 1)?,
            links: RwLock::default(),
        })
    }

    /// Builds a graph that lasts, until `end` is set; waits for processors that are idle
    /// and for links, unless it is urgent.
    pub fn build<R: Send>(
        &self,
        urgent: bool,
        end: &AtomicBool,
        build: impl FnOnce(&Halt<'_>) -> R + Send,
    ) -> R {
        let halt = Halt {
            end,
            first: (!urgent).then_some(&self.links),
            patient: !urgent,
        };
        self.lasting.of(urgent).install(|| build(&halt))
    }

    /// Builds links, until `end` is set; waits for processors that are idle, unless it is
    /// urgent.
    pub fn link<R: Send>(
        &self,
        urgent: bool,
        end: &AtomicBool,
        build: impl FnOnce(&Halt<'_>) -> R + Send,
    ) -> R {
        let _first = self.links.read();
        let halt = Halt {
            end,
            first: None,
            patient: !urgent,
        };
        self.linking.of(urgent).install(|| build(&halt))
    }
}

impl Pools {
    fn start(name: &'static str, patient: usize, urgent: usize) -> Result<Self> {
        let pool = |kind: &'static str, threads: usize, begin: fn()| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(move |i| format!("vec-{name}-{kind}-{i}"))
                .start_handler(move |_| begin())
                .build()
                .map_err(|e| Error::internal(format!("starting threads: {e}")))
        };
        Ok(Self {
            patient: pool("idle", patient, wait_for_idle)?,
            urgent: pool("now", urgent, step_back)?,
        })
    }

    fn of(&self, urgent: bool) -> &ThreadPool {
        if urgent { &self.urgent } else { &self.patient }
    }
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
