//! What a request caused: its id in log lines, and its part of a trace.
//!
//! A [`Cause`] goes with a request wherever its work goes: through tasks by
//! [`scope`] and [`spawn`], into closures by [`enter`], into plugins and between them in
//! what a call inherits. Log lines are written with the [`current`] one.
//!
//! A [`Trace`] is a W3C trace context, read from a request's headers by [`extract`] and
//! handed on by [`Trace::inject`]. [`Span`]s are recorded when [`install`] named who
//! collects them; until then starting one is a look at a flag, and trace contexts are
//! passed through as they came.

mod cause;
mod context;
mod span;

pub use cause::{Cause, current, enter, scope, spawn, spawn_blocking};
pub use context::{TRACEPARENT, TRACERESPONSE, TRACESTATE, Trace, extract};
pub use opentelemetry::Value;
pub use span::{Kind, Span, install};
