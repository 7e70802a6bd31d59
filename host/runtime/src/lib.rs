//! The plugin runtime: load, check, link, limit, pool and call WebAssembly components.
//!
//! It knows nothing of lakehouses. A [`Runtime`] holds plugins, each a component with
//! what its [`PluginSpec`] says. A component is staged ([`Runtime::stage`]), tried out
//! ([`Staged`]), and then serves in the place of the one of its name
//! ([`Runtime::swap`]), whose requests under way are finished ([`Retired`]). What a component may import beside
//! WASI comes from [`Capability`]s and must be granted. Two things can be asked of a
//! plugin: to answer an HTTP request ([`Runtime::handle`]) and to run a typed export
//! ([`Runtime::call`]). What else a component imports, other plugins may export: they
//! are connected while they run.
//!
//! What holds for both, whatever a guest does:
//!
//! - One request at a time runs in an instance, so a trap costs one request.
//! - A request ends at its deadline, a spinning guest included: guests yield on every
//!   epoch tick, and the store of one that is over its time is dropped. One that is
//!   compiled without ticks is made to trap.
//! - A caller that goes away takes its guest with it.
//! - Memory is bounded for each instance and over all of them; a refused growth is a
//!   failed `memory.grow` in the guest. What else a guest can take up has a limit too
//!   ([`Limits`]), and whoever meets one is told its name.
//! - A plugin that does nothing but trap is left alone for longer and longer.

mod admission;
mod alarm;
mod answers;
mod artifact;
mod backoff;
mod body;
mod cache;
mod callers;
mod capability;
mod check;
mod clock;
mod compile;
mod direct;
mod engine;
mod engines;
mod error;
mod hooks;
mod inspect;
mod lane;
mod limiter;
mod load;
mod metrics;
mod outbound;
mod output;
mod peer;
mod plugin;
mod pool;
mod preempt;
mod priority;
mod quota;
mod runtime;
mod shelf;
mod spec;
mod staged;
mod stamp;
mod state;
mod status;
mod throttle;
mod tick;
mod ticket;
mod trap;
mod trial;
mod usage;
mod variable;
mod version;
mod worker;

pub use answers::{AnswerMetrics, Answers, LATENCY_BUCKETS, STATUS_CLASSES};
pub use artifact::{Artifact, Digests};
pub use backoff::BackoffStatus;
pub use body::{Body, BodyError};
pub use callers::Callers;
pub use capability::{Capability, Extensions};
pub use clock::Clock;
pub use error::{CallError, Error, Refusal, Step};
pub use inspect::{Import, Inspection, Provider};
pub use lakehouse_trace::Cause;
pub use metrics::PluginMetrics;
pub use priority::come_first;
pub use runtime::Runtime;
pub use spec::{Code, Limits, PluginSpec, RuntimeConfig};
pub use staged::{Retired, Staged, Swapped, Watch};
pub use stamp::Stamp;
pub use state::{CallContext, State};
pub use status::{PluginState, PluginStatus};
pub use trial::Verdict;
pub use variable::Variable;
