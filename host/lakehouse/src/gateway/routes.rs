//! Which path goes where.

use std::sync::Arc;

use lakehouse_runtime::Answers;

use super::metrics::Metrics;
use crate::config::{Config, ConfigError, Size, covers};
use crate::roster::{Entry, Roster};

/// Who answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A plugin.
    Plugin {
        /// Its name.
        name: String,
        /// Bytes of the path that it does not see.
        strip: usize,
    },
    /// Another host.
    Upstream(http::Uri),
    /// The vector service.
    Vectors,
}

/// One route.
pub struct Route {
    /// The path; everything below it belongs to the route too.
    pub path: String,
    /// What is counted of it.
    pub metrics: Arc<Answers>,
    /// Who answers.
    pub target: Target,
    /// The plugin, if one answers.
    entry: Option<Arc<Entry>>,
    /// Largest request body.
    pub max_body: Size,
}

impl Route {
    /// Whether it is a plugin's that does not serve.
    pub fn is_idle(&self) -> bool {
        self.entry.as_ref().is_some_and(|entry| !entry.serves())
    }
}

/// All routes but those of operation, as they are at one version of the roster.
pub struct Routes {
    version: u64,
    routes: Vec<Route>,
}

const V1: &str = "/v1";
const VECTORS: &str = "/v1/vectors";

impl Routes {
    /// The routes of all plugins of the roster, of vectors, and of other hosts in the
    /// place of any of these.
    ///
    /// # Errors
    /// If an upstream's URL cannot be used.
    pub fn new(config: &Config, roster: &Roster, metrics: &Metrics) -> Result<Self, ConfigError> {
        // Before the entries: a change between the two makes for one more look.
        let version = roster.version();
        let mut upstreams = config.upstreams()?;
        let mut routes: Vec<Route> = roster
            .all()
            .into_iter()
            .filter_map(|entry| {
                let (name, path) = (&*entry.name, entry.route.as_deref()?);
                let section = config.plugins.section(name);
                let upstream = upstreams.remove(name);
                Some(Route {
                    path: path.to_owned(),
                    metrics: metrics.route(name),
                    max_body: section.max_body(),
                    entry: upstream.is_none().then(|| Arc::clone(&entry)),
                    target: match upstream {
                        Some(uri) => Target::Upstream(uri),
                        None => Target::Plugin {
                            name: name.to_owned(),
                            strip: stripped(path, section.strip_prefix == Some(true)),
                        },
                    },
                })
            })
            .collect();
        routes.push(Route {
            path: VECTORS.to_owned(),
            metrics: metrics.route("vectors"),
            target: upstreams
                .remove("vectors")
                .map_or(Target::Vectors, Target::Upstream),
            entry: None,
            max_body: config.vectors.max_body,
        });
        // The longest route that fits wins.
        routes.sort_by_key(|route| std::cmp::Reverse(route.path.len()));
        Ok(Self { version, routes })
    }

    /// The version of the roster that they come from, or a later one.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The route of a path.
    pub fn find(&self, path: &str) -> Option<&Route> {
        self.routes.iter().find(|route| covers(&route.path, path))
    }
}

/// The plugin that a path belongs to, if no configuration says otherwise.
pub fn by_default(path: &str) -> Option<&str> {
    path.strip_prefix(V1)?.strip_prefix('/')?.split('/').next()
}

/// How many bytes at the start of a path the plugin does not see.
pub fn stripped(route: &str, prefix: bool) -> usize {
    if prefix {
        route.len()
    } else if covers(V1, route) {
        V1.len()
    } else {
        0
    }
}

/// A path and query without its first `strip` bytes, which are a whole route or
/// a part of one.
pub fn strip(uri: &http::Uri, strip: usize) -> String {
    let path = uri.path();
    let rest = path.get(strip..).unwrap_or_default();
    let slash = if rest.starts_with('/') { "" } else { "/" };
    match uri.query() {
        Some(query) => format!("{slash}{rest}?{query}"),
        None => format!("{slash}{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_see_paths_without_v1() {
        let seen = |uri: &str, route: &str, prefix: bool| {
            strip(&uri.parse().unwrap(), stripped(route, prefix))
        };
        assert_eq!(
            seen("/v1/storage/get/a?b=c", "/v1/storage", false),
            "/storage/get/a?b=c"
        );
        assert_eq!(seen("/v1/hello", "/v1/hello", true), "/");
        assert_eq!(seen("/v1/hello?x", "/v1/hello", true), "/?x");
        assert_eq!(seen("/v1/hello/a%2Fb", "/v1/hello", true), "/a%2Fb");
        assert_eq!(seen("/other/a", "/other", false), "/other/a");
        assert_eq!(seen("http://h:1/v1/sql", "/v1/sql", false), "/sql");
    }
}
