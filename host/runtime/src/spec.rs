//! What the runtime and each plugin are configured with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::Variable;
use crate::limiter::TABLE_ELEMENTS;

/// One plugin as configured.
#[derive(Debug, Clone, Default)]
pub struct PluginSpec {
    /// The name it is called by, in logs and metrics too.
    pub name: String,
    /// Its number among the generations of this plugin, as the host counts them.
    pub generation: u64,
    /// The component's file.
    pub path: PathBuf,
    /// What one request and one instance may use.
    pub limits: Limits,
    /// The table `grants` of its section, as JSON: capability to what is granted of
    /// it. Null or `{}` grants nothing.
    pub grants: serde_json::Value,
    /// What the guest reads through `wasi:config/store`.
    pub config: BTreeMap<String, Variable>,
    /// The guest's environment variables, all of them.
    pub env: BTreeMap<String, Variable>,
    /// Host folder that the guest sees as `/tmp`, emptied when the plugin is first
    /// loaded; none leaves the guest without a file system.
    pub scratch: Option<PathBuf>,
    /// Its requests compute for long: each begins on a thread of its own, and its code is
    /// compiled to compute without a pause where that can be done (`wasi:http` 0.2, Linux
    /// on x86-64). Its limits hold all the same.
    pub heavy: bool,
    /// What it runs on if it was never compiled.
    pub code: Code,
}

/// What a component runs on that was never compiled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Code {
    /// Code that is compiled as well as can be.
    #[default]
    Best,
    /// Code that is compiled in a fraction of the time and runs slower, where there is
    /// a compiler for such (x86-64), the component has no use for WASI 0.3, and it is
    /// large enough for the difference to be felt.
    Draft,
    /// The best, compiled after whatever somebody waits for: a draft serves meanwhile.
    Better,
}

/// What one plugin may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory an instance may hold, over all its memories.
    pub memory: u64,
    /// Elements that the tables of an instance may have together.
    pub table_elements: usize,
    /// Host objects (streams, pollables, ..) that an instance may hold at once.
    pub handles: usize,
    /// Bytes that a guest may hand to the host in one call.
    pub hostcall: usize,
    /// Processor time of one request or call. Waiting for the host does not count, nor
    /// does what other plugins compute for it.
    pub cpu: Duration,
    /// Wall clock from a request's arrival to the last byte of its response.
    pub deadline: Duration,
    /// Requests at once; typed calls are counted by themselves, to the same number.
    pub concurrency: usize,
    /// Requests that may wait when `concurrency` is reached; more are turned away.
    pub queue: usize,
    /// The longest that one of them waits.
    pub queue_wait: Duration,
    /// Bytes of one response's body.
    pub response: u64,
    /// Bytes that a guest may log for one request; more are left out.
    pub log: u64,
    /// Requests an instance serves before it is thrown away; 0 or 1 makes a fresh
    /// instance for each.
    pub reuse: u32,
    /// How long an instance is kept without work.
    pub idle: Duration,
    /// Instances that are kept ready, however long they idle.
    pub min_pool: usize,
    /// Instances that are kept without work at most.
    pub max_pool: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 512 << 20,
            table_elements: TABLE_ELEMENTS,
            handles: 10_000,
            hostcall: 32 << 20,
            cpu: Duration::from_secs(10),
            deadline: Duration::from_secs(60),
            concurrency: 64,
            queue: 256,
            queue_wait: Duration::from_secs(10),
            response: 1 << 30,
            log: 256 << 10,
            reuse: 512,
            idle: Duration::from_secs(30),
            min_pool: 0,
            max_pool: 64,
        }
    }
}

/// What all plugins share.
#[derive(Debug, Clone)]
pub struct RuntimeConfig {
    /// Folder for compiled code; made if it is not there. Whoever can write to it can
    /// run code in this process: it must belong to the host alone.
    pub cache_dir: PathBuf,
    /// Bytes of compiled code kept there; beyond, what was used longest ago goes.
    pub cache_size: u64,
    /// Instances of all plugins together, running and idle.
    pub instances: u32,
    /// Bytes of linear memory of all instances together.
    pub total_memory: u64,
    /// Bytes of stack that WebAssembly code may use; deeper recursion traps.
    pub stack: usize,
    /// How often running guests are made to give way to others.
    pub tick: Duration,
    /// The longest that the first instance of a staged plugin may take to start; its
    /// deadline holds too.
    pub start: Duration,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            cache_dir: PathBuf::from("data/cache"),
            cache_size: 2 << 30,
            instances: 1000,
            total_memory: 16 << 30,
            stack: 8 << 20,
            tick: Duration::from_millis(2),
            start: Duration::from_secs(10),
        }
    }
}
