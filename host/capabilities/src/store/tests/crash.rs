//! What a local folder looks like after things went wrong.

use std::path::Path;
use std::process::Command;

use super::super::Mode;
use super::{Fixture, get, key, open, put};
use crate::Kind;

/// Unfinished files under a root.
pub(super) fn temporaries(root: &Path) -> usize {
    let folders = std::fs::read_dir(root.join(".lakehouse~tmp")).expect("there");
    folders
        .map(|folder| folder.expect("read").path())
        .filter(|folder| folder.is_dir())
        .map(|folder| {
            let files = std::fs::read_dir(folder).expect("read");
            files
                .filter(|file| file.as_ref().expect("read").file_name() != "held")
                .count()
        })
        .sum()
}

#[test]
fn what_a_killed_process_left_is_removed_at_open() {
    let fixture = Fixture::local();
    let dead = fixture.root().join(".lakehouse~tmp/77-dead-0");
    std::fs::create_dir(&dead).expect("made");
    std::fs::write(dead.join("held"), "").expect("made");
    std::fs::write(dead.join("0"), "half an object").expect("made");
    let halfway = fixture.root().join(".lakehouse~tmp/78-dead-0");
    std::fs::create_dir(&halfway).expect("made");
    let _second = open(fixture.root().to_str().expect("UTF-8"));
    assert!(!dead.exists());
    assert!(!halfway.exists());
}

#[tokio::test]
async fn opening_a_folder_leaves_the_uploads_of_others_alone() {
    let fixture = Fixture::local();
    let begun = fixture.store.upload(&key("a"), Mode::Create).await;
    let mut upload = begun.expect("begun");
    upload
        .write(vec![1_u8; 3 << 20].into())
        .await
        .expect("written");
    let second = open(fixture.root().to_str().expect("UTF-8"));
    upload.finish().await.expect("finished");
    assert_eq!(get(&second, "a").await.len(), 3 << 20);
    assert_eq!(temporaries(fixture.root()), 0);
}

#[tokio::test]
async fn an_empty_folder_in_the_way_is_no_conflict() {
    let fixture = Fixture::local();
    // Made for `a/b`, and then the process died.
    std::fs::create_dir(fixture.root().join("a")).expect("made");
    fixture
        .store
        .put(&key("a"), "1", Mode::Create)
        .await
        .expect("created");
}

/// A small file system of its own, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// None where mounting is not allowed.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(folder.path())
            .output()
            .is_ok_and(|run| run.status.success());
        mounted.then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_leaves_nothing_behind() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: mounting a tmpfs needs root");
        return;
    };
    let root = disk.0.path();
    let store = open(root.to_str().expect("UTF-8"));
    put(&store, "small", "x").await;
    let large = vec![1_u8; 4 << 20];

    let error = store
        .put(&key("d/large"), large.clone(), Mode::Overwrite)
        .await
        .expect_err("no room");
    assert_eq!(error.kind(), Kind::Exhausted, "{error}");
    assert_eq!(temporaries(root), 0);

    let mut upload = store
        .upload(&key("d/large"), Mode::Create)
        .await
        .expect("begun");
    let written = match upload.write(large.into()).await {
        Ok(()) => upload.finish().await.map(|_| ()),
        Err(error) => {
            drop(upload);
            Err(error)
        }
    };
    let error = written.expect_err("no room");
    assert_eq!(error.kind(), Kind::Exhausted, "{error}");
    assert_eq!(temporaries(root), 0);

    assert!(!root.join("d").exists());
    assert_eq!(get(&store, "small").await, b"x");
    put(&store, "d/fits", vec![1_u8; 1 << 20]).await;
}
