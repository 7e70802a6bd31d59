//! Keys as they stand in a path.

use lakehouse_sdk::http::Problem;
use percent_encoding::percent_decode_str;

/// Longest key in bytes.
const MAX: usize = 1024;

/// The key that a path names, percent-decoded once.
///
/// # Errors
/// 400 that says what is wrong with it.
pub fn decode(encoded: &str) -> Result<String, Problem> {
    if let Some(at) = bad_escape(encoded) {
        return Err(Problem::bad_request(format!(
            "the key has a `%` at byte {at} without two hexadecimal digits after it"
        )));
    }
    let key = percent_decode_str(encoded)
        .decode_utf8()
        .map_err(|error| Problem::bad_request(format!("the key is not UTF-8: {error}")))?
        .into_owned();
    let wrong = if key.is_empty() {
        "the key is empty".to_owned()
    } else if key.len() > MAX {
        format!("the key has {} bytes; {MAX} are allowed", key.len())
    } else if key.contains('\0') {
        "the key holds a NUL".to_owned()
    } else if key.starts_with('/') {
        "the key begins with `/`: keys are not absolute paths".to_owned()
    } else if key.ends_with('/') {
        "the key ends with `/`: its last segment is empty".to_owned()
    } else if key.contains("//") {
        "the key has an empty segment: `//`".to_owned()
    } else if let Some(dots) = key.split('/').find(|part| matches!(*part, "." | "..")) {
        format!("the key has the segment `{dots}`")
    } else {
        return Ok(key);
    };
    Err(Problem::bad_request(wrong))
}

/// Where a `%` stands that is no escape.
fn bad_escape(encoded: &str) -> Option<usize> {
    encoded.match_indices('%').map(|(at, _)| at).find(|at| {
        let digits = encoded.as_bytes().get(at + 1..at + 3);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}
