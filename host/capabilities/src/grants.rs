//! What a plugin may touch, read from its `grants` table.
//!
//! A grant covers names that begin with a text. For the store that is a key
//! prefix (`objects/`), for vectors an index name and for the catalog a namespace or,
//! with a trailing `*`, the beginning of one. `""` and `"*"` cover everything.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// How far a grant goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Access {
    /// Looking only.
    Read,
    /// Looking and changing.
    #[serde(alias = "write")]
    ReadWrite,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoreGrant {
    prefix: String,
    access: Access,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IndexGrant {
    index: String,
    access: Access,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamespaceGrant {
    namespace: String,
    access: Access,
}

#[derive(Debug)]
struct Rule {
    /// The text that a covered name begins with, or is.
    name: String,
    exact: bool,
    access: Access,
}

impl Rule {
    /// A name, or the beginning of one with a `*` behind it.
    fn named(name: &str, access: Access) -> Self {
        let (name, exact) = match name.strip_suffix('*') {
            Some(beginning) => (beginning, false),
            None => (name, !name.is_empty()),
        };
        Self {
            name: name.to_owned(),
            exact,
            access,
        }
    }

    fn covers(&self, name: &str) -> bool {
        if self.exact {
            self.name == name
        } else {
            name.starts_with(&self.name)
        }
    }
}

/// All grants of one plugin for one capability.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    rules: Vec<Rule>,
}

impl Grants {
    /// Reads `grants.store`: `[{ prefix = "objects/", access = "read-write" }]`.
    pub(crate) fn of_store(grants: &serde_json::Value) -> Result<Self, String> {
        let rules = section::<StoreGrant>(grants, "store")?
            .into_iter()
            .map(|grant| {
                let name = match grant.prefix.as_str() {
                    "*" => String::new(),
                    prefix if prefix.starts_with('/') => {
                        return Err(format!(
                            "grants.store: prefix `{prefix}` begins with `/`; keys do not"
                        ));
                    }
                    prefix => prefix.to_owned(),
                };
                Ok(Rule {
                    name,
                    exact: false,
                    access: grant.access,
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    /// Reads `grants.vectors`: `[{ index = "docs*", access = "read" }]`.
    pub(crate) fn of_vectors(grants: &serde_json::Value) -> Result<Self, String> {
        let rules = section::<IndexGrant>(grants, "vectors")?
            .into_iter()
            .map(|grant| Rule::named(&grant.index, grant.access))
            .collect();
        Ok(Self { rules })
    }

    /// Reads `grants.catalog`: `[{ namespace = "sales", access = "read" }]`, or
    /// `"read"` or `"write"` for all namespaces.
    pub(crate) fn of_catalog(grants: &serde_json::Value) -> Result<Self, String> {
        if let Some(serde_json::Value::String(word)) = grants.get("catalog") {
            let access = Access::deserialize(&grants["catalog"]).map_err(|_| {
                format!("grants.catalog: expected \"read\" or \"write\", found \"{word}\"")
            })?;
            let rules = vec![Rule::named("*", access)];
            return Ok(Self { rules });
        }
        let rules = section::<NamespaceGrant>(grants, "catalog")?
            .into_iter()
            .map(|grant| match grant.namespace.as_str() {
                "" => Err("grants.catalog: an empty namespace; all of them are `*`".to_owned()),
                name => Ok(Rule::named(name, grant.access)),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    /// Whether `name` may be seen (`Access::Read`) or changed.
    pub(crate) fn allow(&self, name: &str, wanted: Access) -> bool {
        self.rules.iter().any(|rule| {
            rule.covers(name) && (wanted == Access::Read || rule.access == Access::ReadWrite)
        })
    }

    /// [`allow`](Self::allow) as a result; `what` says what kind of name it is.
    pub(crate) fn check(&self, what: &str, name: &str, wanted: Access) -> Result<(), Error> {
        if self.allow(name, wanted) {
            return Ok(());
        }
        let verb = match wanted {
            Access::Read => "reading",
            Access::ReadWrite => "writing",
        };
        Err(Error::denied(format!(
            "the plugin's grants do not cover {verb} {what} `{}`",
            name.escape_debug()
        )))
    }
}

/// The plugins that a capability may have do something.
#[derive(Debug)]
pub(crate) struct Names(Vec<String>);

impl Names {
    /// Reads `grants.<name>`: `["geo", "text"]`, or `["*"]` for every one.
    pub(crate) fn read(grants: &serde_json::Value, name: &str) -> Result<Self, String> {
        let names = section::<String>(grants, name)?;
        match names.iter().find(|name| name.is_empty()) {
            None => Ok(Self(names)),
            Some(_) => Err(format!("grants.{name}: \"\" is no plugin's name")),
        }
    }

    /// Whether it may be this plugin.
    pub(crate) fn covers(&self, plugin: &str) -> bool {
        self.0.iter().any(|name| name == "*" || name == plugin)
    }
}

fn section<T: DeserializeOwned>(grants: &serde_json::Value, name: &str) -> Result<Vec<T>, String> {
    match grants.get(name) {
        None => Ok(Vec::new()),
        Some(value) => {
            Vec::<T>::deserialize(value).map_err(|error| format!("grants.{name}: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_store_grant_covers_its_prefix_and_no_more() {
        let grants = Grants::of_store(&json!({"store": [
            {"prefix": "objects/", "access": "read-write"},
            {"prefix": "warehouse/", "access": "read"},
        ]}))
        .expect("valid grants");
        assert!(grants.allow("objects/a", Access::ReadWrite));
        assert!(grants.allow("warehouse/t", Access::Read));
        assert!(!grants.allow("warehouse/t", Access::ReadWrite));
        assert!(!grants.allow("objects", Access::Read));
        assert!(!grants.allow("objectsx/a", Access::Read));
        assert!(!grants.allow("", Access::Read));
    }

    #[test]
    fn an_index_grant_is_a_name_or_a_beginning() {
        let grants = Grants::of_vectors(&json!({"vectors": [
            {"index": "docs", "access": "read-write"},
            {"index": "tmp-*", "access": "read-write"},
        ]}))
        .expect("valid grants");
        assert!(grants.allow("docs", Access::ReadWrite));
        assert!(!grants.allow("docs2", Access::Read));
        assert!(grants.allow("tmp-1", Access::ReadWrite));
        assert!(!grants.allow("tmp", Access::Read));
    }

    #[test]
    fn a_catalog_grant_is_for_all_namespaces_or_for_one() {
        let all = Grants::of_catalog(&json!({"catalog": "read"})).expect("valid grants");
        assert!(all.allow("sales", Access::Read));
        assert!(!all.allow("sales", Access::ReadWrite));
        let some = Grants::of_catalog(&json!({"catalog": [
            {"namespace": "sales", "access": "read"},
            {"namespace": "tmp_*", "access": "write"},
        ]}))
        .expect("valid grants");
        assert!(some.allow("sales", Access::Read));
        assert!(!some.allow("sales", Access::ReadWrite));
        assert!(!some.allow("sales2", Access::Read));
        assert!(some.allow("tmp_1", Access::ReadWrite));
        assert!(!some.allow("default", Access::Read));
    }

    #[test]
    fn without_grants_nothing_is_allowed() {
        let grants = Grants::of_store(&json!({})).expect("no grants");
        assert!(!grants.allow("", Access::Read));
        assert!(!grants.allow("a", Access::Read));
    }

    #[test]
    fn plugins_are_granted_by_name_or_all() {
        let grants = json!({"functions": ["geo"], "formats": ["*"], "odd": "*", "none": [""]});
        let geo = Names::read(&grants, "functions").expect("valid grants");
        assert!(geo.covers("geo") && !geo.covers("geo2"));
        assert!(
            Names::read(&grants, "formats")
                .expect("valid grants")
                .covers("x")
        );
        assert!(
            !Names::read(&grants, "absent")
                .expect("no grants")
                .covers("x")
        );
        for (name, said) in [("odd", "grants.odd: "), ("none", "grants.none: \"\"")] {
            let error = Names::read(&grants, name).expect_err("must be refused");
            assert!(error.starts_with(said), "{error}");
        }
    }

    #[test]
    fn malformed_grants_are_refused_with_the_reason() {
        for (bad, said) in [
            (json!({"store": "all"}), "grants.store"),
            (json!({"store": [{"prefix": "a"}]}), "access"),
            (
                json!({"store": [{"prefix": "a", "access": "own"}]}),
                "`own`",
            ),
            (
                json!({"store": [{"prefix": "a", "access": "read", "x": 1}]}),
                "`x`",
            ),
            (
                json!({"store": [{"prefix": "/a", "access": "read"}]}),
                "begins with `/`",
            ),
        ] {
            let error = Grants::of_store(&bad).expect_err("must be refused");
            assert!(error.contains(said), "{error}");
        }
        for (bad, said) in [
            (json!({"catalog": "own"}), "\"own\""),
            (json!({"catalog": [{"namespace": "a"}]}), "access"),
            (
                json!({"catalog": [{"namespace": "", "access": "read"}]}),
                "empty namespace",
            ),
        ] {
            let error = Grants::of_catalog(&bad).expect_err("must be refused");
            assert!(error.contains(said), "{error}");
        }
    }
}
