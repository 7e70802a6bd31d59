//! The README's tour, run as it is printed.
//!
//! Each `sh` block of "Five minutes" goes to bash, against a fresh server and in
//! one folder; the block after it is what it must print, but for figures that
//! differ from run to run.

use std::path::Path;
use std::process::Command;

use lakehouse_tests::Server;
use serde_json::Value;

/// Members of an answer that no two runs have in common.
const VOLATILE: [&str; 4] = ["bytes", "elapsed_ms", "etag", "snapshot_id"];

/// A fenced block: its language and its text.
fn blocks(markdown: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in markdown.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => open = Some((language.to_owned(), String::new())),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// An answer without its volatile members; anything but JSON as it is.
fn lasting(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(mut value) => {
            if let Value::Object(members) = &mut value {
                for name in VOLATILE {
                    if let Some(member) = members.get_mut(name) {
                        *member = Value::Null;
                    }
                }
            }
            value
        }
        Err(_) => Value::String(text.trim_end().to_owned()),
    }
}

#[test]
fn the_tour_prints_what_the_readme_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(file).expect("the README");
    let (_, tour) = readme.split_once("## Five minutes").expect("a tour");
    let (tour, _) = tour.split_once("\n## ").expect("an end of the tour");
    let server = Server::start_blocking();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let blocks = blocks(tour);
    let mut compared = 0;
    for pair in blocks.windows(2) {
        let [(language, script), (_, expected)] = pair else {
            unreachable!("windows of two")
        };
        if language != "sh" {
            continue;
        }
        let output = Command::new("bash")
            .arg("-euc")
            .arg(script.replace("http://127.0.0.1:3210", server.base()))
            .current_dir(folder.path())
            .output()
            .expect("bash");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}\n{errors}");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(lasting(&printed), lasting(expected), "{script}");
        compared += 1;
    }
    assert_eq!(compared, 9, "commands of the tour");
}
