//! Digests that a client sends with a body: `Content-Digest` and `Repr-Digest` (RFC
//! 9530), and the older `Digest` (RFC 3230).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, StatusCode};

use super::problem::Problem;

const HEADERS: [&str; 3] = ["content-digest", "repr-digest", "digest"];
const ALGORITHM: &str = "sha-256";

/// Compares what the headers say with the SHA-256 of the body, in hexadecimal.
///
/// # Errors
/// 400 if one is another one, or cannot be checked.
pub fn check(headers: &HeaderMap, actual: &str) -> Result<(), Problem> {
    for name in HEADERS {
        for value in headers.get_all(name) {
            let bad = |what: String| {
                Problem::new(
                    StatusCode::BAD_REQUEST,
                    format!("the header {name}: {what}"),
                )
            };
            let text = value.to_str().map_err(|_| bad("it is not text".into()))?;
            let expected = sha256(text).map_err(bad)?;
            if expected != actual {
                return Err(bad(format!(
                    "the body has the SHA-256 {actual}, not {expected}"
                )));
            }
        }
    }
    Ok(())
}

/// The SHA-256 in a list of digests, in hexadecimal.
fn sha256(list: &str) -> Result<String, String> {
    let mut digests = list
        .split(',')
        .filter_map(|item| item.trim().split_once('='));
    let (_, value) = digests
        .find(|(algorithm, _)| algorithm.trim().eq_ignore_ascii_case(ALGORITHM))
        .ok_or_else(|| format!("no {ALGORITHM} in `{list}`, and no other is checked"))?;
    let value = value.split(';').next().unwrap_or_default().trim();
    let value = value
        .strip_prefix(':')
        .and_then(|value| value.strip_suffix(':'))
        .unwrap_or(value);
    let bytes = BASE64_STANDARD
        .decode(value)
        .map_err(|error| format!("`{value}` is not base64: {error}"))?;
    if bytes.len() != 32 {
        return Err(format!(
            "`{value}` is not a SHA-256: it has {} bytes",
            bytes.len()
        ));
    }
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const BASE64: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    #[test]
    fn old_and_new_forms_are_read() {
        for list in [
            format!("sha-256=:{BASE64}:"),
            format!("SHA-256={BASE64}"),
            format!("md5=:AAAA:, sha-256=:{BASE64}:"),
            format!("sha-256=:{BASE64}:;q=1"),
        ] {
            assert_eq!(sha256(&list).as_deref(), Ok(EMPTY), "{list}");
        }
    }

    #[test]
    fn what_cannot_be_checked_is_refused() {
        for (list, expected) in [
            ("md5=:AAAA:", "no sha-256"),
            ("sha-256=:AAAA:", "it has 3 bytes"),
            ("sha-256=!", "is not base64"),
            ("", "no sha-256"),
        ] {
            let error = sha256(list).unwrap_err();
            assert!(error.contains(expected), "{list}: {error}");
        }
    }
}
