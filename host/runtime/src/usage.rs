//! What the threads have of the processors that bring requests.

use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use parking_lot::Mutex;

/// What Linux counts of the thread that opens it: nanoseconds on a processor, nanoseconds
/// ready for one and waiting, and how often it got one (`scheduler/sched-stats.rst` of the
/// kernel's documentation).
const SCHEDSTAT: &str = "/proc/thread-self/schedstat";

/// One for each thread that is watched. They are the process's, and so is this.
static WATCHED: Mutex<Vec<File>> = Mutex::new(Vec::new());

thread_local! {
    static IS_WATCHED: Cell<bool> = const { Cell::new(false) };
}

/// What all threads that are watched had together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) threads: u32,
    /// On a processor.
    pub(crate) ran: Duration,
    /// Ready for one, which others had.
    pub(crate) waited: Duration,
}

/// Watches the calling thread from now on. Where the system does not tell, it is as if it
/// were never there.
#[inline]
pub(crate) fn watch() {
    if !IS_WATCHED.replace(true)
        && let Ok(schedstat) = File::open(SCHEDSTAT)
    {
        WATCHED.lock().push(schedstat);
    }
}

impl Usage {
    /// As of now.
    pub(crate) fn now() -> Self {
        let mut all = Self::default();
        // The figures of a thread that has ended are gone with it.
        WATCHED.lock().retain(|thread| match read(thread) {
            Some((ran, waited)) => {
                all.threads += 1;
                all.ran += ran;
                all.waited += waited;
                true
            }
            None => false,
        });
        all
    }

    /// All but this much time on a processor.
    pub(crate) fn without(self, ran: Duration) -> Self {
        Self {
            ran: self.ran.saturating_sub(ran),
            ..self
        }
    }

    /// What was had since.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            threads: self.threads,
            ran: self.ran.saturating_sub(before.ran),
            waited: self.waited.saturating_sub(before.waited),
        }
    }
}

fn read(schedstat: &File) -> Option<(Duration, Duration)> {
    let mut text = [0; 64];
    let length = schedstat.read_at(&mut text, 0).ok()?;
    let text = std::str::from_utf8(&text[..length]).ok()?;
    let mut figures = text.split_ascii_whitespace();
    let mut next = || figures.next()?.parse().ok().map(Duration::from_nanos);
    Some((next()?, next()?))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::thread;

    use cpu_time::ThreadTime;

    use super::*;

    #[test]
    fn threads_are_watched_until_they_end() {
        let (before, after) = thread::scope(|scope| {
            let watched = scope.spawn(|| {
                watch();
                watch();
                let (before, begun) = (Usage::now(), ThreadTime::now());
                while begun.elapsed() < Duration::from_millis(30) {
                    std::hint::spin_loop();
                }
                (before, Usage::now())
            });
            watched.join().unwrap()
        });
        assert_eq!((before.threads, after.threads), (1, 1));
        let ran = after.since(before).ran;
        // The last tick of the system may be missing.
        assert!(ran >= Duration::from_millis(10), "{ran:?}");
        while Usage::now().threads > 0 {
            thread::yield_now();
        }
    }
}
