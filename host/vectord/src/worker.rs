//! The background threads of a service, each with a queue of indexes: one seals and
//! merges, one links the newest rows.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::builders::step_back;
use crate::error::{Error, Result};
use crate::index::Index;

/// One thread, and the indexes that wait for it.
#[derive(Debug)]
pub(crate) struct Worker {
    queue: Mutex<Queue>,
    /// Told when the queue or `busy` changes.
    changed: Condvar,
    stop: AtomicBool,
    /// Does what is to be done for an index; whether it counts as being at rest.
    work: fn(&Index, bool),
}

#[derive(Debug, Default)]
struct Queue {
    indexes: VecDeque<Weak<Index>>,
    /// Indexes whose time has not come yet.
    later: Vec<(Instant, Weak<Index>)>,
    busy: bool,
    /// Threads that wait for all to be done, for which no index waits.
    settling: usize,
}

impl Queue {
    /// The next index, if the time of one has come.
    fn next(&mut self) -> Option<Weak<Index>> {
        let now = Instant::now();
        let due = |(at, _): &(Instant, Weak<Index>)| *at <= now || self.settling > 0;
        let due = self.later.iter().position(due);
        let due = due.map(|at| self.later.swap_remove(at).1);
        due.or_else(|| self.indexes.pop_front())
    }
}

impl Worker {
    /// Starts the thread.
    pub fn start(
        name: &'static str,
        work: fn(&Index, bool),
    ) -> Result<(Arc<Self>, JoinHandle<()>)> {
        let worker = Arc::new(Self {
            queue: Mutex::default(),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
            work,
        });
        let running = Arc::clone(&worker);
        let thread = std::thread::Builder::new()
            .name(format!("vectord-{name}"))
            .spawn(move || {
                step_back();
                running.run();
            })
            .map_err(|e| Error::internal(format!("starting a thread: {e}")))?;
        Ok((worker, thread))
    }

    pub fn push(&self, index: Weak<Index>) {
        self.queue.lock().indexes.push_back(index);
        self.changed.notify_all();
    }

    /// Queues an index for when some time has passed.
    pub fn push_later(&self, index: Weak<Index>, wait: Duration) {
        let mut queue = self.queue.lock();
        if !queue.later.iter().any(|(_, other)| other.ptr_eq(&index)) {
            queue.later.push((Instant::now() + wait, index));
        }
        drop(queue);
        self.changed.notify_all();
    }

    /// Waits until nothing is queued or under way. What waits for its time
    /// is done at once.
    pub fn settle(&self) {
        let mut queue = self.queue.lock();
        queue.settling += 1;
        self.changed.notify_all();
        while queue.busy || !queue.indexes.is_empty() || !queue.later.is_empty() {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            self.changed.wait(&mut queue);
        }
        queue.settling -= 1;
    }

    /// Whether anything is under way, or queued for now.
    pub fn is_busy(&self) -> bool {
        let queue = self.queue.lock();
        queue.busy || !queue.indexes.is_empty()
    }

    /// Makes the thread end after what it is at.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        // Under the lock, so that the thread cannot miss it before it waits.
        let _queue = self.queue.lock();
        self.changed.notify_all();
    }

    fn run(&self) {
        loop {
            let mut queue = self.queue.lock();
            queue.busy = false;
            self.changed.notify_all();
            let index = loop {
                if self.stop.load(Ordering::Relaxed) {
                    queue.indexes.clear();
                    queue.later.clear();
                    self.changed.notify_all();
                    return;
                }
                if let Some(index) = queue.next() {
                    break index;
                }
                match queue.later.iter().map(|(at, _)| *at).min() {
                    Some(at) => {
                        self.changed.wait_until(&mut queue, at);
                    }
                    None => self.changed.wait(&mut queue),
                }
            };
            let settling = queue.settling > 0;
            queue.busy = true;
            drop(queue);
            if let Some(index) = index.upgrade() {
                (self.work)(&index, settling);
            }
        }
    }
}
