//! The smallest HTTP plugin: `GET /v1/hello?name=you`.

use lakehouse_sdk::http::{Handler, Problem, Request, Response};

struct Hello;

impl Handler for Hello {
    fn handle(request: Request) -> Result<Response, Problem> {
        let pairs = request.query_pairs();
        let name = pairs.iter().find(|(key, _)| key == "name");
        let name = name.map_or("world", |(_, value)| value);
        Ok(Response::new(200).text(format!("hello, {name}")))
    }
}

lakehouse_sdk::export_http!(Hello);
