//! The process is killed at any moment: what was acknowledged is there, and
//! nothing that was not asked for.
//!
//! The test runs itself as the process to be killed, which says on its output
//! what it is about to write and what was acknowledged.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use lakehouse_vectord::{Config, Distance, Durability, ErrorKind, IndexSpec, Item, Service};

/// Names the folder to the process that is to be killed.
const FOLDER: &str = "LAKEHOUSE_VECTORD_CRASH_FOLDER";
/// Ids written to, over and over.
const IDS: u64 = 120;

/// Held while folders are closed and opened again: a process that is being started holds,
/// until its program begins, whatever is open here, locks of folders among it.
static ALONE: Mutex<()> = Mutex::new(());

fn open(folder: &Path, durability: Durability) -> Service {
    let config = Config {
        seal_rows: Some(40),
        build_threads: Some(1),
        durability,
        ..Config::default()
    };
    Service::open(folder, config).unwrap()
}

/// What write number `n` is: the ids that it touches and, unless it deletes
/// them, the number that their vectors hold.
fn write(n: u64) -> (Vec<u64>, Option<f32>) {
    let first = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let ids = (0..1 + n % 7).map(|i| (first + i * 3) % IDS).collect();
    (ids, (!n.is_multiple_of(5)).then_some(n as f32))
}

/// Writes until it is killed; no test of its own.
#[test]
fn the_process_to_be_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let service = open(Path::new(&folder), Durability::Fsync);
    let start = service
        .item("x", "clock")
        .map_or(0, |item| item.vector[0] as u64);
    let mut out = std::io::stdout().lock();
    for n in start + 1.. {
        writeln!(out, "\nbegin {n}").unwrap();
        out.flush().unwrap();
        let (ids, value) = write(n);
        match value {
            Some(value) => {
                let item = |id: String| Item {
                    id,
                    vector: vec![value, 1.0],
                    metadata: None,
                };
                let mut items: Vec<_> = ids.iter().map(|id| item(id.to_string())).collect();
                items.push(item("clock".into()));
                service.add("x", items).unwrap();
            }
            None => {
                service
                    .delete("x", ids.iter().map(u64::to_string).collect())
                    .unwrap();
            }
        }
        writeln!(out, "\ndone {n}").unwrap();
        out.flush().unwrap();
    }
}

/// Runs the process until it has acknowledged some writes and some time has
/// passed, and kills it; returns the last write begun and the last
/// acknowledged.
fn run_and_kill(folder: &Path, writes: u64, then: Duration) -> (u64, u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_process_to_be_killed", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut begun, mut done, mut seen) = (0, 0, 0);
    let mut note = |line: &str| {
        if let Some(n) = line.strip_prefix("begin ") {
            begun = n.parse().unwrap();
        } else if let Some(n) = line.strip_prefix("done ") {
            done = n.parse().unwrap();
            seen += 1;
        }
        seen
    };
    for line in lines.by_ref() {
        if note(&line.unwrap()) >= writes {
            break;
        }
    }
    std::thread::sleep(then);
    child.kill().unwrap();
    // What it had said before it ended counts too.
    for line in lines.map_while(Result::ok) {
        note(&line);
    }
    child.wait().unwrap();
    (begun, done)
}

fn apply(model: &mut BTreeMap<String, f32>, n: u64) {
    let (ids, value) = write(n);
    for id in ids {
        match value {
            Some(value) => model.insert(id.to_string(), value),
            None => model.remove(&id.to_string()),
        };
    }
    if let Some(value) = value {
        model.insert("clock".into(), value);
    }
}

/// All that the service holds.
fn held(service: &Service) -> BTreeMap<String, f32> {
    let ids = (0..IDS).map(|id| id.to_string());
    let mut found = BTreeMap::new();
    for id in ids.chain(["clock".to_owned()]) {
        match service.item("x", &id) {
            Ok(item) => {
                found.insert(id, item.vector[0]);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
        }
    }
    assert_eq!(service.get("x").unwrap().count, found.len() as u64);
    found
}

#[test]
fn a_process_killed_200_times_loses_nothing_acknowledged() {
    let _alone = ALONE.lock();
    let folder = tempfile::tempdir().unwrap();
    let service = open(folder.path(), Durability::Fsync);
    service
        .create(&IndexSpec::new("x", 2, Distance::L2))
        .unwrap();
    drop(service);
    let mut model = BTreeMap::new();
    let mut applied = 0;
    for round in 0..200_u64 {
        // Deaths at all sorts of moments: also while segments are written.
        let micros = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52;
        let then = Duration::from_micros(micros);
        let (begun, done) = run_and_kill(folder.path(), 1 + round * 11 % 60, then);
        let service = open(folder.path(), Durability::Fsync);
        assert!(service.damaged().is_empty(), "{:?}", service.damaged());
        // A process begins again after the last addition that stayed, so a
        // deletion at its end may be done twice, which changes nothing.
        let restart = model.get("clock").map_or(0, |n: &f32| *n as u64);
        for n in restart + 1..=done {
            apply(&mut model, n);
        }
        applied = applied.max(done);
        let found = held(&service);
        if found != model {
            // The last write begun was never acknowledged; it may be there.
            assert!(
                begun > done,
                "round {round}: an acknowledged write is missing"
            );
            apply(&mut model, begun);
            assert_eq!(found, model, "round {round}");
        }
    }
    assert!(applied > 100);
}

#[test]
fn what_the_system_holds_survives_the_process() {
    let _alone = ALONE.lock();
    let folder = tempfile::tempdir().unwrap();
    let service = open(folder.path(), Durability::Os);
    service
        .create(&IndexSpec::new("x", 2, Distance::L2))
        .unwrap();
    let mut model = BTreeMap::new();
    for n in 1..100 {
        let (ids, value) = write(n);
        let item = |id: &u64| Item {
            id: id.to_string(),
            vector: vec![value.unwrap_or_default(), 1.0],
            metadata: None,
        };
        match value {
            Some(_) => drop(service.add("x", ids.iter().map(item).collect()).unwrap()),
            None => drop(service.delete("x", ids.iter().map(u64::to_string).collect())),
        }
        apply(&mut model, n);
    }
    model.remove("clock");
    drop(service);
    assert_eq!(held(&open(folder.path(), Durability::Os)), model);
}
