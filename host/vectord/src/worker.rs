//! The background thread that seals and merges, and its queue.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use rayon::ThreadPool;

use crate::error::{Error, Result};
use crate::index::Index;

/// The queue of one service, and the threads that build graphs.
#[derive(Debug)]
pub(crate) struct Worker {
    queue: Mutex<Queue>,
    /// Told when the queue or `busy` changes.
    changed: Condvar,
    stop: AtomicBool,
    pub builders: ThreadPool,
}

#[derive(Debug, Default)]
struct Queue {
    indexes: VecDeque<Weak<Index>>,
    busy: bool,
}

impl Worker {
    /// Starts the thread; graphs are built by `threads` of their own.
    pub fn start(threads: usize) -> Result<(Arc<Self>, JoinHandle<()>)> {
        let builders = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("vectord-build-{i}"))
            .build()
            .map_err(|e| Error::internal(format!("starting threads: {e}")))?;
        let worker = Arc::new(Self {
            queue: Mutex::default(),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
            builders,
        });
        let running = Arc::clone(&worker);
        let thread = std::thread::Builder::new()
            .name("vectord-work".into())
            .spawn(move || running.run())
            .map_err(|e| Error::internal(format!("starting a thread: {e}")))?;
        Ok((worker, thread))
    }

    pub fn push(&self, index: Weak<Index>) {
        self.queue.lock().indexes.push_back(index);
        self.changed.notify_all();
    }

    /// Waits until nothing is queued or under way.
    pub fn settle(&self) {
        let mut queue = self.queue.lock();
        while queue.busy || !queue.indexes.is_empty() {
            self.changed.wait(&mut queue);
        }
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
                    self.changed.notify_all();
                    return;
                }
                match queue.indexes.pop_front() {
                    Some(index) => break index,
                    None => self.changed.wait(&mut queue),
                }
            };
            queue.busy = true;
            drop(queue);
            if let Some(index) = index.upgrade() {
                index.work();
            }
        }
    }
}
