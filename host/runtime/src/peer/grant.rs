//! Which plugins a plugin may call: `plugins` in its grants.

use serde_json::Value;

use crate::check::base;

/// Its key in a plugin's `grants`.
pub(crate) const GRANT: &str = "plugins";

/// What of other plugins one may use.
#[derive(Debug, Default)]
pub(crate) struct Grant(Vec<Rule>);

#[derive(Debug)]
enum Rule {
    /// `*`: whatever any plugin exports.
    All,
    /// `words`: whatever the plugin of this name exports.
    Plugin(String),
    /// `acme:words/greet`: this interface, of any plugin.
    Interface(String),
}

impl Grant {
    /// Reads `plugins = ["words", "acme:words/greet", "*"]`.
    ///
    /// # Errors
    /// A text for people.
    pub(crate) fn read(grants: &Value) -> Result<Self, String> {
        let Some(value) = grants.get(GRANT) else {
            return Ok(Self::default());
        };
        let rules = value.as_array().ok_or_else(|| {
            format!("grants.{GRANT}: is {value}; expected names, as in [\"words\"]")
        })?;
        rules.iter().map(rule).collect::<Result<_, _>>().map(Self)
    }

    /// Whether it grants nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this interface (named with or without version) of that plugin may be
    /// called.
    pub(crate) fn covers(&self, plugin: &str, interface: &str) -> bool {
        self.0.iter().any(|rule| match rule {
            Rule::All => true,
            Rule::Plugin(name) => name == plugin,
            Rule::Interface(name) => name == base(interface),
        })
    }
}

fn rule(value: &Value) -> Result<Rule, String> {
    let text = value.as_str().unwrap_or_default();
    let interface = text
        .split_once(':')
        .and_then(|(_, rest)| rest.split_once('/'))
        .is_some_and(|(package, name)| !package.is_empty() && !name.is_empty());
    let name = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if text == "*" {
        Ok(Rule::All)
    } else if interface {
        Ok(Rule::Interface(base(text).to_owned()))
    } else if !text.is_empty() && text.chars().all(name) {
        Ok(Rule::Plugin(text.to_owned()))
    } else {
        Err(format!(
            "grants.{GRANT}: {value} is no plugin's name, no interface like \
             \"acme:words/greet\", and not \"*\""
        ))
    }
}
