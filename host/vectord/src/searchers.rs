//! The threads that search.
//!
//! They sleep while nothing is asked. rayon's would yield for a while before that; beside
//! threads that build while the processors have nothing else to do, one that yielded goes
//! on at the scheduler's next tick, which is later than most searches end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use parking_lot::Mutex;

use crate::error::{Error, Result};

type Job = Box<dyn FnOnce() + Send>;

/// Threads that end once this is dropped.
#[derive(Debug)]
pub(crate) struct Searchers {
    jobs: mpsc::Sender<Job>,
    threads: usize,
}

/// Calls that are made once each, by whoever comes.
struct Share<F> {
    next: AtomicUsize,
    count: usize,
    call: F,
}

impl Searchers {
    /// Starts so many threads.
    pub fn start(threads: usize) -> Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..threads {
            let queue = Arc::clone(&queue);
            thread::Builder::new()
                .name(format!("vectord-search-{number}"))
                .spawn(move || work(&queue))
                .map_err(|e| Error::internal(format!("starting threads: {e}")))?;
        }
        Ok(Self { jobs, threads })
    }

    /// Runs a job on one of them. One that panics ends there, and is logged.
    pub fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        if self.jobs.send(Box::new(job)).is_err() {
            tracing::error!("the threads that search have ended");
        }
    }

    /// What `call` makes of each number below `count`, in their order: on this thread, one
    /// of them or not, and on others as they come to it.
    pub fn map<R: Send + 'static>(
        &self,
        count: usize,
        call: impl Fn(usize) -> R + Send + Sync + 'static,
    ) -> Result<Vec<R>> {
        let next = AtomicUsize::new(0);
        let share = Arc::new(Share { next, count, call });
        let (give, given) = mpsc::channel();
        for _ in 1..self.threads.min(count) {
            let (share, give) = (Arc::clone(&share), give.clone());
            self.spawn(move || share.take_part(&give));
        }
        share.take_part(&give);
        drop(give);
        let mut results: Vec<_> = (0..count).map(|_| None).collect();
        // Whoever comes too late to take part is not waited for.
        for _ in 0..count {
            let failed = |_| Error::internal("a search failed; see the log");
            let (number, result) = given.recv().map_err(failed)?;
            results[number] = Some(result);
        }
        Ok(results.into_iter().flatten().collect())
    }
}

impl<F> Share<F> {
    /// Makes calls until none is left.
    fn take_part<R>(&self, give: &mpsc::Sender<(usize, R)>)
    where
        F: Fn(usize) -> R,
    {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.count || give.send((number, (self.call)(number))).is_err() {
                return;
            }
        }
    }
}

fn work(queue: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        // One waits for a job, the others for their turn to.
        let job = queue.lock().recv();
        let Ok(job) = job else { return };
        // Whoever asked learns of it by what is missing.
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a search panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Barrier;
    use std::thread::ThreadId;

    use super::*;

    #[test]
    fn each_is_called_once_and_answered_in_order() {
        for threads in [1, 2, 5] {
            let searchers = Searchers::start(threads).unwrap();
            for count in [0, 1, 2, 100] {
                let doubled = searchers.map(count, |number| 2 * number).unwrap();
                let wanted: Vec<_> = (0..count).map(|number| 2 * number).collect();
                assert_eq!(doubled, wanted);
            }
        }
    }

    #[test]
    fn all_threads_share_the_work() {
        const THREADS: usize = 3;
        let searchers = Searchers::start(THREADS).unwrap();
        let all_there = Barrier::new(THREADS);
        let on = searchers.map(THREADS, move |_| {
            all_there.wait();
            thread::current().id()
        });
        let on: HashSet<ThreadId> = on.unwrap().into_iter().collect();
        assert_eq!(on.len(), THREADS);
        assert!(on.contains(&thread::current().id()));
    }

    #[test]
    fn a_panic_fails_its_own_call_alone() {
        let searchers = Searchers::start(2).unwrap();
        let asking = thread::current().id();
        let both_there = Barrier::new(2);
        let failed = searchers.map(2, move |_| {
            both_there.wait();
            assert_eq!(thread::current().id(), asking, "on purpose");
        });
        assert!(failed.unwrap_err().to_string().contains("see the log"));
        assert_eq!(searchers.map(2, |number| number).unwrap(), [0, 1]);
    }

    #[test]
    fn a_job_that_shares_what_it_does_needs_no_other_thread() {
        let searchers = Arc::new(Searchers::start(2).unwrap());
        let (give, given) = mpsc::channel();
        // As many as there are threads, each of which asks for another one's help.
        for _ in 0..2 {
            let (inner, give) = (Arc::clone(&searchers), give.clone());
            searchers.spawn(move || give.send(inner.map(100, |number| number)).unwrap());
        }
        let wanted: Vec<_> = (0..100).collect();
        for _ in 0..2 {
            assert_eq!(given.recv().unwrap().unwrap(), wanted);
        }
    }
}
