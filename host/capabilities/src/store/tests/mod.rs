//! What holds for every store, on the local folder and in memory, and what a
//! local folder promises beyond that.

mod calls;
mod crash;
mod list;
mod put;
mod read;
mod upload;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;

use super::{Key, Mode, Store};

/// A store and what it lives in.
struct Fixture {
    store: Arc<Store>,
    folder: Option<TempDir>,
}

impl Fixture {
    fn local() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self {
            store: open(folder.path().to_str().expect("UTF-8")),
            folder: Some(folder),
        }
    }

    fn memory() -> Self {
        Self {
            store: open("memory://"),
            folder: None,
        }
    }

    fn both() -> [Self; 2] {
        [Self::local(), Self::memory()]
    }

    /// The local folder.
    fn root(&self) -> &std::path::Path {
        self.folder.as_ref().expect("a local store").path()
    }
}

fn open(url: &str) -> Arc<Store> {
    Store::open(url, &HashMap::new()).expect("the store opens")
}

fn key(key: &str) -> Key {
    Key::parse(key).expect("a valid key")
}

async fn put(store: &Store, name: &str, content: impl Into<Bytes>) -> super::Meta {
    store
        .put(&key(name), content, Mode::Overwrite)
        .await
        .expect("put")
}

async fn get(store: &Store, name: &str) -> Vec<u8> {
    store.get(&key(name)).await.expect("get").1
}
