//! Foreign clients from PyPI against the real server.
//!
//! `cargo xtask test` installs them and names their interpreter in
//! `LAKEHOUSE_TEST_PYTHON`.

use std::process::Command;

use lakehouse_tests::{Server, repository};

/// Runs a script of `tests/clients` against a fresh server.
fn client(script: &str, arguments: &[&str]) {
    let python = std::env::var("LAKEHOUSE_TEST_PYTHON")
        .expect("LAKEHOUSE_TEST_PYTHON names the clients' interpreter; run `cargo xtask test`");
    let server = Server::start_blocking();
    let work = tempfile::tempdir().expect("a temporary folder");
    let output = Command::new(python)
        .arg(repository().join("tests/clients").join(script))
        .arg(server.base())
        .arg(work.path())
        .args(arguments)
        .output()
        .expect("the interpreter starts");
    assert!(
        output.status.success(),
        "{script} {arguments:?} failed:\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}

#[test]
fn duckdb_answers_tpch_as_we_do_on_parquet() {
    client("tpch.py", &["parquet"]);
}

#[test]
fn duckdb_answers_tpch_as_we_do_on_csv() {
    client("tpch.py", &["csv"]);
}

#[test]
fn pyiceberg_reads_what_ingest_wrote() {
    client("pyiceberg_reads.py", &[]);
}

#[test]
fn pyiceberg_writes_through_the_rest_catalog() {
    client("pyiceberg_catalog.py", &[]);
}

#[test]
fn columns_that_pyiceberg_changes_are_found_by_their_ids() {
    client("pyiceberg_evolves.py", &[]);
}

#[test]
fn pyarrow_fills_and_searches_vectors() {
    client("vectors_arrow.py", &[]);
}
