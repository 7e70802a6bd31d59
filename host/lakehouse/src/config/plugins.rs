//! `[plugins]`: a few keys for all, and one table a plugin.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use lakehouse_runtime::{Limits, Variable};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::value::{Size, Span};

/// `[plugins]`
#[derive(Debug, Clone, PartialEq)]
pub struct Plugins {
    /// The folder of `*.wasm` files.
    pub dir: PathBuf,
    /// Plugins that must serve for `/readyz` to say yes.
    pub required: Vec<String>,
    /// Generations of a plugin that are kept beside the one that serves.
    pub keep: usize,
    /// Bytes of the largest component.
    pub max_size: Size,
    /// The longest that a self-test or a probe may take.
    pub check_timeout: Span,
    /// `[plugins.defaults]`: limits for plugins whose section says nothing.
    pub defaults: PluginSection,
    /// `[plugins.<name>]`.
    pub sections: BTreeMap<String, PluginSection>,
}

/// `[plugins.<name>.probe]`: a request that a new version must answer before it serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Path and query, as a client would ask for it.
    pub path: String,
    /// The status that it must have.
    #[serde(default = "ok")]
    pub status: u16,
}

fn ok() -> u16 {
    200
}

/// `[plugins.<name>.trial]`: when the host goes back from a new generation by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trial {
    /// Requests and calls that are watched, from the first on; 0 watches none.
    pub requests: u64,
    /// So many of them that trap or time out are too many.
    pub failures: u64,
}

impl Default for Trial {
    fn default() -> Self {
        Self {
            requests: 100,
            failures: 5,
        }
    }
}

/// `[plugins.<name>]`. What is left out comes from the built-in section of that
/// plugin, then from `[plugins.defaults]`, then from the built-in defaults.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginSection {
    /// Route instead of `/v1/<name>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Also takes the route itself off the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strip_prefix: Option<bool>,
    /// Largest request body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_body: Option<Size>,
    /// Memory of one instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// Elements that the tables of one instance have together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_elements: Option<usize>,
    /// Host objects that one instance holds at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handles: Option<usize>,
    /// What a guest hands to the host in one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostcall: Option<Size>,
    /// Processor time of one request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Span>,
    /// Wall clock of one request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Span>,
    /// Requests at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<usize>,
    /// Requests that may wait for a free place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<usize>,
    /// The longest that one of them waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_wait: Option<Span>,
    /// Largest body of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_response: Option<Size>,
    /// What it may log for one request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_log: Option<Size>,
    /// Requests that one instance serves, 1 for a fresh one each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reuse: Option<u32>,
    /// How long an instance is kept without work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<Span>,
    /// Instances that are kept ready always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_pool: Option<usize>,
    /// Instances that are kept without work at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pool: Option<usize>,
    /// Whether the guest has a folder for temporary files, `/tmp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scratch: Option<bool>,
    /// Whether its requests compute for long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heavy: Option<bool>,
    /// Whether one that was never compiled serves on a draft of its code first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draft: Option<bool>,
    /// When the host goes back from a new generation by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// A request that a new version must answer before it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// What the plugin may use of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grants: Option<toml::Table>,
    /// What the plugin reads through `wasi:config`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<BTreeMap<String, Variable>>,
    /// The plugin's environment variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<BTreeMap<String, Variable>>,
}

impl PluginSection {
    /// This section, completed by a weaker one.
    #[must_use]
    pub fn or(self, weaker: &Self) -> Self {
        Self {
            route: self.route.or_else(|| weaker.route.clone()),
            strip_prefix: self.strip_prefix.or(weaker.strip_prefix),
            max_body: self.max_body.or(weaker.max_body),
            memory: self.memory.or(weaker.memory),
            table_elements: self.table_elements.or(weaker.table_elements),
            handles: self.handles.or(weaker.handles),
            hostcall: self.hostcall.or(weaker.hostcall),
            cpu: self.cpu.or(weaker.cpu),
            deadline: self.deadline.or(weaker.deadline),
            concurrency: self.concurrency.or(weaker.concurrency),
            queue: self.queue.or(weaker.queue),
            queue_wait: self.queue_wait.or(weaker.queue_wait),
            max_response: self.max_response.or(weaker.max_response),
            max_log: self.max_log.or(weaker.max_log),
            reuse: self.reuse.or(weaker.reuse),
            idle: self.idle.or(weaker.idle),
            min_pool: self.min_pool.or(weaker.min_pool),
            max_pool: self.max_pool.or(weaker.max_pool),
            scratch: self.scratch.or(weaker.scratch),
            heavy: self.heavy.or(weaker.heavy),
            draft: self.draft.or(weaker.draft),
            trial: self.trial.or(weaker.trial),
            probe: self.probe.or_else(|| weaker.probe.clone()),
            grants: self.grants.or_else(|| weaker.grants.clone()),
            config: self.config.or_else(|| weaker.config.clone()),
            env: self.env.or_else(|| weaker.env.clone()),
        }
    }

    /// The limits as the runtime takes them.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let base = Limits::default();
        Limits {
            memory: self.memory.map_or(base.memory, |size| size.0),
            table_elements: self.table_elements.unwrap_or(base.table_elements),
            handles: self.handles.unwrap_or(base.handles),
            hostcall: self.hostcall.map_or(base.hostcall, |size| {
                usize::try_from(size.0).unwrap_or(usize::MAX)
            }),
            cpu: self.cpu.map_or(base.cpu, |span| span.0),
            deadline: self.deadline.map_or(base.deadline, |span| span.0),
            concurrency: self.concurrency.unwrap_or(base.concurrency),
            queue: self.queue.unwrap_or(base.queue),
            queue_wait: self.queue_wait.map_or(base.queue_wait, |span| span.0),
            response: self.max_response.map_or(base.response, |size| size.0),
            log: self.max_log.map_or(base.log, |size| size.0),
            reuse: self.reuse.unwrap_or(base.reuse),
            idle: self.idle.map_or(base.idle, |span| span.0),
            min_pool: self.min_pool.unwrap_or(base.min_pool),
            max_pool: self.max_pool.unwrap_or(base.max_pool),
        }
    }

    /// Largest request body in bytes.
    #[must_use]
    pub fn max_body(&self) -> Size {
        self.max_body.unwrap_or(DEFAULT_MAX_BODY)
    }
}

const DEFAULT_MAX_BODY: Size = Size::mib(16);

/// Built-in `[plugins.defaults]`.
fn defaults() -> PluginSection {
    let limits = Limits::default();
    PluginSection {
        max_body: Some(DEFAULT_MAX_BODY),
        memory: Some(Size(limits.memory)),
        table_elements: Some(limits.table_elements),
        handles: Some(limits.handles),
        hostcall: Some(Size(limits.hostcall as u64)),
        cpu: Some(Span(limits.cpu)),
        deadline: Some(Span(limits.deadline)),
        concurrency: Some(limits.concurrency),
        queue: Some(limits.queue),
        queue_wait: Some(Span(limits.queue_wait)),
        max_response: Some(Size(limits.response)),
        max_log: Some(Size(limits.log)),
        reuse: Some(limits.reuse),
        idle: Some(Span(limits.idle)),
        draft: Some(true),
        trial: Some(Trial::default()),
        min_pool: Some(limits.min_pool),
        max_pool: Some(limits.max_pool),
        ..PluginSection::default()
    }
}

/// `{ store = [{ prefix, access }, ...] }` and the like.
fn grants(store: &[&str], catalog: Option<&str>, vectors: Option<&str>) -> toml::Table {
    let entry = |key: &str, value: &str, access: &str| {
        let mut table = toml::Table::new();
        table.insert(key.into(), value.into());
        table.insert("access".into(), access.into());
        toml::Value::Table(table)
    };
    let mut grants = toml::Table::new();
    if !store.is_empty() {
        let entries: Vec<_> = store
            .iter()
            .map(|prefix| entry("prefix", prefix, "read-write"))
            .collect();
        grants.insert("store".into(), entries.into());
    }
    if let Some(access) = catalog {
        grants.insert("catalog".into(), access.into());
    }
    if let Some(access) = vectors {
        grants.insert("vectors".into(), vec![entry("index", "*", access)].into());
    }
    grants
}

/// With leave to have every plugin do something: `{ functions = ["*"] }`.
fn and_all_plugins(mut grants: toml::Table, capability: &str) -> toml::Table {
    grants.insert(capability.into(), vec!["*"].into());
    grants
}

/// The sections of the plugins that come with the host.
fn sections() -> BTreeMap<String, PluginSection> {
    let storage = PluginSection {
        max_body: Some(Size::UNLIMITED),
        memory: Some(Size::mib(64)),
        cpu: Some(Span::secs(600)),
        deadline: Some(Span::secs(3600)),
        max_response: Some(Size::UNLIMITED),
        grants: Some(grants(&["objects/"], None, None)),
        ..PluginSection::default()
    };
    let catalog = PluginSection {
        memory: Some(Size::mib(512)),
        hostcall: Some(Size::mib(128)),
        cpu: Some(Span::secs(60)),
        deadline: Some(Span::secs(60)),
        grants: Some(grants(&["catalog/", "warehouse/"], None, None)),
        ..PluginSection::default()
    };
    let ingest = PluginSection {
        max_body: Some(Size::UNLIMITED),
        memory: Some(Size::gib(1)),
        hostcall: Some(Size::mib(128)),
        cpu: Some(Span::secs(3600)),
        deadline: Some(Span::secs(3600)),
        concurrency: Some(8),
        scratch: Some(true),
        heavy: Some(true),
        grants: Some(and_all_plugins(
            grants(&["warehouse/"], Some("write"), None),
            "formats",
        )),
        ..PluginSection::default()
    };
    let query = PluginSection {
        route: Some("/v1/sql".into()),
        memory: Some(Size::gib(4)),
        hostcall: Some(Size::mib(128)),
        cpu: Some(Span::secs(600)),
        deadline: Some(Span::secs(600)),
        max_response: Some(Size::UNLIMITED),
        concurrency: Some(8),
        idle: Some(Span::secs(300)),
        scratch: Some(true),
        heavy: Some(true),
        grants: Some(and_all_plugins(
            grants(&["warehouse/"], Some("write"), Some("read")),
            "functions",
        )),
        ..PluginSection::default()
    };
    BTreeMap::from([
        ("storage".into(), storage),
        ("catalog".into(), catalog),
        ("ingest".into(), ingest),
        ("query".into(), query),
    ])
}

impl Default for Plugins {
    fn default() -> Self {
        Self {
            dir: "plugins".into(),
            required: ["storage", "catalog", "ingest", "query"]
                .map(String::from)
                .into(),
            keep: 5,
            max_size: Size::mib(256),
            check_timeout: Span::secs(10),
            defaults: defaults(),
            sections: sections(),
        }
    }
}

impl Plugins {
    /// What holds for the plugin of this name.
    #[must_use]
    pub fn section(&self, name: &str) -> PluginSection {
        let section = self.sections.get(name).cloned().unwrap_or_default();
        section.or(&self.defaults)
    }

    /// The path that the plugin of this name serves, with everything below it.
    #[must_use]
    pub fn route(&self, name: &str) -> String {
        let section = self.sections.get(name);
        section
            .and_then(|section| section.route.clone())
            .unwrap_or_else(|| format!("/v1/{name}"))
    }
}

impl Serialize for Plugins {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("dir", &self.dir)?;
        map.serialize_entry("required", &self.required)?;
        map.serialize_entry("keep", &self.keep)?;
        map.serialize_entry("max_size", &self.max_size)?;
        map.serialize_entry("check_timeout", &self.check_timeout)?;
        map.serialize_entry("defaults", &self.defaults)?;
        for (name, section) in &self.sections {
            map.serialize_entry(name, section)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Plugins {
    /// By hand, because the keys for all stand beside the plugins' names, and
    /// serde's `flatten` would lose where in the file an error is.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PluginsVisitor;
        impl<'de> Visitor<'de> for PluginsVisitor {
            type Value = Plugins;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the table `[plugins]`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Plugins, A::Error> {
                let mut plugins = Plugins::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "dir" => plugins.dir = map.next_value()?,
                        "required" => plugins.required = map.next_value()?,
                        "keep" => plugins.keep = map.next_value()?,
                        "max_size" => plugins.max_size = map.next_value()?,
                        "check_timeout" => plugins.check_timeout = map.next_value()?,
                        "defaults" => {
                            let section: PluginSection = map.next_value()?;
                            plugins.defaults = section.or(&plugins.defaults);
                        }
                        _ => {
                            let Section(section) = map.next_value()?;
                            let known = plugins.sections.remove(&key).unwrap_or_default();
                            plugins.sections.insert(key, section.or(&known));
                        }
                    }
                }
                Ok(plugins)
            }
        }
        deserializer.deserialize_map(PluginsVisitor)
    }
}

/// A plugin's section, with an error that says what else the key may be.
struct Section(PluginSection);

impl<'de> Deserialize<'de> for Section {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SectionVisitor;
        impl<'de> Visitor<'de> for SectionVisitor {
            type Value = Section;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "`dir`, `required`, `keep`, `max_size`, `check_timeout`, `defaults` or the \
                     table of a plugin",
                )
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Section, A::Error> {
                let map = serde::de::value::MapAccessDeserializer::new(map);
                PluginSection::deserialize(map).map(Section)
            }
        }
        deserializer.deserialize_map(SectionVisitor)
    }
}
