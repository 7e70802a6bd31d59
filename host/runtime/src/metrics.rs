//! What is counted of each plugin.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::StatusCode;
use serde::Serialize;
use thread_local::ThreadLocal;

use crate::answers::{AnswerMetrics, Answers, nanoseconds};
use crate::trap;

/// What was counted of one plugin since it was first loaded.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PluginMetrics {
    /// The plugin.
    pub plugin: String,
    /// The generation of it that serves; 0 if none does.
    pub generation: u64,
    /// HTTP requests accepted.
    pub requests: u64,
    /// Typed calls accepted.
    pub calls: u64,
    /// HTTP requests answered, and the time of each from its arrival to the end of the
    /// body. One that the plugin failed, or had no place for, is answered in its stead
    /// with 5xx.
    pub answers: AnswerMetrics,
    /// Requests and calls that ended in a trap.
    pub traps: u64,
    /// The same by what the trap was about.
    pub trap_kinds: Vec<(&'static str, u64)>,
    /// Those that ended at their deadline.
    pub timeouts: u64,
    /// Those turned away because all instances were busy.
    pub rejected: u64,
    /// Requests whose caller went away before the end.
    pub cancelled: u64,
    /// Requests and calls that run or wait now.
    pub in_flight: u64,
    /// Requests and calls that wait now.
    pub waiting: u64,
    /// Requests and calls that had to wait.
    pub waits: u64,
    /// Seconds that they waited, together.
    pub waited: f64,
    /// Instances that exist now, working and idle.
    pub instances: u64,
    /// Those that work.
    pub busy: u64,
    /// Instances made.
    pub instantiations: u64,
    /// The most bytes of linear memory that one instance ever held.
    pub memory_peak: u64,
    /// Seconds of processor time that guests computed.
    pub cpu_seconds: f64,
    /// Seconds for which guests that compute for long were held back, since short requests
    /// wanted the processors, together.
    pub held_back: f64,
    /// Whether it is left alone for now, because it kept trapping.
    pub backing_off: bool,
}

/// The counters behind [`PluginMetrics`].
#[derive(Debug, Default)]
pub(crate) struct Stats {
    answers: Answers,
    usual: ThreadLocal<Usual>,
    traps: [AtomicU64; trap::Kind::ALL.len()],
    timeouts: AtomicU64,
    rejected: AtomicU64,
    cancelled: AtomicU64,
    waits: AtomicU64,
    waited: AtomicU64,
    held_back: AtomicU64,
    instances: AtomicU64,
    memory_peak: AtomicU64,
    instantiations: AtomicU64,
}

/// What every request and call counts, by one thread: see [`Answers`].
#[derive(Debug, Default)]
#[repr(align(128))]
struct Usual {
    requests: AtomicU64,
    calls: AtomicU64,
    /// Nanoseconds of processor time.
    computed: AtomicU64,
    /// Instances that began to work here.
    begun: AtomicU64,
    /// Those that ended here, wherever they began.
    ended: AtomicU64,
}

impl Stats {
    pub(crate) fn request(&self) {
        self.usual.get_or_default().requests.fetch_add(1, Relaxed);
    }

    pub(crate) fn call(&self) {
        self.usual.get_or_default().calls.fetch_add(1, Relaxed);
    }

    /// Counts an answer; none is one that had to be made in the plugin's stead.
    pub(crate) fn answered(&self, status: Option<StatusCode>) {
        self.answers
            .answered(status.unwrap_or(StatusCode::BAD_GATEWAY));
    }

    pub(crate) fn trap(&self, kind: trap::Kind) {
        self.traps[kind as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn waited(&self, time: Duration) {
        self.waits.fetch_add(1, Relaxed);
        self.waited.fetch_add(nanoseconds(time), Relaxed);
    }

    pub(crate) fn held_back(&self, time: Duration) {
        self.held_back.fetch_add(nanoseconds(time), Relaxed);
    }

    /// An instance holds so many bytes now.
    pub(crate) fn memory(&self, held: u64) {
        self.memory_peak.fetch_max(held, Relaxed);
    }

    pub(crate) fn timeout(&self) {
        self.timeouts.fetch_add(1, Relaxed);
    }

    pub(crate) fn rejected(&self) {
        self.rejected.fetch_add(1, Relaxed);
    }

    pub(crate) fn cancelled(&self) {
        self.cancelled.fetch_add(1, Relaxed);
    }

    pub(crate) fn instance_made(&self) {
        self.instances.fetch_add(1, Relaxed);
        self.instantiations.fetch_add(1, Relaxed);
    }

    pub(crate) fn instance_gone(&self) {
        self.instances.fetch_sub(1, Relaxed);
    }

    pub(crate) fn computed(&self, time: Duration) {
        let computed = &self.usual.get_or_default().computed;
        computed.fetch_add(nanoseconds(time), Relaxed);
    }

    pub(crate) fn finished(&self, took: Duration) {
        self.answers.took(took);
    }

    /// What was counted, of a plugin with so many requests and calls under way, and so
    /// many of these waiting.
    pub(crate) fn read(
        &self,
        plugin: &str,
        in_flight: u64,
        waiting: u64,
        backing_off: bool,
    ) -> PluginMetrics {
        let trap_kinds = trap::Kind::ALL
            .map(|kind| (kind.word(), self.traps[kind as usize].load(Relaxed)))
            .to_vec();
        let usual = |of: fn(&Usual) -> &AtomicU64| -> u64 {
            self.usual.iter().map(|usual| of(usual).load(Relaxed)).sum()
        };
        // First, so that what ends meanwhile is taken for busy and not for less than idle.
        let ended = usual(|usual| &usual.ended);
        let busy = usual(|usual| &usual.begun).saturating_sub(ended);
        PluginMetrics {
            plugin: plugin.to_owned(),
            generation: 0,
            requests: usual(|usual| &usual.requests),
            calls: usual(|usual| &usual.calls),
            answers: self.answers.read(),
            traps: trap_kinds.iter().map(|(_, count)| count).sum(),
            trap_kinds,
            timeouts: self.timeouts.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            cancelled: self.cancelled.load(Relaxed),
            in_flight,
            waiting,
            waits: self.waits.load(Relaxed),
            waited: seconds(self.waited.load(Relaxed)),
            busy,
            instances: self.instances.load(Relaxed),
            instantiations: self.instantiations.load(Relaxed),
            memory_peak: self.memory_peak.load(Relaxed),
            cpu_seconds: seconds(usual(|usual| &usual.computed)),
            held_back: seconds(self.held_back.load(Relaxed)),
            backing_off,
        }
    }
}

/// An instance at work, until this drops.
#[derive(Debug)]
pub(crate) struct Busy<S: Deref<Target = Stats>>(S);

impl<S: Deref<Target = Stats>> Busy<S> {
    pub(crate) fn new(stats: S) -> Self {
        stats.usual.get_or_default().begun.fetch_add(1, Relaxed);
        Self(stats)
    }
}

impl<S: Deref<Target = Stats>> Drop for Busy<S> {
    fn drop(&mut self) {
        self.0.usual.get_or_default().ended.fetch_add(1, Relaxed);
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    Duration::from_nanos(nanoseconds).as_secs_f64()
}
