//! Instances that wait for work: the one that a thread used last is the first to get some
//! of it, and those that idle for too long are let go.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, ThreadId};
use std::time::Instant;

use parking_lot::Mutex;
use wasmtime::Store;

use crate::limiter::Idle;
use crate::plugin::Shared;
use crate::state::{CallContext, State};

/// An instance and what it has done so far.
pub(crate) struct Warm<I> {
    pub(crate) store: Store<State>,
    pub(crate) instance: I,
    served: u32,
    since: Instant,
    /// What it worked on last.
    thread: ThreadId,
    _alive: Alive,
}

impl<I> Warm<I> {
    /// A request or call begins.
    pub(crate) fn begin(&mut self, context: CallContext) {
        self.store.data_mut().set_context(context);
        // The ticks of the time in which it idled are none of this one's: it would give
        // way at once.
        self.store.set_epoch_deadline(1);
    }
}

/// Counts an instance as long as it lives.
struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The instances of one plugin that wait for work of one kind.
pub(crate) struct Shelf<I> {
    shared: Arc<Shared>,
    /// Instances there are, idle and working.
    alive: Arc<AtomicUsize>,
    idle: Mutex<Waiting<I>>,
}

struct Waiting<I> {
    /// The one used last is the last.
    instances: Vec<Warm<I>>,
    /// A task looks after those that idle too long.
    swept: bool,
}

impl<I: Send + 'static> Shelf<I> {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            alive: Arc::default(),
            idle: Mutex::new(Waiting {
                instances: Vec::new(),
                swept: false,
            }),
        }
    }

    /// A new instance, which has done nothing yet.
    pub(crate) fn warm(&self, store: Store<State>, instance: I) -> Warm<I> {
        self.alive.fetch_add(1, Ordering::Relaxed);
        Warm {
            store,
            instance,
            served: 0,
            since: Instant::now(),
            thread: thread::current().id(),
            _alive: Alive(Arc::clone(&self.alive)),
        }
    }

    /// The one that this thread used last, which is in its processor's cache, or else the
    /// one that any did.
    pub(crate) fn take(&self) -> Option<Warm<I>> {
        let here = thread::current().id();
        let instances = &mut self.idle.lock().instances;
        match instances.iter().rposition(|warm| warm.thread == here) {
            Some(at) => Some(instances.remove(at)),
            None => instances.pop(),
        }
    }

    /// Takes one back that has served once more, unless it is used up.
    pub(crate) fn put(self: &Arc<Self>, mut warm: Warm<I>) {
        warm.served += 1;
        if warm.served < self.shared.spec.limits.reuse {
            warm.store.data_mut().set_context(CallContext::default());
            self.keep(warm);
        }
    }

    /// Keeps one for the next request, unless there are enough.
    pub(crate) fn keep(self: &Arc<Self>, mut warm: Warm<I>) {
        warm.since = Instant::now();
        warm.thread = thread::current().id();
        let limits = &self.shared.spec.limits;
        let most = limits.max_pool.max(limits.min_pool);
        let mut idle = self.idle.lock();
        // Under the lock: `clear` comes after the plugin was closed and takes it too.
        if self.shared.is_closed() || idle.instances.len() >= most {
            drop(idle);
            return;
        }
        idle.instances.push(warm);
        if !idle.swept && idle.instances.len() > limits.min_pool {
            idle.swept = true;
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Makes the instances that are missing of those that are to be there always.
    pub(crate) async fn fill<F>(self: &Arc<Self>, make: impl Fn() -> F) -> wasmtime::Result<()>
    where
        F: Future<Output = wasmtime::Result<Warm<I>>>,
    {
        while self.missing() > 0 {
            self.keep(self.shared.ahead(make()).await?);
        }
        Ok(())
    }

    fn missing(&self) -> usize {
        if self.shared.is_closed() {
            return 0;
        }
        let alive = self.alive.load(Ordering::Relaxed);
        self.shared.spec.limits.min_pool.saturating_sub(alive)
    }

    /// Lets go of all that wait.
    pub(crate) fn clear(&self) {
        self.evict();
    }

    /// Takes out those that have idled for too long. None when no more need be looked
    /// after.
    fn old(&self) -> Option<Vec<Warm<I>>> {
        let limits = &self.shared.spec.limits;
        let mut idle = self.idle.lock();
        let spare = idle.instances.len().saturating_sub(limits.min_pool);
        if spare == 0 {
            idle.swept = false;
            return None;
        }
        // Those used longest ago come first.
        let old = idle.instances[..spare]
            .iter()
            .take_while(|warm| warm.since.elapsed() >= limits.idle)
            .count();
        Some(idle.instances.drain(..old).collect())
    }
}

impl<I: Send + 'static> Idle for Shelf<I> {
    fn evict(&self) -> bool {
        // Dropped without the lock: an instance takes its time to go.
        let idle = std::mem::take(&mut self.idle.lock().instances);
        !idle.is_empty()
    }
}

/// Drops instances that have idled for too long, until none is left that may.
async fn sweep<I: Send + 'static>(shelf: Weak<Shelf<I>>) {
    loop {
        let Some(idle) = shelf.upgrade().map(|shelf| shelf.shared.spec.limits.idle) else {
            return;
        };
        tokio::time::sleep(idle).await;
        let Some(shelf) = shelf.upgrade() else { return };
        match shelf.old() {
            Some(old) => drop(old),
            None => return,
        }
    }
}
