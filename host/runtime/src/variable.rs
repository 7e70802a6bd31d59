//! Values that a plugin is configured with, and secrets that are kept elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// A value: as it stands, or where it is when the plugin is loaded. What it is read to
/// is shown nowhere but to the plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Variable {
    /// This text.
    Text(String),
    /// That of an environment variable of the host: `{ env = "API_KEY" }`.
    Env {
        /// The variable's name.
        env: String,
    },
    /// That of a file, without the line's end: `{ file = "/run/secrets/key" }`.
    File {
        /// The file.
        file: PathBuf,
    },
}

impl Variable {
    fn read(&self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::Env { env } => {
                std::env::var(env).map_err(|error| format!("environment variable `{env}`: {error}"))
            }
            Self::File { file } => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| format!("file {}: {error}", file.display()))?;
                let line = text.strip_suffix('\n').unwrap_or(&text);
                Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
            }
        }
    }
}

/// The values of all, by name; `what` is the key that they stand under.
pub(crate) fn read_all(
    what: &str,
    variables: &BTreeMap<String, Variable>,
) -> Result<Vec<(String, String)>, String> {
    variables
        .iter()
        .map(|(name, variable)| match variable.read() {
            Ok(value) => Ok((name.clone(), value)),
            Err(error) => Err(format!("{what}.{name}: {error}")),
        })
        .collect()
}

impl From<&str> for Variable {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl<'de> Deserialize<'de> for Variable {
    /// By hand, for an error that says what it may be.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct VariableVisitor;
        impl<'de> Visitor<'de> for VariableVisitor {
            type Value = Variable;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"text, { env = "NAME" } or { file = "path" }"#)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Variable, E> {
                Ok(text.into())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Variable, A::Error> {
                let variable = match map.next_key::<String>()?.as_deref() {
                    Some("env") => Variable::Env {
                        env: map.next_value()?,
                    },
                    Some("file") => Variable::File {
                        file: map.next_value()?,
                    },
                    Some(other) => return Err(de::Error::unknown_field(other, &["env", "file"])),
                    None => return Err(de::Error::invalid_length(0, &self)),
                };
                match map.next_key::<String>()? {
                    None => Ok(variable),
                    Some(_) => Err(de::Error::invalid_length(2, &self)),
                }
            }
        }
        deserializer.deserialize_any(VariableVisitor)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: serde_json::Value) -> Result<Variable, String> {
        Variable::deserialize(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_value_stands_here_or_is_read_from_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "s3cret\n").unwrap();
        let read = |value| parse(value).unwrap().read();
        assert_eq!(read(json!("text")), Ok("text".to_owned()));
        assert_eq!(read(json!({ "file": file })), Ok("s3cret".to_owned()));
        assert!(read(json!({ "env": "PATH" })).is_ok());
        let error = read(json!({ "env": "NO_SUCH_VARIABLE" })).unwrap_err();
        assert!(error.contains("`NO_SUCH_VARIABLE`"), "{error}");
        let missing = folder.path().join("none");
        let error = read(json!({ "file": missing })).unwrap_err();
        assert!(error.contains("none"), "{error}");
    }

    #[test]
    fn anything_else_is_refused() {
        for value in [
            json!(1),
            json!({}),
            json!({"url": "x"}),
            json!({"env": "A", "file": "b"}),
        ] {
            assert!(parse(value.clone()).is_err(), "{value}");
        }
    }
}
