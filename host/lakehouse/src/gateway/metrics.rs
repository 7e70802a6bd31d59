//! `/metrics`, in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;

use lakehouse_runtime::{
    AnswerMetrics, Answers, LATENCY_BUCKETS, PluginMetrics, Runtime, STATUS_CLASSES,
};
use parking_lot::Mutex;
use prometheus::{Encoder, Registry, TextEncoder};

/// Counters of the gateway: the answers of each route, and the time of each from a
/// request's head to the answer's.
pub struct Metrics {
    routes: Mutex<BTreeMap<String, Arc<Answers>>>,
    /// Operation routes and paths that nobody serves.
    pub other: Arc<Answers>,
}

impl Metrics {
    /// Nothing was counted yet.
    pub fn new() -> Self {
        let other = Arc::<Answers>::default();
        Self {
            routes: Mutex::new(BTreeMap::from([("other".to_owned(), Arc::clone(&other))])),
            other,
        }
    }

    /// The counters of one route.
    pub fn route(&self, name: &str) -> Arc<Answers> {
        let mut routes = self.routes.lock();
        Arc::clone(routes.entry(name.to_owned()).or_default())
    }

    fn read(&self) -> Vec<(String, AnswerMetrics)> {
        let routes = self.routes.lock();
        let read = |(name, answers): (&String, &Arc<Answers>)| (name.clone(), answers.read());
        routes.iter().map(read).collect()
    }
}

/// Everything: the registry, the routes, the plugins, the process.
pub fn render(registry: &Registry, metrics: &Metrics, runtime: &Runtime) -> String {
    let mut text = Vec::new();
    if let Err(error) = TextEncoder::new().encode(&registry.gather(), &mut text) {
        tracing::error!(%error, "cannot encode metrics");
    }
    let mut text = String::from_utf8_lossy(&text).into_owned();
    routes(&mut text, &metrics.read());
    plugins(&mut text, &runtime.metrics());
    single(
        &mut text,
        "lakehouse_plugins_memory_bytes",
        "Linear memory of all instances.",
        runtime.memory(),
    );
    if let Some(bytes) = resident() {
        single(
            &mut text,
            "process_resident_memory_bytes",
            "Resident memory of the process.",
            bytes,
        );
    }
    text
}

fn single(text: &mut String, name: &str, help: &str, value: u64) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}"
    );
}

/// A number of each plugin: its metric's name, type, help, and how to read it.
type Column = (
    &'static str,
    &'static str,
    &'static str,
    fn(&PluginMetrics) -> f64,
);

const COLUMNS: [Column; 15] = [
    (
        "lakehouse_plugin_generation",
        "gauge",
        "The generation that serves; 0 if none does.",
        |m| m.generation as f64,
    ),
    (
        "lakehouse_plugin_requests_total",
        "counter",
        "HTTP requests that a plugin took.",
        |m| m.requests as f64,
    ),
    (
        "lakehouse_plugin_calls_total",
        "counter",
        "Typed calls that a plugin took.",
        |m| m.calls as f64,
    ),
    (
        "lakehouse_plugin_timeouts_total",
        "counter",
        "Requests and calls that ended at their deadline.",
        |m| m.timeouts as f64,
    ),
    (
        "lakehouse_plugin_rejected_total",
        "counter",
        "Requests and calls turned away because the plugin was busy.",
        |m| m.rejected as f64,
    ),
    (
        "lakehouse_plugin_cancelled_total",
        "counter",
        "Requests whose client went away before the end.",
        |m| m.cancelled as f64,
    ),
    (
        "lakehouse_plugin_in_flight",
        "gauge",
        "Requests and calls that run or wait.",
        |m| m.in_flight as f64,
    ),
    (
        "lakehouse_plugin_queue_length",
        "gauge",
        "Requests and calls that wait for a place.",
        |m| m.waiting as f64,
    ),
    (
        "lakehouse_plugin_queue_waits_total",
        "counter",
        "Requests and calls that had to wait for a place.",
        |m| m.waits as f64,
    ),
    (
        "lakehouse_plugin_queue_wait_seconds_total",
        "counter",
        "Time that requests and calls waited for a place.",
        |m| m.waited,
    ),
    (
        "lakehouse_plugin_instantiations_total",
        "counter",
        "Instances made.",
        |m| m.instantiations as f64,
    ),
    (
        "lakehouse_plugin_memory_peak_bytes",
        "gauge",
        "The most linear memory that one instance ever held.",
        |m| m.memory_peak as f64,
    ),
    (
        "lakehouse_plugin_cpu_seconds_total",
        "counter",
        "Processor time that the guests of a plugin computed.",
        |m| m.cpu_seconds,
    ),
    (
        "lakehouse_plugin_held_back_seconds_total",
        "counter",
        "Time for which requests that compute for long left processors to short ones.",
        |m| m.held_back,
    ),
    (
        "lakehouse_plugin_backing_off",
        "gauge",
        "1 while a plugin is left alone because it kept trapping.",
        |m| f64::from(u8::from(m.backing_off)),
    ),
];

/// Numbers of each plugin, told apart by a label: their metric's name, type, help and
/// label, and how to read them.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    fn(&PluginMetrics) -> Vec<(&'static str, u64)>,
);

const ROWS: [Row; 3] = [
    (
        "lakehouse_plugin_answers_total",
        "counter",
        "HTTP requests answered by a plugin or in its stead, by class of status.",
        "status",
        |m| STATUS_CLASSES.into_iter().zip(m.answers.classes).collect(),
    ),
    (
        "lakehouse_plugin_traps_total",
        "counter",
        "Requests and calls that ended in a trap, by what it was about.",
        "kind",
        |m| m.trap_kinds.clone(),
    ),
    (
        "lakehouse_plugin_instances",
        "gauge",
        "Instances, by whether they work.",
        "state",
        |m| {
            vec![
                ("busy", m.busy),
                ("idle", m.instances.saturating_sub(m.busy)),
            ]
        },
    ),
];

/// The histogram of each plugin.
const DURATION: &str = "lakehouse_plugin_request_duration_seconds";

/// The names of what the host reports of each plugin: none of them is a plugin's to report
/// under.
pub fn of_plugins() -> Vec<String> {
    let columns = COLUMNS.iter().map(|(name, ..)| *name);
    let rows = ROWS.iter().map(|(name, ..)| *name);
    let parts = ["", "_bucket", "_sum", "_count"].map(|part| format!("{DURATION}{part}"));
    columns
        .chain(rows)
        .map(str::to_owned)
        .chain(parts)
        .collect()
}

/// Plugin names need no escaping: they are route segments.
fn plugins(text: &mut String, plugins: &[PluginMetrics]) {
    for (name, kind, help, read) in COLUMNS {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for metrics in plugins {
            let _ = writeln!(
                text,
                "{name}{{plugin=\"{}\"}} {}",
                metrics.plugin,
                read(metrics)
            );
        }
    }
    for (name, kind, help, label, read) in ROWS {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for metrics in plugins {
            let plugin = &metrics.plugin;
            for (of, value) in read(metrics) {
                let _ = writeln!(
                    text,
                    "{name}{{plugin=\"{plugin}\",{label}=\"{of}\"}} {value}"
                );
            }
        }
    }
    let all = plugins.iter();
    histogram(
        text,
        DURATION,
        "Time from a request's arrival to the end of its answer's body.",
        "plugin",
        all.map(|metrics| (&*metrics.plugin, &metrics.answers)),
    );
}

/// Names of routes need no escaping either.
fn routes(text: &mut String, routes: &[(String, AnswerMetrics)]) {
    let name = "lakehouse_http_requests_total";
    let help = "Requests answered, by route and class of status.";
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
    for (route, answers) in routes {
        for (class, count) in STATUS_CLASSES.into_iter().zip(answers.classes) {
            let _ = writeln!(
                text,
                "{name}{{route=\"{route}\",status=\"{class}\"}} {count}"
            );
        }
    }
    histogram(
        text,
        "lakehouse_http_request_duration_seconds",
        "Time from a request's head to its answer's head, by route.",
        "route",
        routes.iter().map(|(route, answers)| (&**route, answers)),
    );
}

/// The times of answers, told apart by a label.
fn histogram<'a>(
    text: &mut String,
    name: &str,
    help: &str,
    label: &str,
    all: impl Iterator<Item = (&'a str, &'a AnswerMetrics)>,
) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
    for (of, answers) in all {
        for (bound, count) in LATENCY_BUCKETS.iter().zip(&answers.buckets) {
            let _ = writeln!(
                text,
                "{name}_bucket{{{label}=\"{of}\",le=\"{bound}\"}} {count}"
            );
        }
        let (count, sum) = (answers.count, answers.seconds);
        let _ = writeln!(
            text,
            "{name}_bucket{{{label}=\"{of}\",le=\"+Inf\"}} {count}"
        );
        let _ = writeln!(text, "{name}_sum{{{label}=\"{of}\"}} {sum}");
        let _ = writeln!(text, "{name}_count{{{label}=\"{of}\"}} {count}");
    }
}

/// Bytes of resident memory; none where the system does not say.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
