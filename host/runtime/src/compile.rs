//! The threads that compile: at low priority, so that requests go first, and what nobody
//! waits for after what somebody does.

use rayon::ThreadPool;

use crate::priority::step_back;
use crate::{Code, Error};

/// How far below others they stand, as `nice` counts.
const NICENESS: i32 = 5;
/// The same where nobody waits.
const PATIENCE: i32 = 10;

/// Threads for compiling alone, one a core for either kind of work.
#[derive(Debug)]
pub(crate) struct Compilers {
    awaited: ThreadPool,
    patient: ThreadPool,
}

impl Compilers {
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self {
            awaited: threads("plugin-compile", NICENESS)?,
            patient: threads("plugin-refine", PATIENCE)?,
        })
    }

    /// Runs `f` on one of them; what it does in parallel stays on them too.
    pub(crate) fn run<R: Send>(&self, code: Code, f: impl FnOnce() -> R + Send) -> R {
        match code {
            Code::Best | Code::Draft => self.awaited.install(f),
            Code::Better => self.patient.install(f),
        }
    }
}

fn threads(name: &'static str, niceness: i32) -> Result<ThreadPool, Error> {
    rayon::ThreadPoolBuilder::new()
        .thread_name(move |at| format!("{name}-{at}"))
        .start_handler(move |_| step_back(niceness))
        .build()
        .map_err(|error| Error::Engine(format!("no threads to compile with: {error}")))
}
