//! Where log lines go and how they look.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt;
use std::io::{self, IsTerminal};
use std::panic::PanicHookInfo;

use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Full, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::config::{ConfigError, Log, LogFormat};

/// Sends log lines to standard error from now on.
///
/// # Errors
/// If the filter does not parse.
pub fn start(log: &Log) -> Result<(), ConfigError> {
    // Ahead of the user's own words, which may ask for it: the graph library
    // tells of every graph at the level of what matters to people.
    let directives = format!("hnsw_rs=warn,{}", log.filter);
    let filter =
        EnvFilter::try_new(directives).map_err(|error| ConfigError::key("log.filter", error))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    let terminal = io::stderr().is_terminal();
    match log.format {
        LogFormat::Text => builder.event_format(Caused::text(terminal)).init(),
        LogFormat::Auto if terminal => builder.event_format(Caused::text(true)).init(),
        LogFormat::Auto | LogFormat::Json => builder
            .event_format(Caused::json())
            .fmt_fields(JsonFields::new())
            .init(),
    }
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// A panic is a line like others, with the request that caused it.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    let location = panic.location().map(ToString::to_string);
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
    tracing::error!(
        location,
        backtrace = backtrace.as_ref().map(tracing::field::display),
        "the host failed: {message}"
    );
}

/// Lines as they are, with the request that caused them.
struct Caused<F> {
    inner: Format<F>,
    /// How fields are added at the end.
    style: Style,
}

#[derive(Clone, Copy)]
enum Style {
    Text,
    Json,
}

impl Caused<Full> {
    fn text(colours: bool) -> Self {
        Self {
            inner: Format::default().with_ansi(colours),
            style: Style::Text,
        }
    }
}

impl Caused<Json> {
    fn json() -> Self {
        Self {
            inner: Format::default().json().flatten_event(true),
            style: Style::Json,
        }
    }
}

impl<S, N, F> FormatEvent<S, N> for Caused<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    Format<F>: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(cause) = lakehouse_trace::current() else {
            return self.inner.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.inner
            .format_event(context, Writer::new(&mut line), event)?;
        let line = line.trim_end();
        let (start, end) = match self.style {
            Style::Text => (line, ""),
            Style::Json => (line.strip_suffix('}').unwrap_or(line), "}"),
        };
        writer.write_str(start)?;
        // Neither needs escaping: what an id may be was checked when it came.
        self.add(&mut writer, "request_id", &*cause.request_id)?;
        if let Some(trace) = &cause.trace {
            self.add(&mut writer, "trace_id", trace.trace_id())?;
            self.add(&mut writer, "span_id", trace.span_id())?;
        }
        writeln!(writer, "{end}")
    }
}

impl<F> Caused<F> {
    fn add(&self, writer: &mut Writer<'_>, name: &str, value: impl fmt::Display) -> fmt::Result {
        match self.style {
            Style::Text => write!(writer, " {name}={value}"),
            Style::Json => write!(writer, r#","{name}":"{value}""#),
        }
    }
}
