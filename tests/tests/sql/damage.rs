//! Data files that are damaged on disk.

use std::fs;
use std::path::PathBuf;

use lakehouse_tests::Server;
use serde_json::{Value, json};

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

/// What is said of a statement that must fail.
async fn detail(server: &Server, sql: &str) -> String {
    let answer = send(server, sql).await;
    assert!(!answer.status().is_success(), "{sql} succeeds");
    let problem: Value = answer.json().await.expect("a problem");
    problem["detail"].as_str().expect("its detail").to_owned()
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
    let told = detail(&server, &sql("bent")).await;
    assert!(told.contains("Unknown frame descriptor"), "{told}");

    // Frames begin, and then hold nothing of sense.
    let file = data_file(&server, "torn");
    let mut content = fs::read(&file).unwrap();
    for at in frames(&content) {
        content[at + 9..at + 40].fill(0xff);
    }
    fs::write(&file, content).unwrap();
    let told = detail(&server, &sql("torn")).await;
    assert!(told.contains("Data corruption detected"), "{told}");

    assert_eq!(rows(&server, &sql("whole")).await, right);
}
