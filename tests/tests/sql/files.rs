//! Files of tables damaged on disk: named, never read wrong.

use std::fs;
use std::path::{Path, PathBuf};

use lakehouse_tests::{Server, expect_problem};

use crate::{rows, run, send, server};

/// The one file below the table's folder whose name ends so.
fn file(server: &Server, part: &str, end: &str) -> PathBuf {
    let folder = server.store_dir().join("warehouse/default/bad").join(part);
    let entries = fs::read_dir(folder).expect("a folder");
    let mut found = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            name(path).ends_with(end) && name(path).starts_with("snap-") == (end == ".avro")
        });
    let file = found.next().unwrap_or_else(|| panic!("no {part}/…{end}"));
    assert!(found.next().is_none(), "more than one {part}/…{end}");
    file
}

fn name(path: &Path) -> &str {
    path.file_name().expect("a name").to_str().expect("a text")
}

#[tokio::test]
async fn damaged_files_are_named_and_the_other_tables_serve() {
    let mut server = server().await;
    run(&server, "CREATE TABLE good AS SELECT 1 AS a").await;
    run(
        &server,
        "CREATE TABLE bad AS SELECT value AS a FROM generate_series(1, 1000)",
    )
    .await;
    for (part, end) in [
        ("metadata", ".avro"),
        ("metadata", "-m0.avro"),
        ("data", ".parquet"),
    ] {
        let path = file(&server, part, end);
        let whole = fs::read(&path).expect("a file");
        let half = &whole[..whole.len() / 2];
        let zeros = vec![0; whole.len()];
        for damaged in [Some(half), Some(&zeros), Some(b"PAR1"), Some(b""), None] {
            match damaged {
                Some(bytes) => fs::write(&path, bytes).expect("written"),
                None => fs::remove_file(&path).expect("removed"),
            }
            // Instances keep what they have read of files that never change.
            server.restart().await;
            let problem = expect_problem(send(&server, "SELECT sum(a) FROM bad").await, 500).await;
            let detail = problem["detail"].as_str().expect("a text");
            assert!(
                detail.contains(name(&path)),
                "{detail} does not name {}",
                name(&path)
            );
            assert_eq!(
                rows(&server, "SELECT a FROM good").await,
                serde_json::json!([[1]])
            );
        }
        fs::write(&path, &whole).expect("written");
    }
    server.restart().await;
    assert_eq!(
        rows(&server, "SELECT sum(a) FROM bad").await,
        serde_json::json!([[500_500]])
    );
}
