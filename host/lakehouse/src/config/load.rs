//! Reading the configuration, strongest source last: defaults, file,
//! environment, flags.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::Config;

/// The file that is read when none is named and it exists.
const DEFAULT_FILE: &str = "lakehouse.toml";

/// Sections whose keys can be set by `LAKEHOUSE_<SECTION>_<KEY>`.
const SECTIONS: [&str; 10] = [
    "server",
    "log",
    "telemetry",
    "data",
    "store",
    "vectors",
    "runtime",
    "gateway",
    "plugins",
    "admin",
];

/// Environment variables with a short name, and the key each of them sets.
const SHORT: [(&str, &str, &str); 4] = [
    ("LAKEHOUSE_BIND", "server", "bind"),
    ("LAKEHOUSE_DATA", "data", "dir"),
    ("LAKEHOUSE_PLUGINS", "plugins", "dir"),
    ("LAKEHOUSE_LOG", "log", "filter"),
];

/// What flags say.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--bind`
    pub bind: Option<String>,
    /// `--data`
    pub data: Option<PathBuf>,
    /// `--plugins`
    pub plugins: Option<PathBuf>,
    /// `--log`
    pub log: Option<String>,
}

/// Why the configuration cannot be used. The text names the key and the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    /// An error of this text.
    pub(crate) fn new(text: impl fmt::Display) -> Self {
        Self(text.to_string())
    }

    /// An error of one key, wherever it was set.
    pub(crate) fn key(key: &str, what: impl fmt::Display) -> Self {
        Self(format!("{key}: {what}"))
    }
}

/// Reads all sources and checks the result.
///
/// # Errors
/// If a source cannot be read, holds an unknown key or a bad value.
pub fn load(
    flags: &Overrides,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Config, ConfigError> {
    let mut environment: Vec<(String, OsString)> = environment
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with("LAKEHOUSE_"))
        .collect();
    environment.sort();

    let named = flags.config.clone().or_else(|| {
        let (_, value) = environment
            .iter()
            .find(|(name, _)| name == "LAKEHOUSE_CONFIG")?;
        Some(PathBuf::from(value))
    });
    let mut config = match named {
        Some(path) => read(&path)?,
        None if Path::new(DEFAULT_FILE).exists() => read(Path::new(DEFAULT_FILE))?,
        None => Config::default(),
    };
    for (name, value) in &environment {
        if let Some((section, key)) = target(name) {
            let value = value
                .to_str()
                .ok_or_else(|| ConfigError::key(name, "the value is not UTF-8"))?;
            config = set(&config, section, &key, value).map_err(|what| {
                ConfigError(format!(
                    "environment variable {name} ({section}.{key}): {what}"
                ))
            })?;
        }
    }
    if let Some(bind) = &flags.bind {
        config.server.bind.clone_from(bind);
    }
    if let Some(data) = &flags.data {
        config.data.dir.clone_from(data);
    }
    if let Some(plugins) = &flags.plugins {
        config.plugins.dir.clone_from(plugins);
    }
    if let Some(log) = &flags.log {
        config.log.filter.clone_from(log);
    }
    config.validate()?;
    Ok(config)
}

fn read(path: &Path) -> Result<Config, ConfigError> {
    let text = fs::read_to_string(path).map_err(|error| {
        let what = match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_owned(),
            _ => error.to_string(),
        };
        ConfigError(format!(
            "cannot read the configuration {}: {what}",
            path.display()
        ))
    })?;
    parse(&text).map_err(|error| ConfigError(format!("{}:{error}", path.display())))
}

/// Reads a file's text; the error begins with `<line>:<column>: <key>`.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let place = |error: &toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start.min(text.len()));
        let before = text.get(..at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!("{line}:{column}")
    };
    let document = toml::Deserializer::parse(text)
        .map_err(|error| format!("{}: {}", place(&error), error.message()))?;
    serde_path_to_error::deserialize(document).map_err(|error| {
        let key = error.path().to_string();
        let error = error.into_inner();
        format!("{}: {key}: {}", place(&error), error.message())
    })
}

/// The section and key that a variable sets; none if it is no setting.
fn target(name: &str) -> Option<(&'static str, String)> {
    if let Some((_, section, key)) = SHORT.iter().find(|(short, ..)| *short == name) {
        return Some((section, (*key).to_owned()));
    }
    let rest = name.strip_prefix("LAKEHOUSE_")?.to_ascii_lowercase();
    SECTIONS.iter().find_map(|section| {
        let key = rest.strip_prefix(section)?.strip_prefix('_')?;
        Some((*section, key.to_owned()))
    })
}

/// The configuration with one key set from text.
fn set(config: &Config, section: &'static str, key: &str, text: &str) -> Result<Config, String> {
    let mut table = Table::try_from(config).map_err(|error| error.to_string())?;
    let Some(Value::Table(keys)) = table.get_mut(section) else {
        return Err("there is no such section".into());
    };
    let Some(current) = keys.get(key) else {
        return Err("there is no such key".into());
    };
    let value = match current {
        Value::Boolean(_) => Value::Boolean(
            text.parse()
                .map_err(|_| format!("`{text}` is neither `true` nor `false`"))?,
        ),
        Value::Integer(_) => Value::Integer(
            text.parse()
                .map_err(|_| format!("`{text}` is not a whole number"))?,
        ),
        Value::Float(_) => Value::Float(
            text.parse()
                .map_err(|_| format!("`{text}` is not a number"))?,
        ),
        Value::Array(_) => text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(|item| Value::String(item.to_owned()))
            .collect::<Vec<_>>()
            .into(),
        Value::Table(_) => return Err("a table can be set in the file only".into()),
        _ => Value::String(text.to_owned()),
    };
    keys.insert(key.to_owned(), value);
    Config::deserialize(table).map_err(|error| error.message().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    #[test]
    fn the_documented_file_holds_the_defaults() {
        let text = include_str!("../../../../lakehouse.toml");
        assert_eq!(parse::<Config>(text), Ok(Config::default()));
    }

    #[test]
    fn the_documented_file_holds_every_key() {
        let text = include_str!("../../../../lakehouse.toml");
        let file: Table = text.parse().unwrap();
        let defaults = Table::try_from(Config::default()).unwrap();
        assert_eq!(file, defaults);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place() {
        let error = parse::<Config>("[server]\nbind = \"x:1\"\n  spead = 1\n").unwrap_err();
        assert!(
            error.starts_with("3:3: server.spead: unknown field `spead`"),
            "{error}"
        );
        let error =
            parse::<Config>("[plugins.hello]\nmemory = \"1GiB\"\ndeadlin = 1\n").unwrap_err();
        assert!(
            error.starts_with("3:1: plugins.hello.deadlin: unknown field"),
            "{error}"
        );
        let error = parse::<Config>("[plugins]\nfolder = \"x\"\n").unwrap_err();
        assert!(error.starts_with("2:10: plugins.folder: "), "{error}");
    }

    #[test]
    fn a_bad_value_is_named_with_its_place() {
        let error = parse::<Config>("[server]\nidle_timeout = 30\n").unwrap_err();
        assert!(error.starts_with("2:16: server.idle_timeout: "), "{error}");
        let error = parse::<Config>("[plugins.x]\nmemory = \"lots\"\n").unwrap_err();
        assert!(
            error.starts_with("2:10: plugins.x.memory: `lots` is not a size"),
            "{error}"
        );
    }

    #[test]
    fn the_environment_sets_any_plain_key() {
        let config = load(
            &Overrides::default(),
            env(&[
                ("LAKEHOUSE_SERVER_DRAIN_TIMEOUT", "5s"),
                ("LAKEHOUSE_SERVER_MAX_CONNECTIONS", "7"),
                ("LAKEHOUSE_PLUGINS_REQUIRED", "a, b"),
                ("LAKEHOUSE_DATA", "/d"),
                ("LAKEHOUSE_UNRELATED", "1"),
            ]),
        )
        .unwrap();
        assert_eq!(config.server.drain_timeout, super::super::Span::secs(5));
        assert_eq!(config.server.max_connections, 7);
        assert_eq!(config.plugins.required, ["a", "b"]);
        assert_eq!(config.data.dir, Path::new("/d"));
    }

    #[test]
    fn an_unknown_or_bad_variable_is_named() {
        for (name, value, expected) in [
            (
                "LAKEHOUSE_SERVER_SPEED",
                "1",
                "LAKEHOUSE_SERVER_SPEED (server.speed): there is no such key",
            ),
            (
                "LAKEHOUSE_RUNTIME_INSTANCES",
                "x",
                "LAKEHOUSE_RUNTIME_INSTANCES (runtime.instances): `x` is not a whole number",
            ),
            (
                "LAKEHOUSE_SERVER_CORS",
                "x",
                "LAKEHOUSE_SERVER_CORS (server.cors): a table",
            ),
        ] {
            let error = load(&Overrides::default(), env(&[(name, value)])).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_flag_beats_the_environment() {
        let flags = Overrides {
            bind: Some("127.0.0.1:1".into()),
            ..Overrides::default()
        };
        let config = load(&flags, env(&[("LAKEHOUSE_BIND", "127.0.0.1:2")])).unwrap();
        assert_eq!(config.server.bind, "127.0.0.1:1");
    }
}
