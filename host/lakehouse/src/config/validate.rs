//! What types alone cannot say about a configuration.

use std::collections::HashMap;

use http::{HeaderName, Method, Uri};
use tracing_subscriber::EnvFilter;

use super::{Config, ConfigError, PluginSection};

/// Where the services go that other hosts serve.
pub type Upstreams = HashMap<&'static str, Uri>;

/// Keys of `[gateway]` and the service that each of them moves away.
const SERVICES: [(&str, &str); 5] = [
    ("storage_url", "storage"),
    ("catalog_url", "catalog"),
    ("ingest_url", "ingest"),
    ("query_url", "query"),
    ("vector_url", "vectors"),
];

/// Routes that the host serves itself.
pub(crate) const NATIVE_ROUTES: [&str; 6] = [
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/v1/plugins",
    "/v1/vectors",
];

impl Config {
    /// Checks what types alone cannot.
    ///
    /// # Errors
    /// Names the first key that is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.validate_server()?;
        EnvFilter::try_new(&self.log.filter)
            .map_err(|error| ConfigError::key("log.filter", error))?;
        self.validate_telemetry()?;
        if !self.store.url.is_empty() {
            url::Url::parse(&self.store.url).map_err(|error| {
                ConfigError::key("store.url", format!("`{}`: {error}", self.store.url))
            })?;
        }
        positive("runtime.instances", u64::from(self.runtime.instances))?;
        positive("runtime.stack", self.runtime.stack.0)?;
        positive("runtime.total_memory", self.runtime.total_memory.0)?;
        positive("runtime.tick", nanos(self.runtime.tick))?;
        positive("vectors.max_body", self.vectors.max_body.0)?;
        positive("vectors.memory", self.vectors.memory.0)?;
        positive("vectors.index_memory", self.vectors.index_memory.0)?;
        self.upstreams()?;
        self.validate_plugins()
    }

    fn validate_telemetry(&self) -> Result<(), ConfigError> {
        let telemetry = &self.telemetry;
        let endpoint = &telemetry.otlp_endpoint;
        if !endpoint.is_empty() {
            let uri = endpoint.parse::<Uri>().ok();
            let fits = uri.is_some_and(|uri| {
                matches!(uri.scheme_str(), Some("http" | "https"))
                    && uri.host().is_some_and(|host| !host.is_empty())
                    && uri.query().is_none()
            });
            if !fits {
                return Err(ConfigError::key(
                    "telemetry.otlp_endpoint",
                    format!("`{endpoint}` is not like `http://127.0.0.1:4318`"),
                ));
            }
        }
        if !(0.0..=1.0).contains(&telemetry.sample) {
            return Err(ConfigError::key(
                "telemetry.sample",
                format!("{} is not between 0 and 1", telemetry.sample),
            ));
        }
        if telemetry.service_name.is_empty() {
            return Err(ConfigError::key("telemetry.service_name", "is empty"));
        }
        Ok(())
    }

    fn validate_server(&self) -> Result<(), ConfigError> {
        let server = &self.server;
        let bind = &server.bind;
        let port = bind.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        if port.is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
            return Err(ConfigError::key(
                "server.bind",
                format!("`{bind}` is not `host:port`"),
            ));
        }
        positive("server.header_timeout", nanos(server.header_timeout))?;
        positive("server.idle_timeout", nanos(server.idle_timeout))?;
        positive("server.max_connections", server.max_connections as u64)?;

        let cors = &server.cors;
        let every = |list: &[String]| list.iter().any(|item| item == "*");
        for origin in &cors.origins {
            let uri: Option<Uri> = origin.parse().ok();
            let fits = uri.is_some_and(|uri| uri.scheme().is_some() && uri.path() == "/")
                && !origin.ends_with('/');
            if origin != "*" && !fits {
                return Err(ConfigError::key(
                    "server.cors.origins",
                    format!("`{origin}` is neither `*` nor like `https://example.org`"),
                ));
            }
        }
        for method in &cors.methods {
            if method.parse::<Method>().is_err() {
                let what = format!("`{method}` is not a method");
                return Err(ConfigError::key("server.cors.methods", what));
            }
        }
        for (key, list) in [
            ("server.cors.headers", &cors.headers),
            ("server.cors.expose", &cors.expose),
        ] {
            for name in list {
                if name.parse::<HeaderName>().is_err() {
                    let what = format!("`{name}` is not a header name");
                    return Err(ConfigError::key(key, what));
                }
            }
        }
        if cors.credentials && (every(&cors.origins) || every(&cors.headers)) {
            return Err(ConfigError::key(
                "server.cors.credentials",
                "browsers refuse credentials together with `*` in origins or headers",
            ));
        }
        Ok(())
    }

    /// The services that other hosts serve, and their base URLs.
    ///
    /// # Errors
    /// If a URL has no scheme or host.
    pub fn upstreams(&self) -> Result<Upstreams, ConfigError> {
        let gateway = &self.gateway;
        let urls = [
            &gateway.storage_url,
            &gateway.catalog_url,
            &gateway.ingest_url,
            &gateway.query_url,
            &gateway.vector_url,
        ];
        let mut upstreams = Upstreams::new();
        for ((key, service), url) in SERVICES.into_iter().zip(urls) {
            if url.is_empty() {
                continue;
            }
            let uri = url.parse::<Uri>().ok().filter(|uri| {
                // `://x` parses, with a scheme of no characters.
                uri.scheme_str().is_some_and(|scheme| !scheme.is_empty())
                    && uri.host().is_some_and(|host| !host.is_empty())
            });
            let Some(uri) = uri else {
                return Err(ConfigError::new(format!(
                    "gateway.{key} must include scheme + host (got {url})"
                )));
            };
            if !matches!(uri.scheme_str(), Some("http" | "https")) {
                let what = format!("`{url}` is neither http nor https");
                return Err(ConfigError::key(&format!("gateway.{key}"), what));
            }
            if uri.query().is_some() {
                let what = format!("`{url}` has a query; a base URL has none");
                return Err(ConfigError::key(&format!("gateway.{key}"), what));
            }
            upstreams.insert(service, uri);
        }
        Ok(upstreams)
    }

    fn validate_plugins(&self) -> Result<(), ConfigError> {
        for name in &self.plugins.required {
            if !is_plugin_name(name) {
                let what = format!("`{name}` cannot be a plugin's name");
                return Err(ConfigError::key("plugins.required", what));
            }
        }
        positive("plugins.max_size", self.plugins.max_size.0)?;
        positive("plugins.check_timeout", nanos(self.plugins.check_timeout))?;
        validate_section("plugins.defaults", &self.plugins.defaults)?;
        if self.plugins.defaults.route.is_some() {
            return Err(ConfigError::key(
                "plugins.defaults.route",
                "plugins cannot share a route",
            ));
        }
        if self.plugins.defaults.probe.is_some() {
            return Err(ConfigError::key(
                "plugins.defaults.probe",
                "plugins cannot share a path",
            ));
        }
        let mut routes = HashMap::new();
        for (name, section) in &self.plugins.sections {
            let key = format!("plugins.{name}");
            if !is_plugin_name(name) {
                return Err(ConfigError::key(&key, NAME_RULE));
            }
            validate_section(&key, section)?;
            let route = self.plugins.route(name);
            if let Some(probe) = &section.probe {
                let key = format!("{key}.probe");
                let path: Option<Uri> = probe.path.parse().ok();
                if path.is_none_or(|path| !covers(&route, path.path())) {
                    let what = format!("`{}` is not a path under `{route}`", probe.path);
                    return Err(ConfigError::key(&format!("{key}.path"), what));
                }
                if !(100..600).contains(&probe.status) {
                    let what = format!("{} is no status of HTTP", probe.status);
                    return Err(ConfigError::key(&format!("{key}.status"), what));
                }
            }
            if let Some(other) = routes.insert(route.clone(), name) {
                let what = format!("`{route}` is the route of `{other}` too");
                return Err(ConfigError::key(&format!("{key}.route"), what));
            }
        }
        Ok(())
    }
}

fn validate_section(key: &str, section: &PluginSection) -> Result<(), ConfigError> {
    if let Some(route) = &section.route {
        let key = format!("{key}.route");
        let segments = route.strip_prefix('/').map(|rest| rest.split('/'));
        let plain = segments.is_some_and(|mut segments| {
            segments.all(|segment| {
                !matches!(segment, "" | "." | "..")
                    && segment
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
            })
        });
        if !plain || route == "/v1" {
            let what = format!("`{route}` is not a path like `/v1/name`");
            return Err(ConfigError::key(&key, what));
        }
        if let Some(native) = NATIVE_ROUTES.iter().find(|native| covers(native, route)) {
            let what = format!("`{route}` is taken: the host serves {native} itself");
            return Err(ConfigError::key(&key, what));
        }
    }
    let key = |name: &str| format!("{key}.{name}");
    for (name, value) in [
        ("memory", section.memory.map(|size| size.0)),
        ("cpu", section.cpu.map(nanos)),
        ("deadline", section.deadline.map(nanos)),
        ("handles", section.handles.map(|count| count as u64)),
        ("hostcall", section.hostcall.map(|size| size.0)),
        ("concurrency", section.concurrency.map(|count| count as u64)),
    ] {
        positive(&key(name), value.unwrap_or(1))?;
    }
    if let Some(trial) = section.trial {
        positive(&key("trial.failures"), trial.failures)?;
    }
    if section.memory.is_some_and(|size| size.0 > 4 << 30) {
        let what = "an instance can address 4GiB at most";
        return Err(ConfigError::key(&key("memory"), what));
    }
    if let (Some(least), Some(most)) = (section.min_pool, section.max_pool)
        && least > most
    {
        let what = format!("{least} is more than `max_pool`, which is {most}");
        return Err(ConfigError::key(&key("min_pool"), what));
    }
    Ok(())
}

/// What [`is_plugin_name`] asks for, for people.
pub(crate) const NAME_RULE: &str = "a plugin's name is a route segment: \
     1 to 64 of `a-z 0-9 _ -`, the first a letter or digit";

/// Whether a file of this stem can be a plugin.
pub(crate) fn is_plugin_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    (1..=64).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
}

/// Whether a path is this route or lies below it.
pub(crate) fn covers(route: &str, path: &str) -> bool {
    path.strip_prefix(route)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn nanos(span: super::Span) -> u64 {
    u64::try_from(span.0.as_nanos()).unwrap_or(u64::MAX)
}

fn positive(key: &str, value: u64) -> Result<(), ConfigError> {
    if value == 0 {
        return Err(ConfigError::key(key, "must be more than zero"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let config: Config = super::super::load::parse(text).unwrap();
        config.validate().unwrap_err().to_string()
    }

    #[test]
    fn a_url_needs_scheme_and_host() {
        for (key, _) in SERVICES {
            for url in [
                "localhost:80",
                "example.org",
                "/x",
                "http://",
                "://x",
                "http:///x",
                "nonsense url",
            ] {
                assert_eq!(
                    error(&format!("[gateway]\n{key} = \"{url}\"")),
                    format!("gateway.{key} must include scheme + host (got {url})")
                );
            }
        }
    }

    #[test]
    fn routes_are_checked() {
        for (text, expected) in [
            (
                "[plugins.a]\nroute = \"sql\"",
                "plugins.a.route: `sql` is not a path",
            ),
            (
                "[plugins.a]\nroute = \"/v1/../x\"",
                "plugins.a.route: `/v1/../x` is not a path",
            ),
            (
                "[plugins.a]\nroute = \"/v1/vectors/x\"",
                "plugins.a.route: `/v1/vectors/x` is taken",
            ),
            (
                "[plugins.a]\nroute = \"/v1/sql\"",
                "plugins.query.route: `/v1/sql` is the route of `a` too",
            ),
            ("[plugins.A]\n", "plugins.A: a plugin's name"),
            ("[plugins.a]\nmemory = \"5GiB\"", "plugins.a.memory: "),
            (
                "[plugins.a.trial]\nfailures = 0",
                "plugins.a.trial.failures: must be more than zero",
            ),
            (
                "[plugins.a.probe]\npath = \"/v1/b\"",
                "plugins.a.probe.path: `/v1/b` is not a path under `/v1/a`",
            ),
            (
                "[plugins.a.probe]\npath = \"/v1/a\"\nstatus = 2000",
                "plugins.a.probe.status: 2000 is no status",
            ),
            ("[plugins.a]\ncpu = \"0s\"", "plugins.a.cpu: must be"),
            (
                "[plugins.a]\nmin_pool = 3\nmax_pool = 2",
                "plugins.a.min_pool: 3 is more than `max_pool`",
            ),
        ] {
            let error = error(text);
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn telemetry_is_checked() {
        for (text, expected) in [
            (
                "otlp_endpoint = \"127.0.0.1:4318\"",
                "telemetry.otlp_endpoint: `127.0.0.1:4318` is not like",
            ),
            (
                "otlp_endpoint = \"grpc://host:4317\"",
                "telemetry.otlp_endpoint: `grpc://host:4317` is not like",
            ),
            ("sample = 1.5", "telemetry.sample: 1.5 is not between"),
            ("sample = nan", "telemetry.sample: NaN is not between"),
            ("service_name = \"\"", "telemetry.service_name: is empty"),
        ] {
            let error = error(&format!("[telemetry]\n{text}"));
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn server_values_are_checked() {
        for (text, expected) in [
            ("bind = \"3210\"", "server.bind: `3210` is not"),
            ("bind = \"x:70000\"", "server.bind: "),
            (
                "idle_timeout = \"0s\"",
                "server.idle_timeout: must be more than zero",
            ),
            (
                "cors.origins = [\"example.org\"]",
                "server.cors.origins: `example.org`",
            ),
            (
                "cors.origins = [\"*\"]\ncors.credentials = true",
                "server.cors.credentials: ",
            ),
        ] {
            let error = error(&format!("[server]\n{text}"));
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
