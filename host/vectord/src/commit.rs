//! Writing to an index: checked, logged, flushed, then made visible.
//!
//! Writers queue up; whoever gets the lock first writes for all that wait, so
//! that one flush serves them all (group commit).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use hashbrown::HashTable;
use parking_lot::Mutex;

use crate::budget;
use crate::error::{Error, Result};
use crate::field::stride;
use crate::index::{self, Index, View};
use crate::log::Log;
use crate::record::{self, Put, Write};
use crate::rows::{IdHash, Rows};
use crate::seal::REST;
use crate::segment::Segment;
use crate::types::{Added, Durability, Item};
use crate::validate;

/// Most rows that unsealed segments are joined to.
const BLOCK: usize = 4096;
/// Unsealed segments of about the same size that are joined at once.
const JOINED: usize = 4;
/// Log length, in bytes, from which it is worth starting a new one.
const LOG_BYTES: u64 = 256 << 20;

/// What only one writer at a time may touch.
#[derive(Debug)]
pub(crate) struct Writer {
    pub log: Log,
    /// Bytes of log files before the current one.
    pub older_log_bytes: u64,
    /// First log file still needed.
    pub first_log: u64,
    /// Last write that segment files hold.
    pub applied: u64,
    /// What the manifest says to be acknowledged.
    pub acknowledged: u64,
    pub next_segment: u64,
    /// Set once the index is dropped.
    pub dropped: bool,
    /// When the last write came.
    pub last_write: Instant,
    /// Background work failed; not tried again before this.
    pub retry_at: Option<Instant>,
}

/// A checked call, not yet resolved against what is there.
#[derive(Debug)]
pub(crate) enum Call {
    Put(Vec<Item>),
    Delete(Vec<String>),
}

/// What a call did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Added(Added),
    Deleted(u64),
}

/// A call in the queue, and where its answer goes.
#[derive(Debug)]
pub(crate) struct Pending {
    call: Call,
    answer: Arc<Mutex<Option<Result<Outcome>>>>,
}

/// What the calls of a group before this one do to items: their metadata, or
/// that they are gone.
type Overlay = HashMap<Arc<str>, Option<Option<Arc<str>>>>;

impl Index {
    /// Refuses what `add` would refuse; the items are numbered from `first` on.
    pub fn check(&self, items: &[Item], first: usize) -> Result<()> {
        validate::items(self.spec.space, items, first)
    }

    pub fn add(&self, items: Vec<Item>) -> Result<Added> {
        self.check(&items, 0)?;
        match self.submit(Call::Put(items))? {
            Outcome::Added(added) => Ok(added),
            Outcome::Deleted(_) => Err(Error::internal("an addition was answered as a deletion")),
        }
    }

    pub fn delete(&self, ids: Vec<String>) -> Result<u64> {
        for (at, id) in ids.iter().enumerate() {
            validate::id(id).map_err(|why| Error::invalid(format!("id {at}: {why}")))?;
        }
        match self.submit(Call::Delete(ids))? {
            Outcome::Deleted(deleted) => Ok(deleted),
            Outcome::Added(_) => Err(Error::internal("a deletion was answered as an addition")),
        }
    }

    fn submit(&self, call: Call) -> Result<Outcome> {
        let answer = Arc::new(Mutex::new(None));
        self.queue.lock().push(Pending {
            call,
            answer: Arc::clone(&answer),
        });
        let mut writer = self.writer.lock();
        if answer.lock().is_none() {
            // Nobody did it while this thread waited, so it writes for all.
            let group = std::mem::take(&mut *self.queue.lock());
            self.commit(&mut writer, group);
        }
        drop(writer);
        let answer = answer.lock().take();
        answer.unwrap_or_else(|| Err(Error::internal("a write was left without an answer")))
    }

    fn commit(&self, writer: &mut Writer, group: Vec<Pending>) {
        let mut overlay = Overlay::new();
        let mut records = Vec::new();
        let mut writes = Vec::new();
        let mut answers = Vec::new();
        // Bytes of memory that the group will take.
        let mut admitted = 0;
        let is_alone = group.len() == 1;
        let view = self.view();
        let last = view.seq;
        // What the log says was flushed before its next records.
        let durable = match self.durability {
            Durability::Fsync => last,
            Durability::Os => writer.applied,
        };
        for Pending { call, answer } in group {
            if writer.dropped {
                let gone = format!("index {} was dropped", self.spec.name);
                *answer.lock() = Some(Err(Error::not_found(gone)));
                continue;
            }
            if let Call::Put(items) = &call {
                let bytes = budget::estimate(items, stride(self.spec.space.dimension));
                let more = admitted + bytes;
                if let Err(refused) = self.budget.admit(&self.spec.name, &self.held, more) {
                    *answer.lock() = Some(Err(refused));
                    continue;
                }
                admitted = more;
                // Their record is a little shorter.
                records.reserve(bytes as usize);
            }
            let (write, outcome) = resolve(&view, call, &mut overlay);
            if let Some(write) = write {
                // Nobody asks what a call did that has none after it.
                if let (false, Write::Put(puts)) = (is_alone, &write) {
                    let there = |put: &Put| (Arc::clone(&put.id), Some(put.metadata.clone()));
                    overlay.extend(puts.iter().map(there));
                }
                let seq = last + 1 + writes.len() as u64;
                record::encode(&mut records, seq, durable, &write);
                writes.push(write);
            }
            answers.push((answer, outcome));
        }
        let logged = if records.is_empty() {
            Ok(())
        } else {
            writer.log.append(&records, self.durability)
        };
        if logged.is_ok() && !writes.is_empty() {
            self.apply(writer, last + 1, writes);
        }
        self.count_log(writer);
        for (answer, outcome) in answers {
            *answer.lock() = Some(logged.clone().map(|()| outcome));
        }
    }

    /// Makes logged writes visible, the first of which is number `first`.
    pub fn apply(&self, writer: &mut Writer, first: u64, writes: Vec<Write>) {
        let view = self.view();
        let mut segments = view.segments.clone();
        let (mut seq, mut count) = (view.seq, view.count);
        writer.last_write = Instant::now();
        for (write, number) in writes.into_iter().zip(first..) {
            // Rows are looked up as they stood before this write.
            let before = std::mem::replace(&mut seq, number);
            match write {
                Write::Delete(ids) => {
                    for id in ids {
                        count -= u64::from(kill(&segments, &id, before, seq));
                    }
                }
                Write::Put(puts) => {
                    let segment = writer.next_segment;
                    writer.next_segment += 1;
                    let mut rows = Rows::with_capacity(self.spec.space, puts.len());
                    for put in puts {
                        let is_new = put.is_new || !kill(&segments, &put.id, before, seq);
                        count += u64::from(is_new);
                        rows.push(self.spec.space, put.id, &put.vector, put.metadata);
                    }
                    segments.push(Arc::new(Segment::new(segment, self.spec.space, rows)));
                    join_tail(&mut segments, view.fixed);
                }
            }
        }
        self.put_view(View {
            seq,
            segments,
            count,
            ..*view
        });
        if self.searched_within(REST) {
            // Where nobody searches it would be for nothing.
            self.view().tail().for_each(|it| it.sketch_if_worth());
        }
        if self.wants_sealing(writer) {
            self.request_work();
            if self.is_far_behind() {
                self.halt.store(true, Ordering::SeqCst);
            }
        }
    }

    /// Whether enough is in the log alone.
    pub fn wants_sealing(&self, writer: &Writer) -> bool {
        let view = self.view();
        let (rows, bytes) = view.backlog();
        rows >= self.seal_rows
            || (rows > 0 && self.budget.presses(bytes))
            || (writer.log.length() >= LOG_BYTES && view.seq > writer.applied)
    }

    /// Puts a view in the place of the one before.
    pub fn put_view(&self, view: View) {
        self.note_memory(&view);
        *self.view.write() = Arc::new(view);
    }

    /// Updates the size that readers are told.
    pub fn count_log(&self, writer: &Writer) {
        let bytes = writer.older_log_bytes + writer.log.length();
        self.log_bytes.store(bytes, Ordering::Relaxed);
    }
}

/// Turns a call into a write that is complete in itself, if it changes
/// anything.
fn resolve(view: &View, call: Call, overlay: &mut Overlay) -> (Option<Write>, Outcome) {
    match call {
        Call::Put(items) => resolve_put(view, items, overlay),
        Call::Delete(ids) => resolve_delete(view, ids, overlay),
    }
}

fn resolve_put(view: &View, items: Vec<Item>, overlay: &Overlay) -> (Option<Write>, Outcome) {
    let mut added = Added::default();
    let mut puts: Vec<Put> = Vec::with_capacity(items.len());
    let hashes: Vec<_> = items.iter().map(|item| IdHash::of(&item.id)).collect();
    let ids = items
        .iter()
        .map(|item| &*item.id)
        .zip(hashes.iter().copied());
    let stored = view.find_each(&ids.collect::<Vec<_>>());
    let mut places: HashTable<usize> = HashTable::with_capacity(items.len());
    for ((item, hash), stored) in items.into_iter().zip(hashes).zip(stored) {
        let metadata = item.metadata.map(Arc::from);
        let same = |place: &usize| *puts[*place].id == item.id;
        if let Some(place) = places.find(hash.wide(), same) {
            let put = &mut puts[*place];
            put.vector = item.vector;
            put.metadata = metadata.or_else(|| put.metadata.take());
            continue;
        }
        // Its metadata, if there is such an item.
        let before = match overlay.get(&*item.id) {
            Some(state) => state.clone(),
            None => stored.map(|(segment, row)| match metadata {
                Some(_) => None,
                None => segment.rows.metadata.shared(row),
            }),
        };
        let is_new = before.is_none();
        *match is_new {
            true => &mut added.added,
            false => &mut added.updated,
        } += 1;
        // There is none of this id yet, and room for all.
        places.insert_unique(hash.wide(), puts.len(), |_| hash.wide());
        puts.push(Put {
            id: item.id.into(),
            vector: item.vector,
            metadata: metadata.or(before.flatten()),
            is_new,
        });
    }
    let write = (!puts.is_empty()).then_some(Write::Put(puts));
    (write, Outcome::Added(added))
}

fn resolve_delete(
    view: &View,
    ids: Vec<String>,
    overlay: &mut Overlay,
) -> (Option<Write>, Outcome) {
    let mut gone: Vec<Arc<str>> = Vec::new();
    for id in ids {
        let id: Arc<str> = id.into();
        if metadata_of(view, &id, overlay).is_some() {
            overlay.insert(Arc::clone(&id), None);
            gone.push(id);
        }
    }
    let outcome = Outcome::Deleted(gone.len() as u64);
    ((!gone.is_empty()).then_some(Write::Delete(gone)), outcome)
}

/// An item's metadata as the group's earlier calls leave them; `None` if
/// there is no such item.
fn metadata_of(view: &View, id: &str, overlay: &Overlay) -> Option<Option<Arc<str>>> {
    if let Some(state) = overlay.get(id) {
        return state.clone();
    }
    let (segment, row) = view.find(id)?;
    Some(segment.rows.metadata.shared(row))
}

/// Marks the row of an item that stood at `before` dead from `seq` on; says
/// whether there was one.
fn kill(segments: &[Arc<Segment>], id: &str, before: u64, seq: u64) -> bool {
    let found = index::find(segments, id, before);
    if let Some((segment, row)) = found {
        segment.kill(row, seq);
    }
    found.is_some()
}

/// Joins the last unsealed segments after the `fixed` ones, while there are some of about
/// the same size, so that there are never more than a few for each size.
fn join_tail(segments: &mut Vec<Arc<Segment>>, fixed: u64) {
    while let Some((rest, last)) = segments.split_last_chunk::<JOINED>() {
        let [first, .., newest] = last;
        let stays = last.iter().any(|s| s.file_bytes.is_some() || s.id <= fixed);
        let rows: usize = last.iter().map(|segment| segment.len()).sum();
        if stays || first.len() >= JOINED * newest.len() || rows > BLOCK {
            return;
        }
        let joined = Arc::new(Segment::joined(first.id, first.space, last));
        segments.truncate(rest.len());
        segments.push(joined);
    }
}
