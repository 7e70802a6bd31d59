//! The `metrics` interface: plugins' numbers in the host's registry.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lakehouse_runtime::{Capability, Extensions, PluginSpec, State};
use parking_lot::RwLock;
use prometheus::core::Collector;
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};
use wasmtime::component::{HasData, Linker};

use crate::bindings::metrics as wit;
use crate::{Error, Kind};

/// What the host puts before a plugin's names.
const PREFIX: &str = "lakehouse_plugin_";
/// Distinct names of all plugins together: a guest cannot fill the memory.
const MAX_NAMES: usize = 512;
/// Bytes of a name.
const MAX_NAME: usize = 128;

/// Numbers that plugins report, with the label `plugin`.
#[derive(Clone, Debug)]
pub struct MetricsCapability(Arc<Families>);

#[derive(Debug)]
struct Families {
    registry: Registry,
    /// Names of lines that the host writes.
    taken: Vec<String>,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_name: HashMap<String, Family>,
    /// The names of all their lines.
    lines: HashSet<String>,
}

/// What is put after a name, for each kind of line that stands for it in Prometheus' text.
const PLAIN: [&str; 1] = [""];
const HISTOGRAM: [&str; 4] = ["", "_bucket", "_sum", "_count"];

/// All that is reported under one name.
#[derive(Clone, Debug)]
enum Family {
    Counter(IntCounterVec),
    Gauge(GaugeVec),
    Histogram(HistogramVec),
}

impl MetricsCapability {
    /// Puts what plugins report into `registry`, but nothing under a name of `taken`.
    pub fn new(registry: Registry, taken: Vec<String>) -> Self {
        Self(Arc::new(Families {
            registry,
            taken,
            known: RwLock::default(),
        }))
    }
}

impl Families {
    /// The family of a name, made by `make` and registered if it is new, with these parts
    /// of a name.
    fn get<C: Collector + Clone + 'static>(
        &self,
        name: &str,
        parts: &[&str],
        make: impl FnOnce(Opts) -> prometheus::Result<C>,
        wrap: impl FnOnce(C) -> Family,
    ) -> Result<Family, Error> {
        if let Some(family) = self.known.read().by_name.get(name) {
            return Ok(family.clone());
        }
        check(name)?;
        let line = |part: &&str| format!("{PREFIX}{name}{part}");
        let lines: Vec<String> = parts.iter().map(line).collect();
        let conflict = |line: &str, whose| {
            let text = format!("metric `{name}`: `{line}` is {whose}");
            Err(Error::new(Kind::Conflict, text))
        };
        if let Some(line) = lines.iter().find(|line| self.taken.contains(line)) {
            return conflict(line, "the host's own");
        }
        let mut known = self.known.write();
        if let Some(family) = known.by_name.get(name) {
            return Ok(family.clone());
        }
        if let Some(line) = lines.iter().find(|line| known.lines.contains(*line)) {
            return conflict(line, "another metric's already");
        }
        if known.by_name.len() >= MAX_NAMES {
            return Err(Error::new(
                Kind::Exhausted,
                format!("plugins have {MAX_NAMES} metrics already; `{name}` is not kept"),
            ));
        }
        let refused = |e| Error::invalid(format!("metric `{name}`")).with_source(e);
        let opts = Opts::new(format!("{PREFIX}{name}"), "Reported by a plugin.");
        let made: C = make(opts).map_err(refused)?;
        self.registry
            .register(Box::new(made.clone()))
            .map_err(refused)?;
        let family = wrap(made);
        known.by_name.insert(name.to_owned(), family.clone());
        known.lines.extend(lines);
        Ok(family)
    }

    fn count(&self, plugin: &str, name: &str, by: u64) -> Result<(), Error> {
        let make = |opts| IntCounterVec::new(opts, &["plugin"]);
        match self.get(name, &PLAIN, make, Family::Counter)? {
            Family::Counter(counter) => {
                counter.with_label_values(&[plugin]).inc_by(by);
                Ok(())
            }
            _ => Err(other_kind(name, "counter")),
        }
    }

    fn gauge(&self, plugin: &str, name: &str, value: f64) -> Result<(), Error> {
        let make = |opts| GaugeVec::new(opts, &["plugin"]);
        match self.get(name, &PLAIN, make, Family::Gauge)? {
            Family::Gauge(gauge) => {
                gauge.with_label_values(&[plugin]).set(value);
                Ok(())
            }
            _ => Err(other_kind(name, "gauge")),
        }
    }

    fn observe(&self, plugin: &str, name: &str, value: f64) -> Result<(), Error> {
        let make = |opts| HistogramVec::new(HistogramOpts::from(opts), &["plugin"]);
        match self.get(name, &HISTOGRAM, make, Family::Histogram)? {
            Family::Histogram(histogram) => {
                histogram.with_label_values(&[plugin]).observe(value);
                Ok(())
            }
            _ => Err(other_kind(name, "histogram")),
        }
    }
}

fn check(name: &str) -> Result<(), Error> {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let good = name.len() <= MAX_NAME
        && name.starts_with(first)
        && name.chars().all(|c| first(c) || c.is_ascii_digit());
    if good {
        return Ok(());
    }
    let shown: String = name.chars().take(MAX_NAME).collect();
    Err(Error::invalid(format!(
        "`{}` is no metric name: 1 to {MAX_NAME} of `A-Z a-z 0-9 _`, the first no digit",
        shown.escape_debug()
    )))
}

fn other_kind(name: &str, kind: &str) -> Error {
    Error::new(
        Kind::Conflict,
        format!("metric `{name}` exists already and is no {kind}"),
    )
}

/// One plugin's reports.
struct Context {
    families: Arc<Families>,
    plugin: String,
    complained: AtomicBool,
}

impl Context {
    /// The interface has no errors: a bad report is one line in the log, and one
    /// only, however often the plugin makes it.
    fn note(&self, reported: Result<(), Error>) {
        if let Err(error) = reported
            && !self.complained.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(plugin = %self.plugin, %error, "a metric is not kept; others like it go unmentioned");
        }
    }
}

impl Capability for MetricsCapability {
    fn name(&self) -> &'static str {
        "metrics"
    }

    fn version(&self) -> Option<&str> {
        Some(crate::version())
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &["lakehouse:plugin/metrics"]
    }

    fn needs_grant(&self) -> bool {
        false
    }

    fn prepare(&self, spec: &PluginSpec, ext: &mut Extensions) -> Result<(), String> {
        ext.insert(Arc::new(Context {
            families: Arc::clone(&self.0),
            plugin: spec.name.clone(),
            complained: AtomicBool::new(false),
        }));
        Ok(())
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        wit::add_to_linker::<State, HasMetrics>(linker, |state| {
            View(state.extensions().get::<Arc<Context>>().map(Arc::clone))
        })
    }
}

struct HasMetrics;

impl HasData for HasMetrics {
    type Data<'a> = View;
}

struct View(Option<Arc<Context>>);

impl wit::Host for View {
    fn count(&mut self, name: String, by: u64) -> wasmtime::Result<()> {
        if let Some(context) = &self.0 {
            context.note(context.families.count(&context.plugin, &name, by));
        }
        Ok(())
    }

    fn gauge(&mut self, name: String, value: f64) -> wasmtime::Result<()> {
        if let Some(context) = &self.0 {
            context.note(context.families.gauge(&context.plugin, &name, value));
        }
        Ok(())
    }

    fn observe(&mut self, name: String, value: f64) -> wasmtime::Result<()> {
        if let Some(context) = &self.0 {
            context.note(context.families.observe(&context.plugin, &name, value));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families() -> Families {
        Families {
            registry: Registry::new(),
            taken: vec!["lakehouse_plugin_traps".to_owned()],
            known: RwLock::default(),
        }
    }

    #[test]
    fn plugins_share_a_name_and_are_told_apart_by_label() {
        let families = families();
        families.count("a", "rows", 2).expect("kept");
        families.count("b", "rows", 3).expect("kept");
        families.observe("a", "seconds", 0.5).expect("kept");
        let gathered = families.registry.gather();
        let rows = gathered
            .iter()
            .find(|family| family.name() == "lakehouse_plugin_rows")
            .expect("registered");
        assert_eq!(rows.get_metric().len(), 2);
    }

    #[test]
    fn no_two_metrics_have_lines_of_one_name() {
        let families = families();
        families.observe("a", "seconds", 0.5).expect("kept");
        families.count("a", "rows_sum", 1).expect("kept");
        families.observe("b", "seconds", 0.5).expect("kept");
        families.count("a", "seconds_total", 1).expect("kept");
        let mut errors = vec![families.observe("b", "rows", 1.0).expect_err("a sum")];
        for part in ["bucket", "sum", "count"] {
            let error = families.count("b", &format!("seconds_{part}"), 1);
            errors.push(error.expect_err(part));
        }
        for error in errors {
            assert_eq!(error.kind(), Kind::Conflict, "{error}");
            assert!(error.to_string().contains("another metric's"), "{error}");
        }
        assert_eq!(families.registry.gather().len(), 3);
    }

    #[test]
    fn bad_names_other_kinds_and_too_many_names_are_refused() {
        let families = families();
        for bad in ["", "1a", "a-b", "a b", "ü", &"a".repeat(MAX_NAME + 1)] {
            let error = families.count("p", bad, 1).expect_err(bad);
            assert_eq!(error.kind(), Kind::Invalid, "{bad:?}");
        }
        let error = families.count("p", "traps", 1).expect_err("the host's");
        assert_eq!(error.kind(), Kind::Conflict);
        families.count("p", "n", 1).expect("kept");
        let error = families.gauge("p", "n", 1.0).expect_err("a counter");
        assert_eq!(error.kind(), Kind::Conflict);
        for index in 1..MAX_NAMES {
            families.count("p", &format!("n{index}"), 1).expect("kept");
        }
        let error = families.count("p", "more", 1).expect_err("too many");
        assert_eq!(error.kind(), Kind::Exhausted);
        families.count("p", "n", 1).expect("known names go on");
    }
}
