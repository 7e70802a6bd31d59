//! The calls as a plugin makes them: grants, resources, streams.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::p2::{DynInputStream, StreamError};

use super::super::capability::{Context, View};
use super::super::stream::ObjectStream;
use super::{Fixture, get, key, put};
use crate::Kind;
use crate::bindings::store::{ByteRange, Host, HostPendingRead, HostUpload, PutMode};
use crate::grants::Grants;

/// A plugin that may write `mine/` and read `shared/`.
struct Plugin {
    fixture: Fixture,
    context: Arc<Context>,
    table: ResourceTable,
}

impl Plugin {
    fn new() -> Self {
        let fixture = Fixture::local();
        let grants = Grants::of_store(&json!({"store": [
            {"prefix": "mine/", "access": "read-write"},
            {"prefix": "shared/", "access": "read"},
        ]}));
        let context = Context::new(&fixture.store, grants.expect("valid"));
        Self {
            fixture,
            context: Arc::new(context),
            table: ResourceTable::new(),
        }
    }

    fn view(&mut self) -> View<'_> {
        View {
            context: Some(Arc::clone(&self.context)),
            cause: None,
            table: &mut self.table,
        }
    }
}

fn range(offset: u64, length: u64) -> ByteRange {
    ByteRange { offset, length }
}

#[tokio::test]
async fn a_plugin_reaches_what_it_was_granted_and_nothing_else() {
    let mut plugin = Plugin::new();
    put(&plugin.fixture.store, "shared/a", "1").await;
    put(&plugin.fixture.store, "other/a", "2").await;
    let mut view = plugin.view();

    let (meta, content) = view.get("shared/a".to_owned()).await.expect("granted");
    assert_eq!((meta.size, content), (1, b"1".to_vec()));
    view.put("mine/a".to_owned(), b"3".to_vec(), PutMode::Create)
        .await
        .expect("granted");

    let mut denied = Vec::new();
    for outside in ["other/a", "mine", "minerals/a", "mine2"] {
        let name = || outside.to_owned();
        denied.push(view.get(name()).await.map(drop));
        denied.push(view.head(name()).await.map(drop));
        denied.push(view.open(name(), None).await.map(drop));
        denied.push(view.get_ranges(name(), vec![range(0, 1)]).await.map(drop));
        denied.push(
            view.put(name(), Vec::new(), PutMode::Overwrite)
                .await
                .map(drop),
        );
        denied.push(
            view.start_upload(name(), PutMode::Overwrite)
                .await
                .map(drop),
        );
        denied.push(view.delete(name()).await);
        denied.push(view.list(name(), None, None, 10).await.map(drop));
    }
    let shared = || "shared/a".to_owned();
    denied.push(
        view.put(shared(), Vec::new(), PutMode::Overwrite)
            .await
            .map(drop),
    );
    denied.push(
        view.start_upload(shared(), PutMode::Overwrite)
            .await
            .map(drop),
    );
    denied.push(view.delete(shared()).await);
    denied.push(view.list(String::new(), None, None, 10).await.map(drop));
    denied.push(
        view.list("shared".to_owned(), None, None, 10)
            .await
            .map(drop),
    );
    for answer in denied {
        assert_eq!(answer.expect_err("denied").kind(), Kind::Denied);
    }
    // A way out of the prefix is no key to begin with.
    let error = view.get("mine/../other/a".to_owned()).await;
    assert_eq!(error.expect_err("no key").kind(), Kind::Invalid);

    let page = view.list("shared/".to_owned(), None, None, 10).await;
    assert_eq!(page.expect("granted").objects.len(), 1);
    assert_eq!(get(&plugin.fixture.store, "other/a").await, b"2");
}

#[tokio::test]
async fn reads_that_were_started_are_finished_once() {
    let mut plugin = Plugin::new();
    put(&plugin.fixture.store, "mine/a", "0123456789").await;
    let mut view = plugin.view();
    let start = |name: &str| (name.to_owned(), vec![range(2, 3), range(8, 9)]);
    let (name, ranges) = start("mine/a");
    let good = view.start_read(name, ranges).await.expect("started");
    let (name, ranges) = start("mine/b");
    let missing = view.start_read(name, ranges).await.expect("started");
    let (name, ranges) = start("other/a");
    let denied = view.start_read(name, ranges).await.expect("started");
    let borrow = |read: &Resource<_>| Resource::new_borrow(read.rep());

    let read = HostPendingRead::finish(&mut view, borrow(&good)).await;
    assert_eq!(read.expect("read"), [b"234".to_vec(), b"89".to_vec()]);
    let again = HostPendingRead::finish(&mut view, borrow(&good)).await;
    assert_eq!(again.expect_err("taken").kind(), Kind::Invalid);
    let read = HostPendingRead::finish(&mut view, borrow(&missing)).await;
    assert_eq!(read.expect_err("missing").kind(), Kind::NotFound);
    let read = HostPendingRead::finish(&mut view, borrow(&denied)).await;
    assert_eq!(read.expect_err("denied").kind(), Kind::Denied);
    for read in [good, missing, denied] {
        HostPendingRead::drop(&mut view, read)
            .await
            .expect("dropped");
    }
    assert!(plugin.table.is_empty());
}

#[tokio::test]
async fn a_plugin_cannot_start_more_reads_than_its_budget() {
    let mut plugin = Plugin::new();
    put(&plugin.fixture.store, "mine/a", "0").await;
    let mut view = plugin.view();
    let whole = || vec![range(0, u64::MAX)];
    let mut started = Vec::new();
    for _ in 0..2 {
        let read = view.start_read("mine/a".to_owned(), whole()).await;
        started.push(read.expect("started"));
    }
    let over = view.start_read("mine/a".to_owned(), whole()).await;
    let over = HostPendingRead::finish(&mut view, over.expect("started")).await;
    assert_eq!(over.expect_err("too much").kind(), Kind::Exhausted);
    for read in started {
        HostPendingRead::drop(&mut view, read)
            .await
            .expect("dropped");
    }
    let read = view.start_read("mine/a".to_owned(), whole()).await;
    let read = HostPendingRead::finish(&mut view, read.expect("started")).await;
    assert_eq!(read.expect("room again"), [b"0".to_vec()]);
}

#[tokio::test]
async fn a_stream_is_spliced_into_an_upload() {
    let mut plugin = Plugin::new();
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 253) as u8).collect();
    put(&plugin.fixture.store, "shared/a", content.clone()).await;
    let mut view = plugin.view();
    let (meta, source) = view.open("shared/a".to_owned(), None).await.expect("open");
    let upload = view
        .start_upload("mine/b".to_owned(), PutMode::Create)
        .await;
    let upload = upload.expect("begun");
    let mut moved = 0;
    loop {
        let to = Resource::new_borrow(upload.rep());
        let from = Resource::new_borrow(source.rep());
        match view.splice(to, from, 1_000_000).await.expect("moved") {
            0 => break,
            step => moved += step,
        }
    }
    assert_eq!(moved, meta.size);
    let to = Resource::new_borrow(upload.rep());
    let made = HostUpload::finish(&mut view, to).await.expect("finished");
    assert_eq!(made.size, meta.size);
    let again = HostUpload::finish(&mut view, Resource::new_borrow(upload.rep())).await;
    assert_eq!(again.expect_err("finished").kind(), Kind::Invalid);
    assert_eq!(get(&plugin.fixture.store, "mine/b").await, content);
}

/// A reader that brings some bytes and then breaks.
struct Breaking(Option<Bytes>);

#[wasmtime_wasi::async_trait]
impl super::super::ChunkReader for Breaking {
    async fn next(&mut self) -> Result<Option<Bytes>, crate::Error> {
        match self.0.take() {
            Some(chunk) => Ok(Some(chunk)),
            None => Err(crate::Error::internal("the wire broke")),
        }
    }
}

#[tokio::test]
async fn a_source_that_breaks_off_stores_nothing() {
    let mut plugin = Plugin::new();
    let reader = Box::new(Breaking(Some(Bytes::from_static(b"half"))));
    let stream: DynInputStream = Box::new(ObjectStream::new(reader));
    let source = plugin.table.push(stream).expect("room");
    let mut view = plugin.view();
    let upload = view
        .start_upload("mine/b".to_owned(), PutMode::Create)
        .await;
    let upload = upload.expect("begun");
    let error = loop {
        let to = Resource::new_borrow(upload.rep());
        let from = Resource::new_borrow(source.rep());
        match view.splice(to, from, 100).await {
            Ok(step) => assert!(step > 0, "a broken stream has no end"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("the wire broke"), "{error}");
    // All of it is there or none: what was taken cannot be finished any more.
    let finished = HostUpload::finish(&mut view, Resource::new_borrow(upload.rep())).await;
    assert!(finished.is_err());
    HostUpload::drop(&mut view, upload).await.expect("dropped");
    let missing = plugin.fixture.store.head(&key("mine/b")).await;
    assert_eq!(missing.expect_err("nothing").kind(), Kind::NotFound);
}

#[tokio::test]
async fn a_stream_ends_with_closed() {
    let reader = Box::new(Breaking(Some(Bytes::from_static(b"abc"))));
    let mut stream: DynInputStream = Box::new(ObjectStream::new(reader));
    assert_eq!(stream.blocking_read(2).await.expect("read"), "ab");
    assert_eq!(stream.read(2).expect("read"), "c");
    let broken = stream.blocking_read(2).await;
    assert!(matches!(broken, Err(StreamError::LastOperationFailed(_))));
    assert!(matches!(stream.read(2), Err(StreamError::Closed)));
}
