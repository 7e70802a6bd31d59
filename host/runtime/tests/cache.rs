//! Compiled code on disk.

mod common;

use std::fs::{self, File, FileTimes};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

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

#[tokio::test]
async fn what_was_used_longest_ago_goes_first() {
    let component = |n: u32| {
        assemble(&format!(
            "(component (core module (func (export \"n{n}\"))) (component))"
        ))
    };
    let size = {
        let host = Host::new();
        host.runtime.load(host.spec("a", &component(1))).await;
        fs::metadata(&files(&host)[0]).expect("compiled code").len()
    };
    let host = Host::with(Vec::new(), |config| config.cache_size = size * 2 + size / 2);
    let folder = host.folder.path().join("cache");
    let aged = |path: PathBuf, hours: u64| {
        let then = SystemTime::now() - Duration::from_secs(hours * 60 * 60);
        let file = File::options().append(true).open(path).expect("a file");
        let times = FileTimes::new().set_accessed(then).set_modified(then);
        file.set_times(times).expect("a time");
    };
    let (first, second) = (
        host.spec("first", &component(1)),
        host.spec("second", &component(2)),
    );
    host.runtime.load(first.clone()).await;
    host.runtime.load(second.clone()).await;
    let before = files(&host);
    before.iter().for_each(|path| aged(path.clone(), 5));
    assert!(host.runtime.load(first.clone()).await.cached);
    for (name, hours) in [(".old.cwasm.1", 2), (".new.cwasm.2", 0)] {
        fs::write(folder.join(name), "half").expect("written");
        aged(folder.join(name), hours);
    }
    fs::write(folder.join("notes.txt"), "of somebody else").expect("written");

    host.runtime.load(host.spec("third", &component(3))).await;
    let names: Vec<String> = files(&host)
        .iter()
        .map(|path| {
            path.file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(!names.contains(&".old.cwasm.1".to_owned()), "{names:?}");
    assert!(host.runtime.load(first).await.cached);
    assert!(!host.runtime.load(second).await.cached);
}

/// Whether a file is mapped into this process.
#[cfg(target_os = "linux")]
fn is_mapped(path: &std::path::Path) -> bool {
    let maps = fs::read_to_string("/proc/self/maps").expect("maps");
    maps.contains(path.to_str().expect("a path"))
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn code_opened_last_stays_open_until_it_is_forgotten() {
    let host = Host::new();
    let spec = host.spec("behave", &assemble(BEHAVE));
    let leave = async || {
        let retired = host.runtime.remove("behave").expect("it served");
        retired.drained().await;
    };
    let first = host.runtime.load(spec.clone()).await;
    serving(first.clone());
    let path = files(&host).remove(0);
    leave().await;
    assert!(is_mapped(&path));
    assert!(host.runtime.load(spec.clone()).await.cached);
    assert_eq!(host.text("/ok").await, "A");
    leave().await;
    host.runtime.forget(&first.digest);
    assert!(!is_mapped(&path));

    // Two others take its place.
    serving(host.runtime.load(spec).await);
    let path = files(&host).remove(0);
    leave().await;
    assert!(is_mapped(&path));
    for name in ["b", "c"] {
        let text = format!("(component (core module (func (export \"{name}\"))) (component))");
        host.runtime.load(host.spec(name, &assemble(&text))).await;
    }
    assert!(!is_mapped(&path));
}
