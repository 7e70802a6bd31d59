//! What the gateway does whoever answers: routes, ids, limits, protocols, other
//! hosts.

mod browsers;
mod limits;
mod openapi;
mod protocol;
mod proxy;
mod raw;
mod routes;

use lakehouse_tests::{Builder, Server};

/// A server without plugins.
fn bare(config: &str) -> Builder {
    Server::builder().config(config).plugins(&[])
}
