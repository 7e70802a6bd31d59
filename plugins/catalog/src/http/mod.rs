//! The catalog over HTTP.

pub mod answer;
#[cfg(target_family = "wasm")]
pub mod handler;
pub mod route;

#[cfg(target_family = "wasm")]
pub mod iceberg;
pub mod iceberg_route;
