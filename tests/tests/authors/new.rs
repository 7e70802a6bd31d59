//! `lakehouse plugin new`.

use std::fs;
use std::process::{Command, Output};

use lakehouse_tests::{SmallDisk, binary};

fn new(arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    let command = command.args(["plugin", "new"]).args(arguments);
    command.output().unwrap()
}

#[test]
fn what_cannot_be_made_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let mine = folder.path().join("there/mine");
    fs::create_dir(folder.path().join("there")).unwrap();
    fs::write(&mine, "kept").unwrap();
    let long = "a".repeat(65);
    for (name, path, expected) in [
        (
            "Upper",
            path,
            "`Upper` cannot be a plugin: a plugin's name is a route",
        ),
        ("a/b", path, "`a/b` cannot be a plugin"),
        ("../up", path, "`../up` cannot be a plugin"),
        ("", path, "`` cannot be a plugin"),
        (&long, path, "1 to 64"),
        (
            "1st",
            path,
            "`1st` cannot be a crate: its name begins with a letter",
        ),
        (
            "lakehouse-sdk",
            path,
            "is the crate that the plugin depends on",
        ),
        ("vectors", path, "the host serves /v1/vectors itself"),
        ("there", path, "there is there already"),
        ("x", "/nowhere/at/all", "there is no folder /nowhere/at/all"),
        ("x", mine.to_str().unwrap(), "cannot make "),
    ] {
        let output = new(&[name, "--path", path]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {errors}");
        assert!(errors.contains(expected), "{name}: {errors}");
    }
    let output = new(&["x", "--template", "smtp", "--path", path]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("invalid value 'smtp'"), "{errors}");
    let there = "possible values: http, sql-function, ingest-format";
    assert!(errors.contains(there), "{errors}");
    for name in ["arrow", "csv", "json", "jsonl", "ndjson", "parquet"] {
        let output = new(&[name, "--template", "ingest-format", "--path", path]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {errors}");
        let expected = format!("`{name}` cannot be the format of a plugin");
        assert!(errors.contains(&expected), "{name}: {errors}");
    }
    assert_eq!(fs::read_dir(path).unwrap().count(), 1, "as before");
    assert_eq!(fs::read_to_string(mine).unwrap(), "kept");
}

#[test]
fn a_disk_that_is_full_leaves_no_half_crate() {
    let Some(disk) = SmallDisk::mount("64k") else {
        return;
    };
    let output = new(&["x", "--path", disk.path().to_str().unwrap()]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("cannot write"), "{errors}");
    assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 0);
}
