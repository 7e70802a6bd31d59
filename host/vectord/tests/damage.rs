//! Files that were cut, flipped or left half-written: nothing acknowledged is
//! lost without a word, and the other indexes serve.

use std::fs;
use std::path::{Path, PathBuf};

use lakehouse_vectord::{Config, Distance, ErrorKind, IndexSpec, Item, Service};

fn open(dir: &Path) -> Service {
    let config = Config {
        seal_rows: Some(64),
        build_threads: Some(1),
        ..Config::default()
    };
    Service::open(dir, config).unwrap()
}

fn make(service: &Service, name: &str) {
    service
        .create(&IndexSpec::new(name, 2, Distance::L2))
        .unwrap();
}

fn item(number: usize) -> Item {
    Item {
        id: format!("i-{number}"),
        vector: vec![number as f32, 1.0],
        metadata: Some("{\"a\":1}".into()),
    }
}

/// The files of an index whose names begin so.
fn files(dir: &Path, index: &str, begin: &str) -> Vec<PathBuf> {
    let mut folders = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let named = |path: &PathBuf, begin: &str| {
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with(begin)
    };
    let folder = folders
        .find(|path| named(path, &format!("{index}~")))
        .unwrap();
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| named(path, begin)).collect();
    files.sort();
    files
}

fn filled(dir: &Path) {
    fill(&open(dir));
}

fn fill(service: &Service) {
    make(service, "good");
    make(service, "bad");
    service.add("good", vec![item(1)]).unwrap();
    service.add("bad", (0..100).map(item).collect()).unwrap();
    service.settle();
    for number in 100..120 {
        service.add("bad", vec![item(number)]).unwrap();
    }
}

/// A folder as the end of the process leaves it at once.
fn abandoned(dir: &Path) -> tempfile::TempDir {
    let service = open(dir);
    fill(&service);
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(dir).unwrap() {
        let from = entry.unwrap().path();
        if from.is_dir() {
            let to = copy.path().join(from.file_name().unwrap());
            fs::create_dir(&to).unwrap();
            for file in fs::read_dir(&from).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), to.join(file.file_name())).unwrap();
            }
        }
    }
    copy
}

#[test]
fn a_torn_end_of_the_log_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let dir = abandoned(dir.path());
    let log = files(dir.path(), "bad", "log-").pop().unwrap();
    let manifest = files(dir.path(), "bad", "manifest").pop().unwrap();
    let noted = fs::read(&manifest).unwrap();
    let whole = fs::read(&log).unwrap();
    let record = whole.len() / 20;
    for lost in [1, record - 1, record, record + 7] {
        fs::write(&log, &whole[..whole.len() - lost]).unwrap();
        let service = open(dir.path());
        assert!(service.damaged().is_empty());
        let kept = 120 - lost.div_ceil(record) as u64;
        let info = service.get("bad").unwrap();
        assert_eq!(info.count, kept);
        assert_eq!(info.recovery.dropped_bytes > 0, lost % record != 0);
        assert_eq!(info.recovery.replayed, 20 - lost.div_ceil(record) as u64);
        // The log goes on where it was cut.
        service.add("bad", vec![item(500)]).unwrap();
        drop(service);
        let service = open(dir.path());
        assert_eq!(service.get("bad").unwrap().count, kept + 1);
        drop(service);
        fs::write(&manifest, &noted).unwrap();
    }
    let mut garbage = whole.clone();
    garbage.extend([0x55; 100]);
    fs::write(&log, garbage).unwrap();
    assert_eq!(open(dir.path()).get("bad").unwrap().count, 120);
}

/// What an orderly end said to be there must be there.
#[test]
fn a_log_that_lost_its_end_at_rest_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let log = files(dir.path(), "bad", "log-").pop().unwrap();
    let whole = fs::read(&log).unwrap();
    let record = whole.len() / 20;
    for lost in [1, record, whole.len()] {
        fs::write(&log, &whole[..whole.len() - lost]).unwrap();
        let damaged = open(dir.path()).damaged();
        assert!(damaged[0].detail.contains("log-"), "{damaged:?}");
        assert!(damaged[0].detail.contains("acknowledged"), "{damaged:?}");
    }
    fs::write(&log, &whole).unwrap();
    assert_eq!(open(dir.path()).get("bad").unwrap().count, 120);
}

#[test]
fn damage_to_acknowledged_data_is_reported_and_the_rest_serves() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    for begin in ["log-", "segment-", "manifest"] {
        let file = files(dir.path(), "bad", begin).pop().unwrap();
        let whole = fs::read(&file).unwrap();
        for at in (0..whole.len()).step_by(whole.len() / 40 + 1) {
            let mut flipped = whole.clone();
            flipped[at] ^= 4;
            fs::write(&file, flipped).unwrap();
            let service = open(dir.path());
            let damaged = service.damaged();
            assert_eq!(damaged.len(), 1, "{begin} at {at}");
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(damaged[0].detail.contains(name), "{}", damaged[0].detail);
            let error = service.add("bad", vec![item(1)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Internal);
            assert_eq!(service.get("good").unwrap().count, 1);
        }
        fs::write(&file, &whole).unwrap();
        let service = open(dir.path());
        assert_eq!(service.get("bad").unwrap().count, 120);
        drop(service);
        fs::remove_file(&file).unwrap();
        assert_eq!(open(dir.path()).damaged().len(), 1, "{begin} removed");
        fs::write(&file, &whole).unwrap();
    }
    let service = open(dir.path());
    assert_eq!(service.get("bad").unwrap().count, 120);
}

/// Every file, cut and changed all over after an orderly end: the index is
/// refused and the file named.
#[test]
fn no_damage_goes_unsaid() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    for file in files(dir.path(), "bad", "") {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let whole = fs::read(&file).unwrap();
        let step = whole.len() / 60 + 1;
        let mut damages = Vec::new();
        for at in (0..whole.len()).step_by(step) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            damages.push((format!("bit {at}"), flipped));
            damages.push((format!("cut at {at}"), whole[..at].to_vec()));
        }
        for (what, bytes) in damages {
            fs::write(&file, &bytes).unwrap();
            let service = open(dir.path());
            assert_eq!(service.get("good").unwrap().count, 1);
            let damaged = service.damaged();
            assert_eq!(damaged.len(), 1, "{name}, {what}");
            assert!(
                damaged[0].detail.contains(&name),
                "{name}, {what}: {damaged:?}"
            );
        }
        fs::write(&file, &whole).unwrap();
    }
    assert_eq!(open(dir.path()).get("bad").unwrap().count, 120);
}

#[test]
fn a_damaged_index_can_be_dropped() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let manifest = files(dir.path(), "bad", "manifest").pop().unwrap();
    fs::write(manifest, "{}").unwrap();
    let service = open(dir.path());
    assert_eq!(service.damaged().len(), 1);
    service.drop("bad").unwrap();
    make(&service, "bad");
    drop(service);
    assert!(open(dir.path()).damaged().is_empty());
}

#[test]
fn what_was_half_done_is_cleared() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let folder = files(dir.path(), "bad", "manifest")[0]
        .parent()
        .unwrap()
        .to_owned();
    fs::write(folder.join("segment-999.bin"), "x").unwrap();
    fs::write(folder.join("manifest.json.partial"), "x").unwrap();
    fs::create_dir(dir.path().join(".making-new~7")).unwrap();
    fs::create_dir(dir.path().join(".dropped-old~3")).unwrap();
    let service = open(dir.path());
    assert_eq!(service.get("bad").unwrap().count, 120);
    assert_eq!(service.list().len(), 2);
    assert_eq!(files(dir.path(), "bad", "segment-").len(), 1);
    assert_eq!(files(dir.path(), "bad", "manifest").len(), 1);
    assert!(!dir.path().join(".making-new~7").exists());
    assert!(!dir.path().join(".dropped-old~3").exists());
}

#[test]
fn two_processes_cannot_share_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let _service = open(dir.path());
    let second = Service::open(dir.path(), Config::default()).unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Unavailable);
}
