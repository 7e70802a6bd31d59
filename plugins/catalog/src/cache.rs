//! A bounded cache of immutable files, kept across the requests of a warm
//! instance.

use std::collections::HashMap;
use std::rc::Rc;

/// Decoded files by key; the least recently used go first.
///
/// The bound counts the encoded size: cheap to know and a fair measure.
#[derive(Debug)]
pub struct Cache<V> {
    entries: HashMap<String, Entry<V>>,
    capacity: usize,
    used: usize,
    clock: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: Rc<V>,
    bytes: usize,
    used_at: u64,
}

impl<V> Cache<V> {
    /// A cache of files of up to `capacity` encoded bytes together.
    pub fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            capacity,
            used: 0,
            clock: 0,
        }
    }

    /// What is known of `key`.
    pub fn get(&mut self, key: &str) -> Option<Rc<V>> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used_at = self.clock;
        Some(Rc::clone(&entry.value))
    }

    /// Keeps a value whose file has `bytes` bytes. One that alone is over the
    /// capacity is not kept.
    pub fn put(&mut self, key: &str, value: Rc<V>, bytes: usize) {
        if bytes > self.capacity {
            return;
        }
        self.clock += 1;
        let entry = Entry {
            value,
            bytes,
            used_at: self.clock,
        };
        if let Some(old) = self.entries.insert(key.to_owned(), entry) {
            self.used -= old.bytes;
        }
        self.used += bytes;
        while self.used > self.capacity {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used_at);
            let Some(key) = oldest.map(|(key, _)| key.clone()) else {
                return;
            };
            if let Some(gone) = self.entries.remove(&key) {
                self.used -= gone.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut cache = Cache::new(10);
        cache.put("a", Rc::new(1), 4);
        cache.put("b", Rc::new(2), 4);
        assert_eq!(cache.get("a").as_deref(), Some(&1));
        cache.put("c", Rc::new(3), 4);
        assert_eq!(cache.get("b"), None);
        assert_eq!(cache.get("a").as_deref(), Some(&1));
        assert_eq!(cache.get("c").as_deref(), Some(&3));
    }

    #[test]
    fn what_is_too_large_is_not_kept_and_evicts_nothing() {
        let mut cache = Cache::new(10);
        cache.put("a", Rc::new(1), 4);
        cache.put("big", Rc::new(2), 11);
        assert_eq!(cache.get("big"), None);
        assert_eq!(cache.get("a").as_deref(), Some(&1));
    }

    #[test]
    fn putting_again_counts_once() {
        let mut cache = Cache::new(10);
        for value in 0..100 {
            cache.put("a", Rc::new(value), 6);
        }
        cache.put("b", Rc::new(0), 4);
        assert_eq!(cache.get("a").as_deref(), Some(&99));
    }
}
