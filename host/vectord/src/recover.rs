//! Making an index's folder, and opening one as it was left.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use half::f16;
use parking_lot::{Mutex, RwLock};

use crate::budget::{Budget, Held};
use crate::commit::Writer;
use crate::disk;
use crate::error::{Error, Result};
use crate::index::{Index, Threads, View};
use crate::log::{self, Log};
use crate::manifest::Manifest;
use crate::pace::Pace;
use crate::segment::Segment;
use crate::segment_file;
use crate::service::Config;
use crate::types::{Quantization, Recovery};
use crate::validate::Spec;

/// Makes the folder of a new, empty index: as a whole or not at all.
pub(crate) fn create(spec: &Spec, folder: &Path, making: &Path) -> Result<()> {
    let made = (|| {
        fs::create_dir(making).map_err(|e| Error::io(&e, "making", making))?;
        Log::create(making, 0)?;
        Manifest::new(spec).write(making)?;
        fs::rename(making, folder).map_err(|e| Error::io(&e, "making", folder))?;
        folder.parent().map_or(Ok(()), disk::sync_folder)
    })();
    if made.is_err() {
        // What cannot be removed now goes at the next start.
        let _ = fs::remove_dir_all(making);
    }
    made
}

impl Index {
    /// Opens the index in a folder and replays its log.
    pub fn open(
        name: &str,
        folder: PathBuf,
        config: &Config,
        threads: Threads,
        budget: Arc<Budget>,
    ) -> Result<Arc<Self>> {
        let started = Instant::now();
        let manifest = Manifest::read(&folder)?;
        let spec = manifest.spec();
        if spec.name != name {
            return Err(Error::internal(format!(
                "{} holds index {:?}, its name says {name:?}",
                folder.display(),
                spec.name
            )));
        }
        let segments = load(&manifest, &spec, &folder)?;
        let live = segments
            .iter()
            .map(|segment| segment.len() - segment.dead());
        let count = live.sum::<usize>() as u64;
        let logs = tidy(&manifest, &folder)?;
        let Some(last) = logs.last().copied() else {
            return Err(Error::internal(format!(
                "{} is missing",
                log::path(&folder, manifest.log).display()
            )));
        };
        let dimension = spec.space.dimension;
        let log = Log::open(&folder, last)?;
        let index = Arc::new_cyclic(|itself| Self {
            itself: Weak::clone(itself),
            seal_rows: config
                .seal_rows
                .unwrap_or_else(|| default_seal_rows(dimension)),
            merge_rows: merge_rows(&spec, budget.bound()),
            engine: config.engine,
            durability: config.durability,
            spec,
            threads,
            budget,
            held: Held::default(),
            recovery: OnceLock::new(),
            source: Mutex::new(manifest.source.clone()),
            built: Mutex::default(),
            opened: started,
            searched: AtomicU64::new(0),
            pace: Pace::default(),
            view: RwLock::new(Arc::new(View {
                seq: manifest.applied,
                segments,
                count,
                ..View::default()
            })),
            queue: Mutex::default(),
            writer: Mutex::new(Writer {
                log,
                older_log_bytes: 0,
                first_log: manifest.log,
                applied: manifest.applied,
                acknowledged: manifest.acknowledged,
                next_segment: manifest.next_segment,
                dropped: false,
                last_write: Instant::now(),
                retry_at: None,
            }),
            stop: AtomicBool::new(false),
            halt: AtomicBool::new(false),
            halt_links: AtomicBool::new(false),
            queued: AtomicBool::new(false),
            linking: Mutex::default(),
            links_queued: AtomicBool::new(false),
            log_bytes: AtomicU64::new(0),
            folder,
        });
        let recovery = index.replay(&logs, started)?;
        // Nobody else has the index yet.
        let _ = index.recovery.set(recovery);
        index.note_memory(&index.view());
        // What was left to do before, be it to merge, is looked for again.
        index.request_work();
        Ok(index)
    }

    /// Applies the writes of the log; `started` is when opening began.
    fn replay(&self, logs: &[u64], started: Instant) -> Result<Recovery> {
        let mut writer = self.writer.lock();
        let mut next = writer.applied + 1;
        let mut recovery = Recovery::default();
        for &number in logs {
            let last = logs.last() == Some(&number);
            let path = log::path(&self.folder, number);
            let dimension = self.spec.space.dimension;
            // A file that another follows was whole.
            let acknowledged = if last { writer.acknowledged } else { u64::MAX };
            let replayed = log::replay(&path, dimension, next, acknowledged, |seq, write| {
                self.apply(&mut writer, seq, vec![write]);
            })?;
            next = replayed.next;
            if last && next <= writer.acknowledged {
                return Err(Error::internal(format!(
                    "{} is damaged: it ends before write {next}, and writes up to {} were acknowledged",
                    path.display(),
                    writer.acknowledged
                )));
            }
            if last {
                writer.log.cut(replayed.sound)?;
                recovery.dropped_bytes = replayed.dropped;
            } else {
                writer.older_log_bytes += replayed.sound;
            }
        }
        self.count_log(&writer);
        recovery.replayed = next - 1 - writer.applied;
        tracing::info!(
            index = self.spec.name,
            items = self.view().count,
            segments = self.view().segments.len(),
            replayed = recovery.replayed,
            dropped_bytes = recovery.dropped_bytes,
            ms = started.elapsed().as_millis(),
            "opened the vector index"
        );
        Ok(recovery)
    }
}

/// Reads the segment files.
fn load(manifest: &Manifest, spec: &Spec, folder: &Path) -> Result<Vec<Arc<Segment>>> {
    let mut segments = Vec::new();
    for entry in &manifest.segments {
        let path = segment_file::path(folder, entry.id);
        let segment = segment_file::read(&path, entry.id, spec.space)?;
        for row in &entry.dead {
            let row = *row as usize;
            if row >= segment.len() {
                return Err(Error::internal(format!(
                    "{} has {} rows, its manifest says that row {row} is dead",
                    path.display(),
                    segment.len()
                )));
            }
            segment.kill(row, manifest.applied);
        }
        segments.push(Arc::new(segment));
    }
    Ok(segments)
}

/// Removes files that the manifest does not need; returns the numbers of the
/// log files that it does, rising.
fn tidy(manifest: &Manifest, folder: &Path) -> Result<Vec<u64>> {
    let failed = |e: std::io::Error| Error::io(&e, "reading the folder", folder);
    let mut logs = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.unwrap_or_default();
        if let Some(number) = log::number(name)
            && number >= manifest.log
        {
            logs.push(number);
            continue;
        }
        let needed = name == "manifest.json"
            || manifest
                .segments
                .iter()
                .any(|s| segment_file::path(folder, s.id) == path);
        let ours = name.ends_with(disk::PARTIAL)
            || log::number(name).is_some()
            || name.starts_with("segment-");
        if ours && !needed {
            fs::remove_file(&path).map_err(|e| Error::io(&e, "removing", &path))?;
        }
    }
    logs.sort_unstable();
    let gap = (manifest.log..)
        .zip(&logs)
        .find(|(wanted, found)| wanted != *found);
    if let Some((missing, _)) = gap {
        return Err(Error::internal(format!(
            "{} is missing",
            log::path(folder, missing).display()
        )));
    }
    Ok(logs)
}

/// Unsealed rows from which a graph beats looking at each: by work, not by
/// number.
fn default_seal_rows(dimension: usize) -> usize {
    const COMPONENTS: usize = 1 << 20;
    (COMPONENTS / dimension).clamp(1024, 16_384)
}

/// Rows up to which segments are merged, so that building their graph fits
/// into a part of the memory allowed.
fn merge_rows(spec: &Spec, bound: u64) -> usize {
    /// What building may take where the memory is not bounded.
    const MOST: u64 = 8 << 30;
    /// One part in this many of the memory allowed.
    const PART: u64 = 2;
    /// Bytes that a node takes beside its links and codes.
    const NODE: usize = 64;
    let links = 2 * spec.m + 2;
    // Codes link the graph in any case.
    let component = match spec.quantization {
        Quantization::None | Quantization::Int8 => 1,
        Quantization::F16 => 1 + size_of::<f16>(),
    };
    let row = spec.space.dimension * component + links * 4 + NODE;
    let rows = bound.min(MOST) / PART / row as u64;
    usize::try_from(rows).unwrap_or(usize::MAX)
}
