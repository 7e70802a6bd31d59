//! Keys: the names of objects.

use std::fmt;

use crate::Error;

/// Bytes that a whole key may have: the 1024 of the HTTP contract and room for
/// the folder that a plugin puts before them.
pub const MAX_KEY: usize = 1200;

/// A valid key: a `/`-separated path of UTF-8 without empty, `.` or `..`
/// segments and without NUL, 1 to [`MAX_KEY`] bytes long.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// Checks a key.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid), naming what is wrong with it.
    pub fn parse(key: impl Into<String>) -> Result<Self, Error> {
        let key = key.into();
        let reason = if key.is_empty() {
            "is empty"
        } else if key.len() > MAX_KEY {
            return Err(Error::invalid(format!(
                "the key has {} bytes; {MAX_KEY} are allowed",
                key.len()
            )));
        } else if key.contains('\0') {
            "holds a NUL"
        } else if key.starts_with('/') {
            "begins with `/`"
        } else if key.ends_with('/') {
            "ends with `/`"
        } else if key.split('/').any(str::is_empty) {
            "has an empty segment"
        } else if key.split('/').any(|segment| matches!(segment, "." | "..")) {
            "has a `.` or `..` segment"
        } else {
            return Ok(Self(key));
        };
        Err(Error::invalid(format!(
            "the key `{}` {reason}",
            key.escape_debug()
        )))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key as owned text.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_debug())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn odd_but_valid_keys_pass() {
        for key in [
            "a", "a/b", "a b", "%2e%2e/x", "a%2Fb", "…/~*#?", "...", "a/...b", "\n", "a\\..\\b",
            "C:/x",
        ] {
            assert_eq!(Key::parse(key).expect(key).as_str(), key);
        }
        assert!(Key::parse("k".repeat(MAX_KEY)).is_ok());
    }

    #[test]
    fn keys_that_could_leave_the_root_or_name_two_things_are_refused() {
        for key in [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a/.", "a\0b",
        ] {
            let error = Key::parse(key).expect_err(key);
            assert_eq!(error.kind(), Kind::Invalid, "{key:?}");
        }
        assert!(Key::parse("k".repeat(MAX_KEY + 1)).is_err());
    }
}
