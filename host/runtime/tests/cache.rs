//! Compiled code on disk.

mod common;

use std::fs;
use std::path::PathBuf;

use common::{BEHAVE, Host, assemble, serving};

fn files(host: &Host) -> Vec<PathBuf> {
    let folder = host.folder.path().join("cache");
    let entries = fs::read_dir(folder).expect("the cache's folder");
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

#[tokio::test]
async fn the_second_load_takes_the_first_ones_code() {
    let host = Host::new();
    let spec = host.spec("behave", &assemble(BEHAVE));
    let first = host.runtime.load(spec.clone()).await;
    serving(first.clone());
    assert!(!first.cached);
    let second = host.runtime.load(spec).await;
    serving(second.clone());
    assert!(second.cached);
    assert_eq!(files(&host).len(), 1);
    assert_eq!(host.text("/ok").await, "A");
}

#[tokio::test]
async fn damaged_code_is_compiled_anew() {
    let host = Host::new();
    let spec = host.spec("behave", &assemble(BEHAVE));
    serving(host.runtime.load(spec.clone()).await);
    let whole = fs::read(&files(&host)[0]).expect("compiled code");
    let flipped = {
        let mut bytes = whole.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x40;
        bytes
    };
    for damaged in [
        flipped,
        whole[..whole.len() / 3].to_vec(),
        b"text".to_vec(),
        Vec::new(),
    ] {
        // Replaced, not written to in place: the first load's code is still mapped.
        let path = files(&host).remove(0);
        fs::remove_file(&path).expect("gone");
        fs::write(&path, damaged).expect("written");
        let status = host.runtime.load(spec.clone()).await;
        serving(status.clone());
        assert!(!status.cached);
        assert_eq!(files(&host).len(), 1);
        assert_eq!(host.text("/ok").await, "A");
    }
    assert!(host.runtime.load(spec).await.cached);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_costs_the_cache_alone() {
    let host = Host::with(Vec::new(), |config| {
        fs::write(&config.cache_dir, "a file in its place").expect("a file");
    });
    let spec = host.spec("behave", &assemble(BEHAVE));
    let status = host.runtime.load(spec).await;
    serving(status.clone());
    assert!(!status.cached);
    assert_eq!(host.text("/ok").await, "A");
}
