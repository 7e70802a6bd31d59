//! `GET /v1/{{name}}?name=you` greets.

use lakehouse_sdk::http::{Handler, Problem, Request, Response};

struct Plugin;

impl Handler for Plugin {
    fn handle(request: Request) -> Result<Response, Problem> {
        if request.method() != "GET" {
            return Err(Problem::method_not_allowed(request.method(), "GET"));
        }
        let pairs = request.query_pairs();
        let name = pairs.iter().find(|(key, _)| key == "name");
        let name = name.map(|(_, value)| value.as_str());
        Ok(Response::new(200).text(greeting(name)?))
    }
}

/// What to say to whom.
fn greeting(name: Option<&str>) -> Result<String, Problem> {
    match name {
        Some("") => Err(Problem::bad_request("`name` is empty")),
        Some(name) => Ok(format!("hello, {name}")),
        None => Ok("hello, world".to_owned()),
    }
}

/// The host runs this before a version serves.
fn works() -> Result<(), Problem> {
    greeting(None).map(drop)
}

lakehouse_sdk::export_http!(Plugin);
lakehouse_sdk::export_self_test!(works);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_named_is_greeted() {
        assert_eq!(greeting(None).unwrap(), "hello, world");
        assert_eq!(greeting(Some("you")).unwrap(), "hello, you");
        assert_eq!(greeting(Some("")).unwrap_err().status, 400);
    }
}
