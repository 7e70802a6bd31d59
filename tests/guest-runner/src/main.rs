//! Runs a guest crate's unit tests: cargo's runner for `wasm32-wasip2`.
//!
//! A test binary is a `wasi:cli` command. It gets its arguments, the standard
//! streams and a temporary folder as `/tmp`; any other import (the host's
//! `store`, say) may stand in it, but traps when it is called.

use anyhow::{Context, Result};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let file = arguments
        .first()
        .cloned()
        .context("usage: guest-test-runner <component> [arguments]")?;
    // The test harness of a target without threads runs tests one by one.
    arguments.push("--test-threads=1".into());
    let scratch = tempfile::tempdir()?;

    let engine = Engine::new(&Config::new())?;
    let component = Component::from_file(&engine, &file)?;
    let mut linker = Linker::<State>::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    linker.define_unknown_imports_as_traps(&component)?;

    let wasi = WasiCtx::builder()
        .args(&arguments)
        .inherit_stdio()
        .env("RUST_BACKTRACE", "1")
        .preopened_dir(scratch.path(), "/tmp", FsPerms::ReadWrite)?
        .build();
    let state = State {
        wasi,
        table: ResourceTable::new(),
    };
    let mut store = Store::new(&engine, state);
    let command = Command::instantiate_async(&mut store, &component, &linker).await?;
    let outcome = command.wasi_cli_run().call_run(&mut store).await;
    drop(store);
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(())) => anyhow::bail!("the tests in {file} failed"),
        Err(trap) => match trap.downcast_ref::<wasmtime_wasi::I32Exit>() {
            Some(exit) => std::process::exit(exit.0),
            None => Err(trap.into()),
        },
    }
}
