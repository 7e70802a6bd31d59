//! The plugin's own configuration: `[plugins.<name>.config]` of the host's file.

use crate::bindings::wasi::config::store::{self, Error};
use crate::types;

/// The value of a key; none if it is not set.
///
/// # Errors
/// If the host cannot read its configuration.
pub fn get(key: &str) -> Result<Option<String>, types::Error> {
    store::get(key).map_err(|error| {
        let (Error::Upstream(text) | Error::Io(text)) = error;
        types::Error::Unavailable(format!("configuration key `{key}`: {text}"))
    })
}
