//! The plugins folder: what is in it, and when a file is whole.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lakehouse_runtime::{Artifact, Digests, Stamp};

/// How long a file must stay as it is, unless its writer is known to be done.
const SETTLE: Duration = Duration::from_millis(150);
/// How long a file that ends in the middle of a component is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a file must be away: tools that replace one may remove it first.
const GONE: Duration = Duration::from_millis(300);

/// A `*.wasm` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// Its state. None if it cannot be told, which reading it will explain.
    pub stamp: Option<Stamp>,
}

/// The `*.wasm` files of a folder, by name.
///
/// # Errors
/// If the folder cannot be read.
pub fn look(dir: &Path) -> io::Result<BTreeMap<String, Found>> {
    let mut files = BTreeMap::new();
    for file in fs::read_dir(dir)? {
        let path = file?.path();
        let is_wasm = path
            .extension()
            .is_some_and(|extension| extension == "wasm");
        if let (true, Some(stem)) = (is_wasm, path.file_stem()) {
            let stamp = fs::metadata(&path).and_then(|file| Stamp::of(&file)).ok();
            let name = stem.to_string_lossy().into_owned();
            files.insert(name, Found { path, stamp });
        }
    }
    Ok(files)
}

/// Reads a file that nobody changes meanwhile. None if somebody did.
///
/// # Errors
/// Those of reading.
pub fn read(path: &Path, limit: u64, known: &Digests) -> io::Result<Option<Artifact>> {
    let file = Arc::new(File::open(path)?);
    let before = file.metadata()?;
    if before.is_dir() {
        return Err(io::Error::other("it is a folder"));
    }
    if before.len() > limit {
        return Err(io::Error::other(format!(
            "it has {} bytes, and plugins.max_size is {limit}",
            before.len()
        )));
    }
    let size = usize::try_from(before.len()).unwrap_or(0);
    let artifact = Artifact::read(Arc::clone(&file), size, known)?;
    let same = Stamp::of(&before)? == Stamp::of(&file.metadata()?)?;
    Ok(artifact.filter(|_| same))
}

/// Whether a component ends where its sections say. Anything else than a component
/// counts as whole: more of it would not help.
fn is_whole(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut head = [0; 8];
    let preamble = usize::try_from(size.min(8)).unwrap_or(8);
    file.read_exact(&mut head[..preamble])?;
    if !b"\0asm\x0d\0\x01\0".starts_with(&head[..preamble]) {
        return Ok(true);
    }
    if preamble < 8 {
        // Also a file that was only just made.
        return Ok(false);
    }
    let mut at = 8;
    while at < size {
        file.seek(SeekFrom::Start(at))?;
        // An id and a length in LEB128.
        let mut header = [0; 6];
        let there = usize::try_from((size - at).min(6)).unwrap_or(6);
        file.read_exact(&mut header[..there])?;
        let mut length = 0;
        let mut bytes = None;
        for (index, byte) in header[1..there.max(1)].iter().enumerate() {
            length |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                bytes = Some(index as u64 + 1);
                break;
            }
        }
        match bytes {
            Some(bytes) => at += 1 + bytes + length,
            // Cut in the length, or no length at all.
            None => return Ok(there == 6),
        }
    }
    Ok(at == size)
}

/// What happened to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is new, or another one.
    There(PathBuf),
    /// It is no more.
    Gone,
}

/// Tells changes that are complete from those that go on.
#[derive(Debug, Default)]
pub struct Tracker {
    /// The state in which a file was last handed out.
    taken: HashMap<String, Option<Stamp>>,
    /// What is not settled yet, and since when it is so.
    pending: HashMap<String, (Option<Stamp>, Instant)>,
    missing: HashMap<String, Instant>,
    /// The first look is over.
    running: bool,
}

/// What is to be done, and when to look again if nothing is heard meanwhile.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Changes, by name.
    pub changes: Vec<(String, Change)>,
    /// When to look again.
    pub again: Option<Instant>,
}

impl Tracker {
    /// Compares what is there with what was. Writers of the files in `closed` are
    /// known to be done; names in `busy` wait for their turn.
    pub fn compare(
        &mut self,
        files: &BTreeMap<String, Found>,
        closed: &mut HashSet<String>,
        busy: &HashSet<String>,
    ) -> Due {
        let now = Instant::now();
        let mut due = Due::default();
        self.missing.retain(|name, _| !files.contains_key(name));
        for (name, found) in files {
            if busy.contains(name) {
                continue;
            }
            if self.taken.get(name) == Some(&found.stamp) {
                self.pending.remove(name);
                closed.remove(name);
                continue;
            }
            match self.wait(name, found, closed.contains(name), now) {
                None => {
                    self.taken.insert(name.clone(), found.stamp);
                    self.pending.remove(name);
                    closed.remove(name);
                    due.changes
                        .push((name.clone(), Change::There(found.path.clone())));
                }
                Some(until) => due.wake(until),
            }
        }
        self.running = true;
        self.pending.retain(|name, _| files.contains_key(name));
        let taken = &mut self.taken;
        let missing = &mut self.missing;
        taken.retain(|name, _| {
            if files.contains_key(name) || busy.contains(name) {
                return true;
            }
            let until = *missing.entry(name.clone()).or_insert(now) + GONE;
            if now < until {
                due.wake(until);
                return true;
            }
            missing.remove(name);
            due.changes.push((name.clone(), Change::Gone));
            false
        });
        due
    }

    /// A file was handed out and turned out to be changing still.
    pub fn retry(&mut self, name: &str) {
        self.taken.insert(name.to_owned(), None);
    }

    /// Until when to wait for a file; none if it is ready.
    fn wait(&mut self, name: &str, found: &Found, closed: bool, now: Instant) -> Option<Instant> {
        let stamp = found.stamp?;
        let (pending, since) = self
            .pending
            .entry(name.to_owned())
            .or_insert((Some(stamp), now));
        if *pending != Some(stamp) {
            (*pending, *since) = (Some(stamp), now);
        }
        let age = stamp.age();
        // Nobody copies into a folder in the very moment in which its host starts.
        let settled = closed || !self.running || age > PATIENCE || now >= *since + SETTLE;
        if !settled {
            return Some(*since + SETTLE);
        }
        // One that cannot be read is handed out, so that somebody says why.
        let whole = is_whole(&found.path).unwrap_or(true);
        (!whole && age <= PATIENCE).then(|| now + PATIENCE.saturating_sub(age))
    }
}

impl Due {
    fn wake(&mut self, at: Instant) {
        self.again = Some(self.again.map_or(at, |again| again.min(at)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component of two sections, the second with a length of two bytes.
    fn component() -> Vec<u8> {
        let mut bytes = b"\0asm\x0d\0\x01\0\x00\x03\x01xy\x00\xc8\x01\x01z".to_vec();
        bytes.resize(bytes.len() + 198, b'.');
        bytes
    }

    #[test]
    fn a_component_is_whole_where_its_sections_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wasm");
        let whole = component();
        let ends = [8, 13, whole.len()];
        for length in 0..=whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(is_whole(&path).unwrap(), ends.contains(&length), "{length}");
        }
        for other in ["text", "\0asm\x01\0\0\0\x01"] {
            fs::write(&path, other).unwrap();
            assert!(is_whole(&path).unwrap(), "{other:?}");
        }
    }

    /// What is due, with a tracker that has had its first look.
    struct Scene {
        folder: tempfile::TempDir,
        tracker: Tracker,
    }

    impl Scene {
        fn new() -> Self {
            let mut scene = Self {
                folder: tempfile::tempdir().unwrap(),
                tracker: Tracker::default(),
            };
            assert_eq!(scene.due(&[], &[]), Due::default());
            scene
        }

        fn write(&self, bytes: &[u8]) -> Change {
            let path = self.folder.path().join("x.wasm");
            fs::write(&path, bytes).unwrap();
            Change::There(path)
        }

        fn due(&mut self, closed: &[&str], busy: &[&str]) -> Due {
            let files = look(self.folder.path()).unwrap();
            let set = |names: &[&str]| names.iter().map(ToString::to_string).collect();
            self.tracker.compare(&files, &mut set(closed), &set(busy))
        }

        fn changes(&mut self, closed: &[&str], busy: &[&str]) -> Vec<(String, Change)> {
            self.due(closed, busy).changes
        }
    }

    #[test]
    fn a_file_is_ready_when_it_rests_or_its_writer_is_done() {
        let mut scene = Scene::new();
        let change = scene.write(&component());
        let due = scene.due(&[], &[]);
        assert!(due.changes.is_empty() && due.again.is_some());
        assert_eq!(scene.changes(&["x"], &["x"]), []);
        assert_eq!(scene.changes(&["x"], &[]), [("x".into(), change.clone())]);
        // Once is enough.
        assert_eq!(scene.due(&["x"], &[]), Due::default());

        scene.write(b"other");
        assert_eq!(scene.changes(&[], &[]), []);
        std::thread::sleep(SETTLE);
        assert_eq!(scene.changes(&[], &[]), [("x".into(), change)]);
    }

    #[test]
    fn half_a_file_is_waited_for() {
        let mut scene = Scene::new();
        scene.write(&component()[..20]);
        assert_eq!(scene.changes(&["x"], &[]), []);
        std::thread::sleep(SETTLE);
        assert_eq!(scene.changes(&[], &[]), []);
        let change = scene.write(&component());
        assert_eq!(scene.changes(&["x"], &[]), [("x".into(), change)]);
    }

    #[test]
    fn a_file_is_gone_when_it_stays_away() {
        let mut scene = Scene::new();
        scene.write(&component());
        assert_eq!(scene.changes(&["x"], &[]).len(), 1);
        fs::remove_file(scene.folder.path().join("x.wasm")).unwrap();
        let due = scene.due(&[], &[]);
        assert!(due.changes.is_empty() && due.again.is_some());
        std::thread::sleep(GONE);
        assert_eq!(scene.changes(&[], &["x"]), []);
        assert_eq!(scene.changes(&[], &[]), [("x".into(), Change::Gone)]);
        assert_eq!(scene.due(&[], &[]), Due::default());
    }

    #[test]
    fn a_file_that_changed_while_it_was_read_comes_again() {
        let mut scene = Scene::new();
        let change = scene.write(&component());
        assert_eq!(scene.changes(&["x"], &[]).len(), 1);
        scene.tracker.retry("x");
        assert_eq!(scene.changes(&["x"], &[]), [("x".into(), change)]);
    }

    #[test]
    fn reading_keeps_to_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wasm");
        fs::write(&path, "12345").unwrap();
        let read = |path, limit| read(path, limit, &Digests::default());
        let read_whole = read(&path, 5).unwrap().unwrap();
        assert_eq!(read_whole.bytes().unwrap(), "12345");
        assert_eq!(read_whole.digest(), Artifact::new("12345").digest());
        let error = read(&path, 4).unwrap_err().to_string();
        assert!(error.contains("plugins.max_size is 4"), "{error}");
        assert!(read(folder.path(), 5).is_err());
    }
}
