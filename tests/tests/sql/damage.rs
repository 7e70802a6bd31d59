//! Data files that are damaged on disk.

use std::fs;
use std::path::{Path, PathBuf};

use lakehouse_tests::{Server, expect_problem};
use reqwest::Response;
use serde_json::json;

use crate::{rows, run, send, server};

/// The first bytes of every zstd frame.
const MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// The one data file of a table.
fn data_file(server: &Server, table: &str) -> PathBuf {
    let folder = server
        .store_dir()
        .join("warehouse/default")
        .join(table)
        .join("data");
    let mut files = fs::read_dir(&folder).expect("a folder of data files");
    files
        .next()
        .expect("a data file")
        .expect("its entry")
        .path()
}

/// Where frames begin in a file.
fn frames(content: &[u8]) -> Vec<usize> {
    let windows = content.windows(MAGIC.len()).enumerate();
    windows
        .filter(|(_, window)| *window == MAGIC)
        .map(|(at, _)| at)
        .collect()
}

/// What is said of a statement that fails because of this file.
async fn detail(server: &Server, sql: &str, file: &Path) -> String {
    blamed(send(server, sql).await, file).await
}

/// What an answer says that must name a damaged file.
async fn blamed(answer: Response, file: &Path) -> String {
    let problem = expect_problem(answer, 500).await;
    let detail = problem["detail"].as_str().expect("its detail").to_owned();
    let key = file.to_str().expect("UTF-8");
    let key = &key[key.find("warehouse/").expect("a file of the warehouse")..];
    assert!(
        detail.contains(&format!("data file {key} cannot be read: ")),
        "{detail}"
    );
    detail
}

#[tokio::test]
async fn a_damaged_page_is_named_for_what_it_is() {
    let server = server().await;
    for table in ["whole", "bent", "torn"] {
        run(
            &server,
            &format!(
                "CREATE TABLE {table} AS SELECT value AS n, md5(CAST(value AS VARCHAR)) AS hash \
                 FROM generate_series(1, 100000)"
            ),
        )
        .await;
    }
    let sql = |table: &str| format!("SELECT count(*), sum(n), max(length(hash)) FROM {table}");
    let right = json!([[100_000, 5_000_050_000_u64, 32]]);
    assert_eq!(rows(&server, &sql("whole")).await, right);

    // No frame begins where one should.
    let file = data_file(&server, "bent");
    let mut content = fs::read(&file).unwrap();
    let begins = frames(&content);
    assert!(begins.len() > 4, "pages are not zstd: {begins:?}");
    for at in &begins {
        content[*at] ^= 0xff;
    }
    fs::write(&file, content).unwrap();
    let told = detail(&server, &sql("bent"), &file).await;
    assert!(told.contains("Unknown frame descriptor"), "{told}");

    // Frames begin, and then hold nothing of sense.
    let file = data_file(&server, "torn");
    let mut content = fs::read(&file).unwrap();
    for at in frames(&content) {
        content[at + 9..at + 40].fill(0xff);
    }
    fs::write(&file, content).unwrap();
    let told = detail(&server, &sql("torn"), &file).await;
    assert!(told.contains("Data corruption detected"), "{told}");

    assert_eq!(rows(&server, &sql("whole")).await, right);
}

#[tokio::test]
async fn wherever_a_byte_is_wrong_the_file_is_named_or_rows_come() {
    let server = server().await;
    // Texts that repeat, texts that do not, numbers, and nulls.
    run(
        &server,
        "CREATE TABLE t AS SELECT value AS n, concat('kind ', value % 7) AS kind, \
         md5(CAST(value AS VARCHAR)) AS hash, CASE WHEN value % 3 = 0 THEN value / 2.5 END AS part \
         FROM generate_series(1, 20000)",
    )
    .await;
    let sql = "SELECT count(n), sum(n), count(DISTINCT kind), max(length(hash)), max(part) FROM t";
    let right = rows(&server, sql).await;
    let file = data_file(&server, "t");
    let whole = fs::read(&file).unwrap();
    let footer = u32::from_le_bytes(whole[whole.len() - 8..][..4].try_into().unwrap());
    // The footer stays in the engine's cache.
    let pages = whole.len() - footer as usize - 8;
    let mut named = 0;
    for at in (4..pages).step_by(pages / 300) {
        let mut content = whole.clone();
        content[at] ^= 0x55;
        fs::write(&file, content).unwrap();
        let answer = send(&server, sql).await;
        if answer.status() != 200 {
            blamed(answer, &file).await;
            named += 1;
        }
    }
    assert!(named > 30, "{named}");
    fs::write(&file, whole).unwrap();
    assert_eq!(rows(&server, sql).await, right);
}

#[tokio::test]
async fn a_damaged_footer_is_named() {
    let server = server().await;
    run(&server, "CREATE TABLE t AS SELECT 1 AS n").await;
    let file = data_file(&server, "t");
    let whole = fs::read(&file).unwrap();
    for from_end in [1, 8, 20] {
        let mut content = whole.clone();
        let at = content.len() - from_end;
        content[at] ^= 0xff;
        fs::write(&file, content).unwrap();
        detail(&server, "SELECT n FROM t", &file).await;
    }
    fs::write(&file, whole).unwrap();
    assert_eq!(rows(&server, "SELECT n FROM t").await, json!([[1]]));
}

#[tokio::test]
async fn rows_of_a_damaged_file_are_not_written_elsewhere() {
    let server = server().await;
    run(
        &server,
        "CREATE TABLE t AS SELECT value AS n FROM generate_series(1, 1000)",
    )
    .await;
    run(&server, "CREATE TABLE u (n BIGINT)").await;
    let file = data_file(&server, "t");
    let mut content = fs::read(&file).unwrap();
    for at in frames(&content) {
        content[at] ^= 0xff;
    }
    fs::write(&file, content).unwrap();
    detail(&server, "INSERT INTO u SELECT n FROM t", &file).await;
    detail(&server, "CREATE TABLE v AS SELECT n FROM t", &file).await;
    assert_eq!(rows(&server, "SELECT count(*) FROM u").await, json!([[0]]));
    expect_problem(send(&server, "SELECT * FROM v").await, 400).await;
}

#[tokio::test]
async fn what_a_statement_computes_while_files_are_read_is_its_own_fault() {
    let server = Server::builder()
        .plugins(&["catalog", "query"])
        .config("[plugins.query.config]\npushdown_filters = \"true\"\n")
        .start()
        .await;
    run(
        &server,
        "CREATE TABLE t AS SELECT value AS n, concat('t', value) AS x FROM generate_series(1, 10)",
    )
    .await;
    for sql in [
        "SELECT 1 / (n - 5) FROM t",
        "SELECT n FROM t WHERE 1 / (n - 5) > 0",
        "SELECT CAST(x AS BIGINT) FROM t",
        "SELECT n FROM t WHERE CAST(x AS BIGINT) = n",
    ] {
        let problem = expect_problem(send(&server, sql).await, 400).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(!detail.contains("data file"), "{sql}: {detail}");
    }
}
