//! An HTTP plugin that asks another: `GET /v1/greet?name=Ada&language=german`.
//!
//! It needs the grant `plugins = ["example:words/words"]` and a plugin that exports that
//! interface, such as `words`. Which one that is, and which version, it never knows.

mod bindings {
    wit_bindgen::generate!({ path: "../words/wit", world: "example:words/listener" });
}

use bindings::example::words::words::{self, Language};
use lakehouse_sdk::http::{Handler, Problem, Request, Response};

struct Greet;

impl Handler for Greet {
    fn handle(request: Request) -> Result<Response, Problem> {
        let pairs = request.query_pairs();
        let value = |name: &str, default| {
            let pair = pairs.iter().find(|(key, _)| key == name);
            pair.map_or(default, |(_, value)| value.as_str())
        };
        let language = match value("language", "english") {
            "english" => Language::English,
            "german" => Language::German,
            other => Language::Other(other.to_owned()),
        };
        let greeting = words::greet(value("name", "world"), &language)
            .map_err(|reason| Problem::new(503, reason))?;
        Ok(Response::new(200).text(greeting.text))
    }
}

lakehouse_sdk::export_http!(Greet);
