//! The threads that build graphs.

use std::cell::Cell;
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
/// Small steps after which it is time to give way: some ten microseconds.
const STEPS: usize = 64;

thread_local! {
    /// Whether the thread has the processor where no other wants it.
    static IS_PATIENT: Cell<bool> = const { Cell::new(false) };
}

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
}

impl<'a> Halt<'a> {
    /// Ends it once that is set.
    pub fn at(end: &'a AtomicBool) -> Self {
        Self { end, first: None }
    }

    pub fn has_ended(&self) -> bool {
        self.end.load(Ordering::Relaxed)
    }

    /// Whether to go on; waits for what goes first, and gives way.
    pub fn goes_on(&self) -> bool {
        let waits = || self.first.is_some_and(RwLock::is_locked);
        while waits() && !self.has_ended() {
            std::thread::sleep(PAUSE);
        }
        give_way();
        !self.has_ended()
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
        let first = (!urgent).then_some(&self.links);
        let halt = Halt { end, first };
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
        self.linking.of(urgent).install(|| build(&Halt::at(end)))
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

/// Lets whoever waits for the processor go first, if the calling thread is patient. It is to
/// do so often.
///
/// Linux owes a thread that waits for idle processors a share of a busy one too, 0.3% beside
/// one other thread (their weights are 3 and 1024), and pays it by the tick: one that is
/// chosen keeps the processor for 4 ms with most systems, whoever else could run, unless it
/// lets go by itself.
pub(crate) fn give_way() {
    if IS_PATIENT.get() {
        std::thread::yield_now();
    }
}

/// Small steps, between which the calling thread gives way now and then.
pub(crate) fn giving_way<I: IntoIterator>(steps: I) -> impl Iterator<Item = I::Item> {
    (0..).zip(steps).map(|(number, step): (usize, _)| {
        give_way_at(number);
        step
    })
}

/// Gives way if it is time to before the step of that number.
pub(crate) fn give_way_at(step: usize) {
    if step.is_multiple_of(STEPS) {
        give_way();
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
        return step_back();
    }
    IS_PATIENT.set(true);
}

#[cfg(not(target_os = "linux"))]
fn wait_for_idle() {
    step_back();
}
