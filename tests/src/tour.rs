//! Documents whose commands are run as they are printed.
//!
//! Each `sh` block goes to bash, in one folder and against one server; the block after
//! it, unless that is one of `sh` as well, is what it must print. A block begins in the
//! folder that the one before it ended in.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Where documents expect the server to be.
const BASE: &str = "http://127.0.0.1:3210";
/// Members of an answer that no two runs have in common.
const VOLATILE: [&str; 4] = ["bytes", "elapsed_ms", "etag", "snapshot_id"];
/// Digits of a digest that is printed for people.
const DIGEST: usize = 12;

/// A part of a document, from its heading to the next one of the same level.
///
/// # Panics
/// If there is no such heading.
pub fn section(markdown: &str, heading: &str) -> String {
    let start = markdown.find(heading);
    let start = start.unwrap_or_else(|| panic!("no {heading:?}"));
    let body = &markdown[start + heading.len()..];
    let level = heading.split(' ').next().unwrap_or_default();
    let end = body.find(&format!("\n{level} ")).unwrap_or(body.len());
    body[..end].to_owned()
}

/// Runs the commands of a part of a document; how many of them had what they print
/// compared.
///
/// # Panics
/// If one fails or prints another thing.
pub fn tour(part: &str, base: &str, folder: &Path, env: &[(&str, &str)]) -> usize {
    let mut blocks = blocks(part).into_iter().peekable();
    let mut compared = 0;
    let mut place = folder.to_owned();
    let note = tempfile::NamedTempFile::new().expect("a temporary file");
    while let Some((language, script)) = blocks.next() {
        if language != "sh" {
            continue;
        }
        let output = Command::new("bash")
            .arg("-euc")
            .arg(script.replace(BASE, base) + "pwd > \"$0\"")
            .arg(note.path())
            .current_dir(&place)
            .envs(env.iter().copied())
            .output()
            .expect("bash");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}\n{errors}");
        let ended = std::fs::read_to_string(note.path()).expect("a folder");
        place = ended.trim_end().into();
        if let Some((_, expected)) = blocks.next_if(|(language, _)| language != "sh") {
            let printed = String::from_utf8_lossy(&output.stdout);
            assert_eq!(lasting(&printed), lasting(&expected), "{script}");
            compared += 1;
        }
    }
    compared
}

/// The fenced blocks: their languages and their texts.
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

/// What is printed without what differs from run to run: members of JSON, and digests
/// in anything else.
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
        Err(_) => {
            let words = text.trim_end().split(' ').map(|word| {
                let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
                let digest = bare.len() == DIGEST && bare.bytes().all(|b| b.is_ascii_hexdigit());
                if digest { "…" } else { word }
            });
            Value::String(words.collect::<Vec<_>>().join(" "))
        }
    }
}
