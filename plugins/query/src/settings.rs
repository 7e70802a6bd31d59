//! The plugin's own configuration (`[plugins.query.config]`).

use datafusion::error::{DataFusionError, Result};

use crate::error::HostError;

/// What an operator can set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `memory_limit`: bytes that sorts, joins and aggregations of one query may
    /// hold together. What is read and written passes beside it, so it must
    /// stay well below the instance's own limit.
    pub memory_limit: usize,
    /// `spill_limit`: bytes that one instance may have spilled to disk.
    pub spill_limit: u64,
    /// `metadata_cache`: bytes of Parquet footers kept between requests.
    pub metadata_cache: usize,
    /// `batch_size`: rows that pass between operators at once.
    pub batch_size: usize,
    /// `pushdown_filters`: whether filters run while Parquet is decoded.
    pub pushdown_filters: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            memory_limit: 2 << 30,
            spill_limit: 64 << 30,
            metadata_cache: 64 << 20,
            batch_size: 8192,
            pushdown_filters: false,
        }
    }
}

impl Settings {
    /// Reads the configuration.
    ///
    /// # Errors
    /// A value that is not what its key takes; the key is named.
    pub fn load() -> Result<Self> {
        let mut settings = Self::default();
        if let Some(bytes) = value("memory_limit", parse_bytes)? {
            settings.memory_limit = usize::try_from(bytes).unwrap_or(usize::MAX);
        }
        if let Some(bytes) = value("spill_limit", parse_bytes)? {
            settings.spill_limit = bytes;
        }
        if let Some(bytes) = value("metadata_cache", parse_bytes)? {
            settings.metadata_cache = usize::try_from(bytes).unwrap_or(usize::MAX);
        }
        if let Some(rows) = value("batch_size", |text| {
            text.parse().ok().filter(|rows| *rows > 0)
        })? {
            settings.batch_size = rows;
        }
        if let Some(on) = value("pushdown_filters", |text| text.parse().ok())? {
            settings.pushdown_filters = on;
        }
        Ok(settings)
    }
}

fn value<T>(key: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
    let Some(text) = lakehouse_sdk::config::get(key).map_err(HostError)? else {
        return Ok(None);
    };
    match parse(text.trim()) {
        Some(value) => Ok(Some(value)),
        None => Err(DataFusionError::Configuration(format!(
            "The plugin's configuration has {key} = {text:?}, which cannot be used"
        ))),
    }
}

/// `1073741824`, `1024MiB`, `1 GiB`, `2GB`.
fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "kb" => 1_000,
        "m" | "mib" => 1 << 20,
        "mb" => 1_000_000,
        "g" | "gib" => 1 << 30,
        "gb" => 1_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}
