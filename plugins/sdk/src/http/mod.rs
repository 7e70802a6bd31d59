//! HTTP: one [`Request`] in, one [`Response`] or [`Problem`] out.

mod body;
mod panic;
mod problem;
mod request;
mod response;

pub use body::{BodyReader, BodyStream, BodyWriter};
pub use panic::OnPanic;
pub use problem::Problem;
pub use request::{Request, parse_json};
pub use response::Response;

use wasip2::http::types::{IncomingRequest, ResponseOutparam};

/// What an HTTP plugin does.
pub trait Handler {
    /// Answers one request. A [`Problem`] becomes an `application/problem+json`
    /// answer with its status.
    ///
    /// # Errors
    /// Whatever went wrong, in words for the client.
    fn handle(request: Request) -> Result<Response, Problem>;
}

#[doc(hidden)]
pub fn serve<H: Handler>(request: IncomingRequest, out: ResponseOutparam) {
    panic::begin(out);
    let response = H::handle(Request::new(request)).unwrap_or_else(Problem::into_response);
    if let Some(out) = panic::end() {
        response.send(out);
    }
}
