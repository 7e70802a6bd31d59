//! What a guest may do with `wasi:http` beside answering.

use http_body_util::combinators::UnsyncBoxBody;
use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks};

type Sent = (
    http::Response<WasiBody>,
    Box<dyn Future<Output = Result<(), Error>> + Send>,
);

/// Refuses outgoing requests: there is no grant for them.
#[derive(Debug)]
pub(crate) struct Hooks;

impl WasiHttpHooks for Hooks {
    fn is_forbidden_header(&mut self, name: &http::HeaderName) -> bool {
        wasmtime_wasi_http::DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        static FILTER: std::sync::LazyLock<ForbiddenHeaderFilter> =
            std::sync::LazyLock::new(|| {
                std::sync::Arc::new(|name| {
                    wasmtime_wasi_http::DEFAULT_FORBIDDEN_HEADERS.contains(name)
                })
            });
        ForbiddenHeaderFilter::clone(&FILTER)
    }

    fn send_request(
        &mut self,
        request: http::Request<UnsyncBoxBody<bytes::Bytes, Error>>,
        _options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        tracing::debug!(uri = %request.uri(), "a plugin's outgoing request was refused");
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }
}
