//! What can be seen of a request: its trace, its log lines, its numbers.

mod collector;
mod context;
mod lines;
mod numbers;
mod spans;

use lakehouse_tests::{Builder, Server};

/// The trace and the span of a client, as it sends them.
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// Its trace.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
/// Its span.
const SPAN: &str = "b7ad6b7169203331";

/// A server that sends its spans to this collector.
fn traced(collector: &collector::Collector) -> Builder {
    Server::builder()
        .config(format!(
            "[telemetry]\notlp_endpoint = \"http://{}\"\n",
            collector.address()
        ))
        .env("OTEL_BSP_SCHEDULE_DELAY", "50")
}
