//! Background work on an index: sealing what is in the log alone into a
//! segment file with a graph, and merging segments to keep them few.
//!
//! Sealing takes in the sealed segments that are not much larger, so that
//! those left are each several times larger than the next; the graph of the
//! largest taken in is kept and the other rows are added to it. When no write
//! has come for a while, what is left becomes one segment.
//!
//! Where writes come faster than graphs are built, while there are searches, rows in the
//! log alone are sealed by themselves, and far behind in haste; what that yields is built
//! anew when it is merged or the index is at rest. Until they are sealed their links are
//! in memory (`link`).
//!
//! The work itself holds no lock; it reads segments as of one write, and puts
//! its result in their place at the end, with the deaths that happened
//! meanwhile carried over.

use std::fs;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::build::{self, Haste};
use crate::commit::Writer;
use crate::error::{Error, Result};
use crate::gathered::Gathered;
use crate::index::{Index, View};
use crate::log::{self, Log};
use crate::manifest::{Manifest, SegmentEntry};
use crate::segment::Segment;
use crate::segment_file;
use crate::types::{Durability, Source};

/// Sealing takes in sealed segments up to this many times as large as what
/// has been taken already.
const TAKE_IN: usize = 4;
/// At rest segments become one if all but the largest have at least one row
/// for this many of its rows.
const REST_SHARE: usize = 50;
/// How long no write must have come for an index to be at rest.
pub(crate) const REST: Duration = Duration::from_secs(1);
/// A segment is rewritten when one row in this many is dead.
const DEAD_SHARE: usize = 4;
/// Rows in the log alone, in times of what is sealed otherwise, from which on they are
/// sealed by themselves if there are searches.
const BEHIND: usize = 2;
/// And from which on they are sealed in haste, with the links that they have.
const BACKLOG: usize = 16;
/// How hasty that is with the others.
const HASTE: Haste = Haste::By(4);
/// Wait before failed work is tried again.
pub(crate) const RETRY: Duration = Duration::from_secs(10);

/// A segment in the making; none if no row is left.
struct Made<'a> {
    segment: Option<Segment>,
    rows: Gathered<'a>,
    /// Which of the rows each of the segment's is.
    order: Vec<u32>,
}

/// How far the log is covered once the result is in place.
#[derive(Clone, Copy)]
struct Covered {
    applied: u64,
    first_log: u64,
}

impl Index {
    /// Queues the index for background work.
    pub fn request_work(&self) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.threads.worker.push(Weak::clone(&self.itself));
        }
    }

    /// Does what is to be done; called by the worker alone. `settling` means
    /// that the index counts as being at rest.
    pub fn work(&self, settling: bool) {
        self.queued.store(false, Ordering::Release);
        loop {
            let done = match self.step(settling) {
                Ok(more) => !more,
                Err(error) => {
                    let mut writer = self.writer.lock();
                    if !writer.dropped && !self.stopping() {
                        tracing::error!(index = self.spec.name, %error, "sealing failed; nothing is lost, it is tried again");
                    }
                    writer.retry_at = Some(Instant::now() + RETRY);
                    drop(writer);
                    self.threads
                        .worker
                        .push_later(Weak::clone(&self.itself), RETRY);
                    true
                }
            };
            if done {
                return;
            }
        }
    }

    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Whether so much is in the log alone that sealing it cannot wait until the
    /// processors are idle.
    pub fn is_far_behind(&self) -> bool {
        let (rows, bytes) = self.view().backlog();
        rows >= BACKLOG * self.seal_rows || (rows > 0 && self.budget.presses(bytes))
    }

    /// One piece of work; false if there was none.
    fn step(&self, settling: bool) -> Result<bool> {
        // Whoever ends the work says so before it sets this.
        self.halt.store(false, Ordering::SeqCst);
        let writer = self.writer.lock();
        if writer.dropped || self.stopping() {
            return Ok(false);
        }
        if writer.retry_at.is_some_and(|at| Instant::now() < at) {
            return Ok(false);
        }
        if self.wants_sealing(&writer) {
            drop(writer);
            self.seal()?;
            return Ok(!self.stopping());
        }
        let at_rest = settling || writer.last_write.elapsed() >= REST;
        drop(writer);
        let inputs = self.choose(at_rest);
        if inputs.is_empty() {
            if !self.choose(true).is_empty() {
                self.threads
                    .worker
                    .push_later(Weak::clone(&self.itself), REST);
            }
            return Ok(false);
        }
        self.replace(inputs, self.view().seq, None, Haste::None)?;
        Ok(!self.stopping())
    }

    fn seal(&self) -> Result<()> {
        // What is chosen here is not to be linked any more.
        let mut linking = self.linking.lock();
        if self.searched_within(REST) {
            // Searches would look at each of these rows until the graph is built.
            self.link_unless_failed(&mut linking);
        }
        let mut writer = self.writer.lock();
        if writer.dropped {
            return Ok(());
        }
        let log = Log::create(&self.folder, writer.log.number() + 1)?;
        writer.older_log_bytes += writer.log.length();
        writer.log = log;
        let view = self.view();
        let mut inputs: Vec<_> = view.unsealed().map(Arc::clone).collect();
        let last = inputs.last().map_or(view.sealing, |segment| segment.id);
        self.put_view(View {
            sealing: last,
            fixed: last,
            ..View::clone(&view)
        });
        let sealed = view.segments.iter().filter(|s| s.file_bytes.is_some());
        let mut sealed: Vec<_> = sealed.collect();
        sealed.sort_by_key(|segment| segment.len());
        let mut taken: usize = inputs.iter().map(|segment| segment.len()).sum();
        let searched = self.searched_within(REST);
        let behind = searched && taken >= BEHIND * self.seal_rows;
        let haste = match searched && taken >= BACKLOG * self.seal_rows {
            true => HASTE,
            false => Haste::None,
        };
        for segment in sealed {
            if !behind
                && segment.len() <= taken * TAKE_IN
                && taken + segment.len() <= self.merge_rows
            {
                taken += segment.len();
                inputs.push(Arc::clone(segment));
            }
        }
        let covered = Covered {
            applied: view.seq,
            first_log: writer.log.number(),
        };
        drop(writer);
        drop(linking);
        self.replace(inputs, view.seq, Some(covered), haste)
    }

    /// Sealed segments to be written anew: one of an old version or largely
    /// dead; all that may become one, if the index is at rest and there is
    /// more than one.
    fn choose(&self, at_rest: bool) -> Vec<Arc<Segment>> {
        let view = self.view();
        let sealed = view.segments.iter().filter(|s| s.file_bytes.is_some());
        let mut sealed: Vec<_> = sealed.map(Arc::clone).collect();
        let poor =
            |segment: &&Arc<Segment>| segment.stale || segment.dead() * DEAD_SHARE > segment.len();
        if let Some(segment) = sealed.iter().find(poor) {
            return vec![Arc::clone(segment)];
        }
        if !at_rest {
            return Vec::new();
        }
        // From the smallest on, as many as make up the largest allowed.
        sealed.sort_by_key(|segment| segment.len());
        let mut all = 0;
        sealed.retain(|segment| {
            let fits = all + segment.len() <= self.merge_rows;
            all += if fits { segment.len() } else { 0 };
            fits
        });
        let largest = sealed.last().map_or(0, |segment| segment.len());
        if sealed.len() > 1 && (all - largest) * REST_SHARE >= largest {
            return sealed;
        }
        let hasty = |s: &&Arc<Segment>| s.sealed.as_ref().is_some_and(|sealed| sealed.hasty);
        sealed
            .iter()
            .find(hasty)
            .map(Arc::clone)
            .into_iter()
            .collect()
    }

    /// Puts one segment of the inputs' live rows in their place.
    fn replace(
        &self,
        mut inputs: Vec<Arc<Segment>>,
        seq: u64,
        covered: Option<Covered>,
        haste: Haste,
    ) -> Result<()> {
        haste.put_kept_first(&mut inputs);
        let id = {
            let mut writer = self.writer.lock();
            writer.next_segment += 1;
            writer.next_segment - 1
        };
        let installed = match self.rebuild(id, &inputs, seq, haste) {
            Ok(Some(made)) => self.install(&inputs, made, covered),
            Ok(None) => return Ok(()),
            Err(error) => Err(error),
        };
        if installed.is_err() {
            // What cannot be removed now goes at the next start.
            let _ = fs::remove_file(segment_file::path(&self.folder, id));
        }
        installed
    }

    /// Takes live rows, builds what searches them and writes the file; none
    /// if it was told to stop.
    fn rebuild<'a>(
        &self,
        id: u64,
        inputs: &'a [Arc<Segment>],
        seq: u64,
        haste: Haste,
    ) -> Result<Option<Made<'a>>> {
        let rows = Gathered::new(self.spec.space, inputs, seq);
        let mut built = None;
        if rows.len() * 2 >= self.seal_rows && rows.len() > 0 {
            let urgent = self.is_far_behind();
            let end = if urgent { &self.stop } else { &self.halt };
            let started = Instant::now();
            let result = self.threads.builders.build(urgent, end, |halt| {
                build::build(&self.spec, self.engine, &rows, haste, halt)
            });
            match result {
                Ok(Some(finished)) => {
                    let mut all = self.built.lock();
                    all.0 += rows.len() as u64;
                    all.1 += started.elapsed();
                    built = Some(finished);
                }
                Ok(None) => return Ok(None),
                Err(error) => {
                    tracing::error!(index = self.spec.name, %error, "searching these rows one by one");
                }
            }
        }
        let mut segment = None;
        if rows.len() > 0 {
            let path = segment_file::path(&self.folder, id);
            segment_file::write(&path, &rows, built.as_ref())?;
            segment = Some(segment_file::read(&path, id, self.spec.space)?);
        }
        let order = match built {
            Some(built) => built.order,
            None => (0..rows.len() as u32).collect(),
        };
        Ok(Some(Made {
            segment,
            rows,
            order,
        }))
    }

    fn install(
        &self,
        inputs: &[Arc<Segment>],
        made: Made<'_>,
        covered: Option<Covered>,
    ) -> Result<()> {
        let mut writer = self.writer.lock();
        if writer.dropped {
            return Ok(());
        }
        if let Some(segment) = &made.segment {
            made.rows.carry_deaths(&made.order, segment);
        }
        let view = self.view();
        let kept = |old: &&Arc<Segment>| inputs.iter().all(|input| input.id != old.id);
        let kept: Vec<_> = view.segments.iter().filter(kept).map(Arc::clone).collect();
        let (mut segments, unsealed): (Vec<_>, Vec<_>) =
            kept.into_iter().partition(|s| s.file_bytes.is_some());
        segments.extend(made.segment.map(Arc::new));
        let covered = covered.unwrap_or(Covered {
            applied: writer.applied,
            first_log: writer.first_log,
        });
        let acknowledged = match self.durability {
            Durability::Fsync => view.seq,
            Durability::Os => covered.applied.max(writer.acknowledged),
        };
        self.manifest(&writer, &segments, covered, acknowledged)
            .write(&self.folder)?;
        writer.acknowledged = acknowledged;
        segments.extend(unsealed);

        self.put_view(View { segments, ..*view });

        self.remove_covered(&mut writer, covered);
        for input in inputs.iter().filter(|input| input.file_bytes.is_some()) {
            // What cannot be removed now goes at the next start.
            let _ = fs::remove_file(segment_file::path(&self.folder, input.id));
        }
        Ok(())
    }

    /// Notes in the manifest what was acknowledged, so that a log that lost
    /// its end until the next start is known to have.
    pub fn close(&self) {
        let mut writer = self.writer.lock();
        if writer.dropped || self.view().seq == writer.acknowledged {
            return;
        }
        if let Err(error) = self.note(&mut writer) {
            tracing::warn!(index = self.spec.name, %error, "closed without a note of the last write");
        }
    }

    /// Notes where what is in the index comes from. What was written before is
    /// flushed: the note would speak of more than is there otherwise.
    pub fn set_source(&self, source: Source) -> Result<()> {
        let mut writer = self.writer.lock();
        if writer.dropped {
            let gone = format!("index {} was dropped", self.spec.name);
            return Err(Error::not_found(gone));
        }
        let before = self.source.lock().replace(source);
        let noted = self.note(&mut writer);
        if noted.is_err() {
            *self.source.lock() = before;
        }
        noted
    }

    /// Flushes the log, and writes the manifest of what stands in it and in
    /// the segment files.
    fn note(&self, writer: &mut Writer) -> Result<()> {
        writer.log.flush()?;
        let view = self.view();
        let sealed = view.segments.iter().filter(|s| s.file_bytes.is_some());
        let sealed: Vec<_> = sealed.map(Arc::clone).collect();
        let covered = Covered {
            applied: writer.applied,
            first_log: writer.first_log,
        };
        self.manifest(writer, &sealed, covered, view.seq)
            .write(&self.folder)?;
        writer.acknowledged = view.seq;
        Ok(())
    }

    fn manifest(
        &self,
        writer: &Writer,
        sealed: &[Arc<Segment>],
        covered: Covered,
        acknowledged: u64,
    ) -> Manifest {
        // Later deaths are in the log.
        let entry = |segment: &Arc<Segment>| SegmentEntry {
            id: segment.id,
            dead: (0..segment.len())
                .filter(|row| !segment.live_at(*row, covered.applied))
                .map(|row| row as u32)
                .collect(),
        };
        let mut manifest = Manifest::new(&self.spec);
        manifest.applied = covered.applied;
        manifest.acknowledged = acknowledged;
        manifest.log = covered.first_log;
        manifest.next_segment = writer.next_segment;
        manifest.segments = sealed.iter().map(entry).collect();
        manifest.source.clone_from(&self.source.lock());
        manifest
    }

    /// Forgets the log files whose writes the segment files hold now.
    fn remove_covered(&self, writer: &mut Writer, covered: Covered) {
        for number in writer.first_log..covered.first_log {
            // What cannot be removed now goes at the next start.
            let _ = fs::remove_file(log::path(&self.folder, number));
        }
        if covered.first_log == writer.log.number() {
            writer.older_log_bytes = 0;
        }
        writer.applied = covered.applied;
        writer.first_log = covered.first_log;
        self.count_log(writer);
    }
}
