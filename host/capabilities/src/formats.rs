//! The `formats` interface: the formats of bodies that plugins export.
//!
//! A body has an instance of its plugin to itself, from `open` to the end. The plugin
//! works while whoever asked waits for it, on the same thread, and ends with the
//! decoder, in whatever state it is.

use std::sync::Arc;

use futures::future::{BoxFuture, Either, select};
use lakehouse_runtime::{CallContext, CallError, Capability, Extensions, PluginSpec, State};
use tokio::sync::{mpsc, oneshot};
use wasmtime::Store;
use wasmtime::component::{HasData, Instance, Linker, Resource, ResourceAny, ResourceTable};

use crate::bindings::format_types::FormatError;
use crate::bindings::formats as wit;
use crate::grants::Names;
use crate::remote::{Remote, export, failed};
use crate::{Error, Kind};

/// The interface that plugins with a format export.
const EXPORT: &str = "lakehouse:plugin/ingest-format@0.1.0";
const PUSH: &str = "[method]decoder.push";
const FINISH: &str = "[method]decoder.finish";

/// Rows of a piece of a body.
type Rows = Result<Vec<Vec<u8>>, FormatError>;

/// Connects the plugin that takes bodies in to those that export formats.
#[derive(Clone, Debug)]
pub struct FormatsCapability {
    remote: Remote,
}

impl FormatsCapability {
    /// A capability that calls plugins there.
    pub fn new(remote: Remote) -> Self {
        Self { remote }
    }
}

/// What one plugin may use.
struct Context {
    remote: Remote,
    granted: Names,
}

impl Capability for FormatsCapability {
    fn name(&self) -> &'static str {
        "formats"
    }

    fn version(&self) -> Option<&str> {
        Some(crate::version())
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &["lakehouse:plugin/formats"]
    }

    fn example(&self) -> &'static str {
        r#"["*"]"#
    }

    fn prepare(&self, spec: &PluginSpec, ext: &mut Extensions) -> Result<(), String> {
        ext.insert(Arc::new(Context {
            remote: self.remote.clone(),
            granted: Names::read(&spec.grants, self.name())?,
        }));
        Ok(())
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        wit::add_to_linker::<State, HasFormats>(linker, |state| View {
            context: state.extensions().get::<Arc<Context>>().map(Arc::clone),
            request: state.context(),
            table: state.table(),
        })
    }
}

struct HasFormats;

impl HasData for HasFormats {
    type Data<'a> = View<'a>;
}

/// One call of a plugin.
struct View<'a> {
    context: Option<Arc<Context>>,
    request: CallContext,
    table: &'a mut ResourceTable,
}

/// A body on its way through a plugin.
pub struct Decoder {
    plugin: String,
    pieces: mpsc::Sender<Piece>,
    /// The plugin at work; none once it is through.
    work: Option<BoxFuture<'static, Result<(), CallError>>>,
}

/// What the plugin is told, and where the answer goes.
struct Piece {
    /// The next bytes; none at the end of the body.
    bytes: Option<Vec<u8>>,
    answer: oneshot::Sender<Rows>,
}

impl Decoder {
    async fn open(
        context: &Context,
        plugin: String,
        request: CallContext,
        options: Vec<(String, String)>,
        table: Option<Vec<u8>>,
    ) -> Result<Self, FormatError> {
        let runtime = context.remote.runtime();
        let runtime = runtime.map_err(|error| lost(&plugin, error))?.clone();
        let (pieces, received) = mpsc::channel(1);
        let (opened, answer) = oneshot::channel();
        let name = plugin.clone();
        let work = async move {
            runtime
                .call_with(&name, request, async move |store, instance| {
                    serve(store, instance, options, table, opened, received).await
                })
                .await
        };
        let mut decoder = Self {
            plugin,
            pieces,
            work: Some(Box::pin(work)),
        };
        decoder.until(answer).await??;
        Ok(decoder)
    }

    /// Has the plugin take bytes, or the end.
    async fn next(&mut self, bytes: Option<Vec<u8>>) -> Rows {
        let last = bytes.is_none();
        let (answer, answered) = oneshot::channel();
        // If the plugin is gone, nobody answers, and that is told below.
        let _ = self.pieces.try_send(Piece { bytes, answer });
        let rows = self.until(answered).await?;
        if (last || rows.is_err())
            && let Some(work) = self.work.take()
            && let Err(error) = work.await
        {
            return rows.and(Err(lost(&self.plugin, error)));
        }
        rows
    }

    /// Lets the plugin work until it answers.
    async fn until<T>(&mut self, answer: oneshot::Receiver<T>) -> Result<T, FormatError> {
        let Some(work) = &mut self.work else {
            let text = format!("format `{}`: the body is at its end", self.plugin);
            return Err(FormatError::Failed(Error::invalid(text).into()));
        };
        let ended = match select(answer, work).await {
            Either::Left((Ok(answer), _)) => return Ok(answer),
            Either::Left((Err(_), work)) => work.await,
            Either::Right((ended, mut answer)) => {
                if let Ok(answer) = answer.try_recv() {
                    self.work = None;
                    return Ok(answer);
                }
                ended
            }
        };
        self.work = None;
        let error = ended
            .err()
            .unwrap_or_else(|| CallError::Internal("the plugin stopped in the middle".to_owned()));
        Err(lost(&self.plugin, error))
    }
}

fn lost(plugin: &str, error: CallError) -> FormatError {
    FormatError::Failed(failed(format!("format `{plugin}`"), error).into())
}

/// Runs one body through an instance.
async fn serve(
    store: &mut Store<State>,
    instance: &Instance,
    options: Vec<(String, String)>,
    table: Option<Vec<u8>>,
    opened: oneshot::Sender<Result<(), FormatError>>,
    mut pieces: mpsc::Receiver<Piece>,
) -> wasmtime::Result<()> {
    let open = export::<_, Result<ResourceAny, FormatError>>(store, instance, EXPORT, "open")?;
    let push = export::<(ResourceAny, Vec<u8>), Rows>(store, instance, EXPORT, PUSH)?;
    let finish = export::<(ResourceAny,), Rows>(store, instance, EXPORT, FINISH)?;
    let (decoder,) = open.call_async(&mut *store, (options, table)).await?;
    let decoder = match decoder {
        Ok(decoder) => decoder,
        Err(error) => {
            // Whoever asked may be gone, and then nobody needs to know.
            let _ = opened.send(Err(error));
            return Ok(());
        }
    };
    let _ = opened.send(Ok(()));
    while let Some(Piece { bytes, answer }) = pieces.recv().await {
        let last = bytes.is_none();
        let (rows,) = match bytes {
            Some(bytes) => push.call_async(&mut *store, (decoder, bytes)).await?,
            None => finish.call_async(&mut *store, (decoder,)).await?,
        };
        let over = last || rows.is_err();
        let _ = answer.send(rows);
        if over {
            break;
        }
    }
    decoder.resource_drop_async(store).await
}

impl wit::Host for View<'_> {
    async fn list(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.granted())
    }

    async fn open(
        &mut self,
        format: String,
        options: Vec<(String, String)>,
        table: Option<Vec<u8>>,
    ) -> wasmtime::Result<Result<Resource<Decoder>, FormatError>> {
        let there = self.granted();
        let context = match &self.context {
            Some(context) if there.contains(&format) => Arc::clone(context),
            _ => {
                let text = format!("no plugin serves a format `{format}`");
                let error = Error::new(Kind::NotFound, text);
                return Ok(Err(FormatError::Failed(error.into())));
            }
        };
        let cause = self.request.cause.clone();
        let opening = Decoder::open(&context, format, self.request.clone(), options, table);
        match lakehouse_trace::scope(cause, opening).await {
            Ok(decoder) => Ok(Ok(self.table.push(decoder)?)),
            Err(error) => Ok(Err(error)),
        }
    }
}

impl View<'_> {
    /// The formats there are.
    fn granted(&self) -> Vec<String> {
        let Some(context) = &self.context else {
            return Vec::new();
        };
        let exporters = context
            .remote
            .runtime()
            .map(|runtime| runtime.exporters(EXPORT));
        let names = exporters
            .unwrap_or_default()
            .into_iter()
            .map(|(name, _)| name);
        names.filter(|name| context.granted.covers(name)).collect()
    }

    /// Has a decoder take bytes, or the end.
    async fn next(
        &mut self,
        decoder: &Resource<Decoder>,
        bytes: Option<Vec<u8>>,
    ) -> wasmtime::Result<Rows> {
        let cause = self.request.cause.clone();
        let next = self.table.get_mut(decoder)?.next(bytes);
        Ok(lakehouse_trace::scope(cause, next).await)
    }
}

impl wit::HostDecoder for View<'_> {
    async fn push(&mut self, decoder: Resource<Decoder>, bytes: Vec<u8>) -> wasmtime::Result<Rows> {
        self.next(&decoder, Some(bytes)).await
    }

    async fn finish(&mut self, decoder: Resource<Decoder>) -> wasmtime::Result<Rows> {
        self.next(&decoder, None).await
    }

    async fn drop(&mut self, decoder: Resource<Decoder>) -> wasmtime::Result<()> {
        self.table.delete(decoder)?;
        Ok(())
    }
}
