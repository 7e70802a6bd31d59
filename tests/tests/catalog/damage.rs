//! Catalog files damaged on disk.

use std::fs;
use std::path::{Path, PathBuf};

use lakehouse_tests::{Server, expect_json, expect_problem, expect_status};

use super::{append, delete, get, rows, server};

/// The file of the newest metadata of a table.
async fn metadata_file(server: &Server, table: &str) -> PathBuf {
    let detail = expect_json(get(server, &format!("tables/{table}")).await, 200).await;
    let url = detail["metadata_location"].as_str().expect("a URL");
    Path::new(url.strip_prefix("file://").expect("a file")).to_owned()
}

#[tokio::test]
async fn a_damaged_pointer_is_named_and_the_other_tables_serve() {
    let server = server().await;
    append(&server, "bad", 0, 10).await;
    append(&server, "good", 0, 20).await;
    let pointer = server.store_dir().join("catalog/tables/default/bad.json");
    for damage in [&b""[..], b"{", b"{\"format\":1}", &[0; 100], b"\xff\xfe"] {
        fs::write(&pointer, damage).unwrap();
        let problem = expect_problem(get(&server, "tables/default/bad").await, 500).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("catalog/tables/default/bad.json"),
            "{detail}"
        );
        assert_eq!(rows(&server, "default/good").await, 20);
        let list = expect_json(get(&server, "tables").await, 200).await;
        assert_eq!(list["tables"][0]["name"], "bad");
        assert!(list["tables"][0]["error"].is_string(), "{list}");
        assert_eq!(list["tables"][1]["rows"], 20);
        let refused = super::post_ids(&server, "bad", 0, 1).await;
        expect_problem(refused, 500).await;
    }
    append(&server, "good", 20, 25).await;
    assert_eq!(rows(&server, "default/good").await, 25);
}

#[tokio::test]
async fn a_pointer_cannot_lead_into_another_table() {
    let server = server().await;
    append(&server, "a", 0, 10).await;
    append(&server, "b", 0, 20).await;
    let folder = server.store_dir().join("catalog/tables/default");
    fs::copy(folder.join("b.json"), folder.join("a.json")).unwrap();
    expect_problem(get(&server, "tables/default/a").await, 500).await;
    expect_problem(delete(&server, "tables/default/a").await, 500).await;
    assert_eq!(rows(&server, "default/b").await, 20);
}

#[tokio::test]
async fn damaged_metadata_is_named_and_the_table_can_be_dropped() {
    let mut server = server().await;
    append(&server, "bad", 0, 10).await;
    append(&server, "good", 0, 20).await;
    let file = metadata_file(&server, "default/bad").await;
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    // A warm instance may still hold what the file was: immutable files are kept.
    server.restart().await;
    let problem = expect_problem(get(&server, "tables/default/bad").await, 500).await;
    let name = file.file_name().unwrap().to_str().unwrap();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(name), "{detail} names {name}");
    fs::remove_file(&file).unwrap();
    let problem = expect_problem(get(&server, "tables/default/bad").await, 500).await;
    assert!(problem["detail"].as_str().unwrap().contains("missing"));
    assert_eq!(rows(&server, "default/good").await, 20);
    expect_status(delete(&server, "tables/default/bad").await, 204).await;
    append(&server, "bad", 0, 5).await;
    assert_eq!(rows(&server, "default/bad").await, 5);
}
