//! Calls about the items of one index.

use std::sync::Arc;
use std::time::Duration;

use super::Service;
use crate::error::Result;
use crate::types::{Added, Hit, Item, Query, StoredItem};

/// How often it is looked whether there is room now.
const POLL: Duration = Duration::from_millis(10);

impl Service {
    /// Adds items or replaces them, all or none, in order: an id twice means
    /// that the last wins. Metadata that are `None` keep what was there.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid), naming the item;
    /// [`NotFound`](crate::ErrorKind::NotFound); [`Exhausted`](crate::ErrorKind::Exhausted).
    pub fn add(&self, index: &str, items: Vec<Item>) -> Result<Added> {
        self.index(index)?.add(items)
    }

    /// Refuses items that [`Service::add`] would refuse; changes nothing. They
    /// are numbered from `first` on.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid), naming the item;
    /// [`NotFound`](crate::ErrorKind::NotFound).
    pub fn check(&self, index: &str, items: &[Item], first: usize) -> Result<()> {
        self.index(index)?.check(items, first)
    }

    /// Waits, after an addition was refused for want of memory, until rows
    /// were sealed into files; false if no such work is under way that could
    /// make room.
    pub fn wait_for_room(&self) -> bool {
        let before = self.budget.held();
        loop {
            let busy = self.worker.is_busy();
            if self.budget.held() < before {
                return true;
            }
            if !busy {
                return false;
            }
            std::thread::sleep(POLL);
        }
    }

    /// The `k` nearest items, nearest first, ties by id.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid), [`NotFound`](crate::ErrorKind::NotFound).
    pub fn search(&self, index: &str, query: &Query) -> Result<Vec<Hit>> {
        self.index(index)?.search(query)
    }

    /// What [`Service::search`] gives for each of some queries, in their
    /// order, all as of one moment. They share the threads that search.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid), naming the query;
    /// [`NotFound`](crate::ErrorKind::NotFound).
    pub fn search_many(&self, index: &str, queries: &Arc<[Query]>) -> Result<Vec<Vec<Hit>>> {
        let index = self.index(index)?;
        match &**queries {
            [] | [_] => index.search_here(queries),
            _ => index.search_shared(queries, &self.searchers),
        }
    }

    /// Searches for one on this thread, if going by the last searches of its kind that
    /// is likely to be over in a moment (a millisecond); none if it is not, and
    /// [`Service::search_many`] should be asked where there is time.
    ///
    /// # Errors
    /// Those of [`Service::search_many`].
    pub fn search_now(&self, index: &str, queries: &[Query]) -> Option<Result<Vec<Vec<Hit>>>> {
        let [query] = queries else { return None };
        let index = self.index(index).ok()?;
        index.is_quick(query).then(|| index.search_here(queries))
    }

    /// Runs a job on one of the threads that search, of which there are as
    /// many as processors. A job that panics ends there, and is logged.
    pub fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        self.searchers.spawn(job);
    }

    /// One item.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound), of the index or of the item.
    pub fn item(&self, index: &str, id: &str) -> Result<StoredItem> {
        self.index(index)?.item(id)
    }

    /// Removes one item.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound), of the index or of the item.
    pub fn delete_item(&self, index: &str, id: &str) -> Result<()> {
        let index = self.index(index)?;
        match index.delete(vec![id.to_owned()])? {
            0 => Err(index.no_item(id)),
            _ => Ok(()),
        }
    }

    /// Removes items; says how many were there.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid), naming the id;
    /// [`NotFound`](crate::ErrorKind::NotFound), of the index.
    pub fn delete(&self, index: &str, ids: Vec<String>) -> Result<u64> {
        self.index(index)?.delete(ids)
    }
}
