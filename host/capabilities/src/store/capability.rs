//! The `store` interface, as plugins call it.

use std::sync::Arc;

use bytes::Bytes;
use lakehouse_runtime::{Capability, Extensions, PluginSpec, State};
use lakehouse_trace::Cause;
use tokio::task::JoinHandle;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{DynInputStream, DynPollable, Pollable, StreamError, subscribe};

use super::budget::{Budget, Reservation};
use super::key::Key;
use super::stream::ObjectStream;
use super::{ListRequest, MAX_READ, Span, Store, Upload};
use crate::bindings::{store as wit, types};
use crate::call::{self, Call};
use crate::grants::{Access, Grants};
use crate::{Error, Kind};

/// Spans that one call may ask for.
const MAX_SPANS: usize = 65_536;
/// Bytes moved by one step of `splice`.
const SPLICE: usize = 1 << 20;

/// The store, offered to plugins by key prefix.
#[derive(Debug)]
pub struct StoreCapability {
    store: Arc<Store>,
}

impl StoreCapability {
    /// Offers `store`.
    pub fn new(store: Arc<Store>) -> Self {
        Self { store }
    }
}

/// What one plugin may do with the store.
pub(super) struct Context {
    store: Arc<Store>,
    grants: Grants,
    budget: Arc<Budget>,
}

impl Context {
    pub(super) fn new(store: &Arc<Store>, grants: Grants) -> Self {
        Self {
            store: Arc::clone(store),
            grants,
            budget: Arc::new(Budget::default()),
        }
    }

    /// The key, if it is one and the plugin may use it so.
    fn key(&self, key: String, wanted: Access) -> Result<Key, Error> {
        let key = Key::parse(key)?;
        self.grants.check("the key", key.as_str(), wanted)?;
        Ok(key)
    }

    fn read(&self, key: String, ranges: &[wit::ByteRange]) -> Result<(Key, Vec<Span>), Error> {
        if ranges.len() > MAX_SPANS {
            return Err(Error::invalid(format!(
                "{} ranges in one read; {MAX_SPANS} are allowed",
                ranges.len()
            )));
        }
        let key = self.key(key, Access::Read)?;
        Ok((key, ranges.iter().copied().map(Span::from).collect()))
    }
}

/// A read that was started.
pub struct PendingRead(Progress);

type ReadResult = Result<Vec<Vec<u8>>, Error>;

enum Progress {
    Running(JoinHandle<ReadResult>, Reservation),
    Done(ReadResult, Option<Reservation>),
    Taken,
}

#[async_trait]
impl Pollable for PendingRead {
    async fn ready(&mut self) {
        let Progress::Running(task, _) = &mut self.0 else {
            return;
        };
        // The handle stays here if this is dropped while it waits.
        let result = task.await.map_err(Error::from).and_then(|read| read);
        if let Progress::Running(_, reservation) = std::mem::replace(&mut self.0, Progress::Taken) {
            self.0 = Progress::Done(result, Some(reservation));
        }
    }
}

impl Drop for PendingRead {
    fn drop(&mut self) {
        if let Progress::Running(task, _) = &self.0 {
            task.abort();
        }
    }
}

/// A streaming put; none once it is finished or has failed.
pub struct UploadResource(Option<Box<dyn Upload>>);

impl UploadResource {
    fn open(&mut self) -> Result<&mut Box<dyn Upload>, Error> {
        self.0.as_mut().ok_or_else(ended)
    }
}

fn ended() -> Error {
    Error::invalid("the upload is finished, or failed before")
}

/// A plugin's instance as the store sees it.
pub(super) struct View<'a> {
    pub(super) context: Option<Arc<Context>>,
    pub(super) cause: Option<Cause>,
    pub(super) table: &'a mut ResourceTable,
}

struct HasStore;

impl HasData for HasStore {
    type Data<'a> = View<'a>;
}

impl Capability for StoreCapability {
    fn name(&self) -> &'static str {
        "store"
    }

    fn version(&self) -> Option<&str> {
        Some(crate::version())
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &["lakehouse:plugin/store"]
    }

    fn example(&self) -> &'static str {
        r#"[{ prefix = "objects/", access = "read-write" }]"#
    }

    fn prepare(&self, spec: &PluginSpec, ext: &mut Extensions) -> Result<(), String> {
        let grants = Grants::of_store(&spec.grants)?;
        ext.insert(Arc::new(Context::new(&self.store, grants)));
        Ok(())
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        wit::add_to_linker::<State, HasStore>(linker, view)
    }
}

fn view(state: &mut State) -> View<'_> {
    View {
        context: state.extensions().get::<Arc<Context>>().map(Arc::clone),
        cause: state.cause().cloned(),
        table: state.table(),
    }
}

impl View<'_> {
    fn context(&self) -> Result<&Arc<Context>, Error> {
        self.context
            .as_ref()
            .ok_or_else(|| Error::denied("the plugin has no grant for the store"))
    }

    /// Begins a call that is about a key.
    fn call(&self, name: &'static str, key: &str) -> Call {
        Call::new(self.cause.as_ref(), || name).about("lakehouse.key", key)
    }

    fn start(&self, key: String, ranges: &[wit::ByteRange]) -> Result<Progress, Error> {
        let call = self.call("store.start-read", &key);
        let context = self.context()?;
        let (key, spans) = context.read(key, ranges)?;
        // Lengths beyond the end of the object cannot be known here, and no
        // read is larger than this.
        let most = spans
            .iter()
            .fold(0_u64, |sum, span| sum.saturating_add(span.length))
            .min(MAX_READ);
        let reservation = context.budget.reserve(most)?;
        let store = Arc::clone(&context.store);
        let task = tokio::spawn(call.run(async move { store.read(&key, &spans).await }));
        Ok(Progress::Running(task, reservation))
    }
}

impl types::Host for View<'_> {
    fn convert_error(&mut self, error: Error) -> wasmtime::Result<types::Error> {
        Ok(call::convert(self.cause.as_ref(), error))
    }
}

impl wit::Host for View<'_> {
    fn base_url(&mut self) -> wasmtime::Result<String> {
        let context = self.context().map_err(wasmtime::Error::from)?;
        Ok(context.store.base_url().to_owned())
    }

    async fn head(&mut self, key: String) -> Result<wit::ObjectMeta, Error> {
        let context = self.context()?;
        let call = self.call("store.head", &key);
        call.run(async {
            let key = context.key(key, Access::Read)?;
            Ok(context.store.head(&key).await?.into())
        })
        .await
    }

    async fn get(&mut self, key: String) -> Result<(wit::ObjectMeta, Vec<u8>), Error> {
        let context = self.context()?;
        let call = self.call("store.get", &key);
        call.run(async {
            let key = context.key(key, Access::Read)?;
            let (meta, content) = context.store.get(&key).await?;
            Ok((meta.into(), content))
        })
        .await
    }

    async fn get_ranges(
        &mut self,
        key: String,
        ranges: Vec<wit::ByteRange>,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let context = self.context()?;
        let call = self.call("store.get-ranges", &key);
        call.run(async {
            let (key, spans) = context.read(key, &ranges)?;
            context.store.read(&key, &spans).await
        })
        .await
    }

    async fn start_read(
        &mut self,
        key: String,
        ranges: Vec<wit::ByteRange>,
    ) -> wasmtime::Result<Resource<PendingRead>> {
        let started = self.start(key, &ranges);
        let progress = started.unwrap_or_else(|error| Progress::Done(Err(error), None));
        Ok(self.table.push(PendingRead(progress))?)
    }

    async fn open(
        &mut self,
        key: String,
        part: Option<wit::ByteRange>,
    ) -> Result<(wit::ObjectMeta, Resource<DynInputStream>), Error> {
        let call = self.call("store.open", &key);
        call.run(async {
            let key = self.context()?.key(key, Access::Read)?;
            let part = part.map(Span::from);
            let (meta, reader) = self.context()?.store.open_object(&key, part).await?;
            let stream: DynInputStream = Box::new(ObjectStream::new(reader));
            let stream = self.table.push(stream).map_err(full)?;
            Ok((meta.into(), stream))
        })
        .await
    }

    async fn put(
        &mut self,
        key: String,
        content: Vec<u8>,
        mode: wit::PutMode,
    ) -> Result<wit::ObjectMeta, Error> {
        let context = self.context()?;
        let call = self.call("store.put", &key);
        call.run(async {
            let key = context.key(key, Access::ReadWrite)?;
            let meta = context.store.put(&key, content, mode.into()).await?;
            Ok(meta.into())
        })
        .await
    }

    async fn start_upload(
        &mut self,
        key: String,
        mode: wit::PutMode,
    ) -> Result<Resource<UploadResource>, Error> {
        let call = self.call("store.start-upload", &key);
        call.run(async {
            let key = self.context()?.key(key, Access::ReadWrite)?;
            let upload = self.context()?.store.upload(&key, mode.into()).await?;
            self.table.push(UploadResource(Some(upload))).map_err(full)
        })
        .await
    }

    async fn delete(&mut self, key: String) -> Result<(), Error> {
        let context = self.context()?;
        let call = self.call("store.delete", &key);
        call.run(async {
            let key = context.key(key, Access::ReadWrite)?;
            context.store.delete(&key).await
        })
        .await
    }

    async fn list(
        &mut self,
        prefix: String,
        delimiter: Option<String>,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<wit::ListPage, Error> {
        let context = self.context()?;
        let call = self.call("store.list", &prefix);
        call.run(async {
            context
                .grants
                .check("keys beginning with", &prefix, Access::Read)?;
            let request = ListRequest {
                prefix,
                delimiter,
                cursor,
                limit: usize::try_from(limit).unwrap_or(usize::MAX),
            };
            Ok(context.store.list(&request).await?.into())
        })
        .await
    }
}

impl wit::HostPendingRead for View<'_> {
    fn subscribe(
        &mut self,
        pending: Resource<PendingRead>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, pending)
    }

    async fn finish(&mut self, pending: Resource<PendingRead>) -> Result<Vec<Vec<u8>>, Error> {
        let pending = self.table.get_mut(&pending).map_err(full)?;
        pending.ready().await;
        match std::mem::replace(&mut pending.0, Progress::Taken) {
            Progress::Done(result, _reservation) => result,
            Progress::Running(..) | Progress::Taken => {
                Err(Error::invalid("the result of this read was taken before"))
            }
        }
    }

    async fn drop(&mut self, pending: Resource<PendingRead>) -> wasmtime::Result<()> {
        self.table.delete(pending)?;
        Ok(())
    }
}

impl wit::HostUpload for View<'_> {
    async fn write(
        &mut self,
        upload: Resource<UploadResource>,
        chunk: Vec<u8>,
    ) -> Result<(), Error> {
        let upload = self.table.get_mut(&upload).map_err(full)?;
        append(upload, chunk.into()).await
    }

    async fn splice(
        &mut self,
        upload: Resource<UploadResource>,
        source: Resource<DynInputStream>,
        length: u64,
    ) -> Result<u64, Error> {
        let mut moved = 0;
        while moved < length {
            let wanted = usize::try_from(length - moved).map_or(SPLICE, |left| left.min(SPLICE));
            let stream = self.table.get_mut(&source).map_err(full)?;
            // Waits for the first bytes only: what is there already is taken
            // along, and the guest decides whether to wait for more.
            let read = match moved {
                0 => stream.blocking_read(wanted).await,
                _ => stream.read(wanted),
            };
            let chunk = match read {
                Ok(chunk) if chunk.is_empty() => break,
                Ok(chunk) => chunk,
                Err(StreamError::Closed) => break,
                Err(StreamError::LastOperationFailed(error) | StreamError::Trap(error)) => {
                    // Half an object must not be finished by mistake.
                    self.table.get_mut(&upload).map_err(full)?.0 = None;
                    return Err(Error::invalid(format!(
                        "the stream to store broke off: {error:#}"
                    )));
                }
            };
            moved += chunk.len() as u64;
            let upload = self.table.get_mut(&upload).map_err(full)?;
            append(upload, chunk).await?;
        }
        Ok(moved)
    }

    async fn finish(&mut self, upload: Resource<UploadResource>) -> Result<wit::ObjectMeta, Error> {
        let upload = self.table.get_mut(&upload).map_err(full)?;
        let open = upload.0.take().ok_or_else(ended)?;
        let call = Call::new(self.cause.as_ref(), || "store.finish-upload");
        call.run(async { Ok(open.finish().await?.into()) }).await
    }

    async fn drop(&mut self, upload: Resource<UploadResource>) -> wasmtime::Result<()> {
        self.table.delete(upload)?;
        Ok(())
    }
}

/// Writes to an upload; one that fails is over, and leaves nothing.
async fn append(upload: &mut UploadResource, chunk: Bytes) -> Result<(), Error> {
    let written = upload.open()?.write(chunk).await;
    if written.is_err() {
        upload.0 = None;
    }
    written
}

/// The instance's table has no room, or has no such resource.
fn full(error: wasmtime::component::ResourceTableError) -> Error {
    Error::new(Kind::Exhausted, "the plugin's table of open resources").with_source(error)
}
