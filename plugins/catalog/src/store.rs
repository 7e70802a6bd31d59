//! The objects that the catalog lives in, behind a trait so that the logic
//! runs natively in unit tests.

use lakehouse_sdk::store;
use lakehouse_sdk::types::Error;

/// Content of one object and the ETag that it had when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The bytes.
    pub content: Vec<u8>,
    /// Opaque version, for [`Condition::Matches`].
    pub etag: String,
}

/// On what condition a put takes effect; checked and applied atomically.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition<'a> {
    /// Nothing is there; else [`Error::AlreadyExists`].
    Absent,
    /// The object has this ETag; else [`Error::PreconditionFailed`].
    Matches(&'a str),
}

/// What a listing tells of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Its key.
    pub key: String,
    /// Its bytes.
    pub size: u64,
    /// When it was put, in milliseconds since 1970.
    pub modified: u64,
}

/// What the catalog needs of a store.
pub trait Store {
    /// URL of the store's root, without a trailing slash.
    fn base_url(&self) -> String;

    /// Reads a whole object.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is not there.
    fn get(&self, key: &str) -> Result<Object, Error>;

    /// Writes a whole object, durably, and returns its ETag.
    ///
    /// # Errors
    /// As [`Condition`] says, and whatever the store reports.
    fn put(&self, key: &str, content: Vec<u8>, condition: Condition<'_>) -> Result<String, Error>;

    /// Removes an object; one that is not there is no error.
    ///
    /// # Errors
    /// Whatever the store reports.
    fn delete(&self, key: &str) -> Result<(), Error>;

    /// Visits all objects whose keys start with `prefix`, in ascending order.
    ///
    /// # Errors
    /// Whatever the store reports.
    fn walk(&self, prefix: &str, visit: &mut dyn FnMut(Listing)) -> Result<(), Error>;

    /// All keys that start with `prefix`, ascending.
    ///
    /// # Errors
    /// Whatever the store reports.
    fn list(&self, prefix: &str) -> Result<Vec<String>, Error> {
        let mut keys = Vec::new();
        self.walk(prefix, &mut |object| keys.push(object.key))?;
        Ok(keys)
    }
}

/// The store that the host grants to the plugin.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostStore;

/// Keys asked for in one page of a listing; the most that the store gives.
const PAGE: u32 = 1000;

impl Store for HostStore {
    fn base_url(&self) -> String {
        store::base_url()
    }

    fn get(&self, key: &str) -> Result<Object, Error> {
        let (meta, content) = store::get(key)?;
        Ok(Object {
            content,
            etag: meta.etag,
        })
    }

    fn put(&self, key: &str, content: Vec<u8>, condition: Condition<'_>) -> Result<String, Error> {
        let mode = match condition {
            Condition::Absent => store::PutMode::Create,
            Condition::Matches(etag) => store::PutMode::Update(etag.to_owned()),
        };
        Ok(store::put(key, &content, &mode)?.etag)
    }

    fn delete(&self, key: &str) -> Result<(), Error> {
        store::delete(key)
    }

    fn walk(&self, prefix: &str, visit: &mut dyn FnMut(Listing)) -> Result<(), Error> {
        let mut cursor: Option<String> = None;
        loop {
            let page = store::list(prefix, None, cursor.as_deref(), PAGE)?;
            for object in page.objects {
                visit(Listing {
                    key: object.key,
                    size: object.size,
                    modified: object.last_modified,
                });
            }
            cursor = page.cursor;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
pub mod fake {
    //! A store in memory that can fail on command.

    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::{Condition, Error, Listing, Object, Store};

    type Hook = Box<dyn FnOnce(&MemoryStore)>;

    /// Objects in memory; the ETag is a counter.
    #[derive(Default)]
    pub struct MemoryStore {
        objects: RefCell<BTreeMap<String, Object>>,
        puts: RefCell<u64>,
        before_put: RefCell<Option<(String, Hook)>>,
        /// When objects were put that are not from the year 1970.
        modified: RefCell<BTreeMap<String, u64>>,
    }

    impl MemoryStore {
        /// Runs `hook` once, right before the next put of a key that starts
        /// with `prefix`: what another writer would do at that moment.
        pub fn before_put(&self, prefix: &str, hook: impl FnOnce(&MemoryStore) + 'static) {
            *self.before_put.borrow_mut() = Some((prefix.to_owned(), Box::new(hook)));
        }

        /// Says when an object was put.
        pub fn touch(&self, key: &str, modified: u64) {
            self.modified.borrow_mut().insert(key.to_owned(), modified);
        }

        /// Replaces an object whatever is there: damage on disk.
        pub fn overwrite(&self, key: &str, content: &[u8]) {
            let etag = self.next_etag();
            let content = content.to_vec();
            self.objects
                .borrow_mut()
                .insert(key.to_owned(), Object { content, etag });
        }

        fn next_etag(&self) -> String {
            let mut puts = self.puts.borrow_mut();
            *puts += 1;
            puts.to_string()
        }
    }

    impl Store for MemoryStore {
        fn base_url(&self) -> String {
            "memory:///root".to_owned()
        }

        fn get(&self, key: &str) -> Result<Object, Error> {
            let objects = self.objects.borrow();
            objects
                .get(key)
                .cloned()
                .ok_or_else(|| Error::NotFound(format!("no object {key}")))
        }

        fn put(
            &self,
            key: &str,
            content: Vec<u8>,
            condition: Condition<'_>,
        ) -> Result<String, Error> {
            let due = self
                .before_put
                .borrow()
                .as_ref()
                .is_some_and(|(prefix, _)| key.starts_with(prefix));
            if due && let Some((_, hook)) = self.before_put.take() {
                hook(self);
            }
            let current = self.objects.borrow().get(key).map(|o| o.etag.clone());
            match (condition, current) {
                (Condition::Absent, Some(_)) => {
                    return Err(Error::AlreadyExists(format!("{key} is there")));
                }
                (Condition::Matches(etag), current) if current.as_deref() != Some(etag) => {
                    return Err(Error::PreconditionFailed(format!("{key} has changed")));
                }
                _ => {}
            }
            let etag = self.next_etag();
            let object = Object {
                content,
                etag: etag.clone(),
            };
            self.objects.borrow_mut().insert(key.to_owned(), object);
            Ok(etag)
        }

        fn delete(&self, key: &str) -> Result<(), Error> {
            self.objects.borrow_mut().remove(key);
            Ok(())
        }

        fn walk(&self, prefix: &str, visit: &mut dyn FnMut(Listing)) -> Result<(), Error> {
            let modified = self.modified.borrow();
            for (key, object) in self.objects.borrow().iter() {
                if key.starts_with(prefix) {
                    visit(Listing {
                        key: key.clone(),
                        size: object.content.len() as u64,
                        modified: modified.get(key).copied().unwrap_or_default(),
                    });
                }
            }
            Ok(())
        }
    }
}
