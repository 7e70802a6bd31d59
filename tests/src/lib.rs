//! End-to-end tests against the real binary over HTTP.
//!
//! A test starts a server of its own and talks to it as any client would:
//!
//! ```no_run
//! # async fn example() {
//! use lakehouse_tests::{Server, expect_json, expect_problem};
//!
//! let server = Server::start().await;
//! let answer = server.put("/v1/storage/put/a").body("text").send().await.unwrap();
//! assert_eq!(expect_json(answer, 201).await["size"], 4);
//! let answer = server.get("/v1/storage/get/b").send().await.unwrap();
//! expect_problem(answer, 404).await;
//! # }
//! ```
//!
//! - The binary is `$LAKEHOUSE_BIN`, else `release/lakehouse` under
//!   `$CARGO_TARGET_DIR` or the repository's `target`. It is not built here:
//!   `cargo xtask build` does that.
//! - The plugins are those of `$LAKEHOUSE_PLUGINS`, else of `plugins/` in the
//!   repository.
//! - Every server has its own port, data folder and configuration file. Compiled
//!   plugins are cached in the user's cache folder, across servers.
//! - When a test fails, its server's log is printed.

mod answer;
mod builder;
mod disk;
mod logs;
mod place;
mod server;
mod tour;

pub use answer::{expect_json, expect_problem, expect_status, expect_text, until};
pub use builder::Builder;
pub use disk::SmallDisk;
pub use place::{binary, drop_in, plugin, plugins, repository};
pub use server::Server;
pub use tour::{section, tour};
