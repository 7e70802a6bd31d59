//! `DELETE`: removing an object.

use lakehouse_sdk::http::{Problem, Request, Response};
use lakehouse_sdk::store;

use crate::get::failed;
use crate::stored;

/// Removes the object, there or not.
///
/// # Errors
/// 501 for a condition, or what the store says.
pub fn delete(key: &str, request: &Request) -> Result<Response, Problem> {
    // The store has no conditional delete, and dropping a condition silently
    // would delete what the client wants to keep.
    for header in ["if-match", "if-none-match", "if-unmodified-since"] {
        if request.header(header).is_some() {
            return Err(Problem::new(
                501,
                format!("DELETE does not honour {header}"),
            ));
        }
    }
    store::delete(&stored(key)).map_err(|error| failed(key, error))?;
    Ok(Response::new(204))
}
