//! What plugin authors depend on: bindings of the `lakehouse:plugin` WIT package
//! and the small helpers that make a plugin a few lines.
//!
//! ```ignore
//! use lakehouse_sdk::http::{Handler, Problem, Request, Response};
//!
//! struct Hello;
//!
//! impl Handler for Hello {
//!     fn handle(_request: Request) -> Result<Response, Problem> {
//!         Ok(Response::new(200).text("hello, world\n"))
//!     }
//! }
//!
//! lakehouse_sdk::export_http!(Hello);
//! ```
//!
//! - A component imports only the interfaces whose functions it calls, so a
//!   plugin that never touches [`store`] needs no grant for it.
//! - Everything blocks: a component has one thread and the host runs others
//!   meanwhile. The feature `tokio` adds [`runtime`] for libraries that need
//!   async, and [`store_async`] for many reads at once.
//! - What a plugin prints goes to the host's log, with the plugin's name. A
//!   panic prints its message there, and costs that request and no other.

mod bindings;
pub mod config;
#[doc(hidden)]
pub mod export;
pub mod http;
#[cfg(feature = "tokio")]
pub mod runtime;
#[cfg(feature = "tokio")]
pub mod store_async;

pub use bindings::lakehouse::plugin::{catalog, compression, log, metrics, store, types, vectors};
pub use wasip2;

/// What a plugin implements that serves tables to others: the trait
/// [`Guest`](catalog_export::Guest) and its types. See [`export_catalog!`].
pub mod catalog_export {
    pub use crate::export::exports::lakehouse::plugin::catalog::*;
}

/// Makes a type that implements [`http::Handler`] this component's HTTP handler.
#[macro_export]
macro_rules! export_http {
    ($plugin:ident) => {
        const _: () = {
            struct LakehouseHttp;

            impl $crate::wasip2::exports::http::incoming_handler::Guest for LakehouseHttp {
                fn handle(
                    request: $crate::wasip2::http::types::IncomingRequest,
                    response: $crate::wasip2::http::types::ResponseOutparam,
                ) {
                    $crate::http::serve::<$plugin>(request, response);
                }
            }

    $crate::wasip2::http::proxy::export!(LakehouseHttp with_types_in $crate::wasip2);
        };
    };
}

/// Makes a type that implements [`catalog_export::Guest`] the catalog that other
/// plugins import. Stands beside [`export_http!`].
#[macro_export]
macro_rules! export_catalog {
    ($plugin:ident) => {
        const _: () = {
    $crate::export::__export_catalog!($plugin with_types_in $crate::export);
        };
    };
}
