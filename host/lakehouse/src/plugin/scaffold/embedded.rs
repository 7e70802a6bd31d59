//! What the binary carries for new plugins: files of the tree it was built from.

use include_dir::{Dir, include_dir};

/// The SDK's sources.
pub static SDK: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../plugins/sdk/src");
/// The WIT package, with what it depends on.
pub static WIT: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../wit");
/// A plugin that answers HTTP requests.
pub static HTTP: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/templates/http");
/// A plugin that adds a function to SQL.
pub static SQL_FUNCTION: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/templates/sql-function");
/// A plugin that adds a format of bodies.
pub static INGEST_FORMAT: Dir<'static> =
    include_dir!("$CARGO_MANIFEST_DIR/templates/ingest-format");

/// The SDK's manifest.
pub const SDK_MANIFEST: &str = include_str!("../../../../../plugins/sdk/Cargo.toml");
/// That of the workspace which it is a member of.
pub const WORKSPACE_MANIFEST: &str = include_str!("../../../../../plugins/Cargo.toml");
