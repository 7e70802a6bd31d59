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
//!   async, and [`store_async`] for many reads at once. The feature `arrow` adds
//!   [`sql`] for plugins with SQL functions and [`format`] for those that read a
//!   format of bodies.
//! - What a plugin prints goes to the host's log, with the plugin's name. A
//!   panic prints its message there, and costs that request and no other.

mod bindings;
pub mod config;
#[doc(hidden)]
pub mod export;
#[cfg(feature = "arrow")]
pub mod format;
pub mod http;
#[cfg(feature = "arrow")]
pub mod ipc;
#[cfg(feature = "tokio")]
pub mod runtime;
#[cfg(feature = "arrow")]
pub mod sql;
#[cfg(feature = "tokio")]
pub mod store_async;

#[cfg(feature = "arrow")]
pub use arrow;
pub use bindings::lakehouse::plugin::{
    catalog, compression, format_types, formats, functions, log, metrics, sql_types, store, types,
    vectors,
};
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

/// Makes a function without arguments that returns a `Result` this component's test of
/// itself. The host calls it in an instance of a new version, before the version serves;
/// an error, or a panic, keeps it from serving, and is told to whoever deployed it.
///
/// ```ignore
/// fn works() -> Result<(), Problem> {
///     store::list("", None, None, 1)?;
///     Ok(())
/// }
///
/// lakehouse_sdk::export_self_test!(works);
/// ```
#[macro_export]
macro_rules! export_self_test {
    ($test:path) => {
        const _: () = {
            struct LakehouseSelfTest;

            impl $crate::export::self_test::exports::lakehouse::plugin::self_test::Guest
                for LakehouseSelfTest
            {
                fn run() -> ::std::result::Result<(), ::std::string::String> {
                    $test().map_err(|error| ::std::string::ToString::to_string(&error))
                }
            }

    $crate::export::self_test::__export_self_test!(LakehouseSelfTest with_types_in $crate::export::self_test);
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

/// Makes the functions of a type that implements [`sql::Functions`] callable from SQL.
#[cfg(feature = "arrow")]
#[macro_export]
macro_rules! export_functions {
    ($plugin:ident) => {
        const _: () = {
            use $crate::sql::Registry;
            use $crate::sql_types::FunctionSignature;
            use $crate::types::Error;

            struct LakehouseFunctions;

            fn registry() -> &'static Registry {
                static REGISTRY: ::std::sync::OnceLock<Registry> = ::std::sync::OnceLock::new();
                REGISTRY.get_or_init(|| {
                    Registry::new(<$plugin as $crate::sql::Functions>::functions())
                })
            }

            impl $crate::export::functions::exports::lakehouse::plugin::sql_functions::Guest
                for LakehouseFunctions
            {
                fn list() -> Result<Vec<FunctionSignature>, Error> {
                    registry().list()
                }

                fn call(name: String, rows: Vec<u8>) -> Result<Vec<u8>, Error> {
                    registry().call(&name, &rows)
                }

                fn accumulate(
                    name: String,
                    states: Vec<u8>,
                    rows: Vec<u8>,
                ) -> Result<Vec<u8>, Error> {
                    registry().accumulate(&name, &states, &rows)
                }

                fn merge(
                    name: String,
                    states: Vec<u8>,
                    others: Vec<u8>,
                ) -> Result<Vec<u8>, Error> {
                    registry().merge(&name, &states, &others)
                }

                fn evaluate(name: String, states: Vec<u8>) -> Result<Vec<u8>, Error> {
                    registry().evaluate(&name, &states)
                }
            }

    $crate::export::functions::__export_functions!(LakehouseFunctions with_types_in $crate::export::functions);
        };
    };
}

/// Makes a type that implements [`format::Format`] the format of bodies that has this
/// plugin's name.
#[cfg(feature = "arrow")]
#[macro_export]
macro_rules! export_format {
    ($format:ident) => {
        const _: () = {
            use $crate::export::format::exports::lakehouse::plugin::ingest_format;

            struct LakehouseFormat;

            impl ingest_format::Guest for LakehouseFormat {
                type Decoder = $crate::format::Session<$format>;

                fn open(
                    options: Vec<(String, String)>,
                    table: Option<Vec<u8>>,
                ) -> Result<ingest_format::Decoder, $crate::format_types::FormatError> {
                    $crate::format::Session::<$format>::open(options, table)
                        .map(ingest_format::Decoder::new)
                }
            }

    $crate::export::format::__export_format!(LakehouseFormat with_types_in $crate::export::format);
        };
    };
}
