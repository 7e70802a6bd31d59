//! The storage plugin: objects over HTTP.
//!
//! The object `k` of a client is the key `objects/k` of the store. Bodies stream
//! between the client and the store inside the host; they never enter this
//! component's memory.

mod conditions;
mod delete;
mod get;
mod key;
mod list;
mod put;
mod range;

use lakehouse_sdk::http::{Handler, Problem, Request, Response};

/// Where clients' objects are in the store.
const PREFIX: &str = "objects/";

struct Storage;

impl Handler for Storage {
    fn handle(request: Request) -> Result<Response, Problem> {
        let path = request.path();
        let unknown = || Problem::not_found(format!("there is nothing at {path}"));
        let route = path.strip_prefix("/storage/").ok_or_else(unknown)?;
        let (action, rest) = match route.split_once('/') {
            Some((action, rest)) => (action, Some(rest)),
            None => (route, None),
        };
        let allow = match (action, rest) {
            ("put", Some(_)) => "PUT",
            ("get", Some(_)) => "GET, HEAD",
            ("delete", Some(_)) => "DELETE",
            ("list", None) => "GET",
            _ => return Err(unknown()),
        };
        if !allow.split(", ").any(|method| method == request.method()) {
            return Err(Problem::method_not_allowed(request.method(), allow));
        }
        let key = || key::decode(rest.unwrap_or_default());
        match action {
            "put" => put::put(key()?, request),
            "get" => get::get(&key()?, &request),
            "delete" => delete::delete(&key()?, &request),
            _ => list::list(&request),
        }
    }
}

lakehouse_sdk::export_http!(Storage);

/// The name of an object in the store.
fn stored(key: &str) -> String {
    format!("{PREFIX}{key}")
}

/// The client's name of an object in the store.
fn shown(stored: &str) -> &str {
    stored.strip_prefix(PREFIX).unwrap_or(stored)
}
