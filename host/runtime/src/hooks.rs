//! What a guest may do with `wasi:http` beside answering.

use std::sync::Arc;

use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks};

use crate::plugin::Shared;

type Sent = (
    http::Response<WasiBody>,
    Box<dyn Future<Output = Result<(), Error>> + Send>,
);

/// How much of a body a guest may write at once.
const WRITE: usize = 32 << 10;
/// How often before any of that is taken, and once more: most guests write 4 KiB at a time, and
/// would wait for each of these otherwise.
const WRITES: usize = 15;

/// Sends the requests that the plugin is granted, and refuses the others.
pub(crate) struct Hooks(pub(crate) Arc<Shared>);

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
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        let plugin = &self.0;
        let authority = request.uri().authority().cloned();
        match plugin.given.outbound.send(request, options) {
            Ok(answer) => Box::new(async move {
                // The client looks after the connection by itself.
                let done: Sent = (answer.await?, Box::new(std::future::ready(Ok(()))));
                Ok(done)
            }),
            Err(error) => {
                let plugin = plugin.spec.name.as_str();
                let authority = authority.as_ref().map(|authority| authority.as_str());
                tracing::warn!(
                    plugin,
                    authority,
                    "an outgoing request was refused: `grants.http` does not cover it"
                );
                Box::new(std::future::ready(Err(error)))
            }
        }
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        WRITES
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        WRITE
    }
}
