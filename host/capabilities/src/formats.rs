//! The `formats` interface: the formats of bodies that plugins export.
//!
//! A body has an instance of its plugin to itself, from `open` to the end. A task
//! holds it and takes the body's pieces one by one; it ends with the decoder, in
//! whatever state the plugin is.

use std::sync::Arc;

use lakehouse_runtime::{
    CallContext, CallError, Capability, Extensions, PluginSpec, Runtime, State,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use wasmtime::Store;
use wasmtime::component::{
    ComponentNamedList, HasData, Instance, Lift, Linker, Lower, Resource, ResourceAny,
    ResourceTable, TypedFunc,
};

use crate::bindings::format_types::FormatError;
use crate::bindings::formats as wit;
use crate::grants::Names;
use crate::remote::{Remote, failed};
use crate::{Error, Kind};

/// The interface that plugins with a format export.
const EXPORT: &str = "lakehouse:plugin/ingest-format@0.1.0";

/// Rows of a piece of a body.
type Rows = Result<Vec<Vec<u8>>, FormatError>;

/// Connects the plugin that takes bodies in to those that export formats.
#[derive(Clone, Debug, Default)]
pub struct FormatsCapability {
    remote: Remote,
}

impl FormatsCapability {
    /// A capability that knows no format until [`bind`](Self::bind).
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the runtime whose plugins serve. Later calls change nothing.
    pub fn bind(&self, runtime: Runtime) {
        self.remote.bind(runtime);
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
            call: state.context(),
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
    call: CallContext,
    table: &'a mut ResourceTable,
}

/// A body on its way through a plugin.
pub struct Decoder {
    plugin: String,
    pieces: mpsc::Sender<Piece>,
    task: JoinHandle<Result<(), CallError>>,
    /// Whether the plugin is through with the body, and its instance goes back.
    through: bool,
}

/// What the task is told, and where the answer goes.
struct Piece {
    /// The next bytes; none at the end of the body.
    bytes: Option<Vec<u8>>,
    answer: oneshot::Sender<Rows>,
}

impl Drop for Decoder {
    fn drop(&mut self) {
        if !self.through {
            // It may be computing, and nobody waits for what.
            self.task.abort();
        }
    }
}

impl Decoder {
    async fn open(
        context: &Context,
        plugin: String,
        call: CallContext,
        options: Vec<(String, String)>,
        table: Option<Vec<u8>>,
    ) -> Result<Self, FormatError> {
        let runtime = context.remote.runtime();
        let runtime = runtime.map_err(|error| lost(&plugin, error))?.clone();
        let (pieces, received) = mpsc::channel(1);
        let (opened, answer) = oneshot::channel();
        let name = plugin.clone();
        let task = tokio::spawn(async move {
            runtime
                .call_with(&name, call, async move |store, instance| {
                    serve(store, instance, options, table, opened, received).await
                })
                .await
        });
        let mut decoder = Self {
            plugin,
            pieces,
            task,
            through: false,
        };
        match answer.await {
            Ok(Ok(())) => Ok(decoder),
            Ok(Err(error)) => {
                decoder.through = true;
                Err(error)
            }
            Err(_) => Err(decoder.post_mortem().await),
        }
    }

    /// Has the plugin take bytes, or the end.
    async fn next(&mut self, bytes: Option<Vec<u8>>) -> Rows {
        let last = bytes.is_none();
        let (answer, answered) = oneshot::channel();
        if self.pieces.send(Piece { bytes, answer }).await.is_err() {
            return Err(self.post_mortem().await);
        }
        match answered.await {
            Ok(rows) => {
                self.through = last || rows.is_err();
                rows
            }
            Err(_) => Err(self.post_mortem().await),
        }
    }

    /// Why the task is gone.
    async fn post_mortem(&mut self) -> FormatError {
        if self.through {
            let text = format!("format `{}`: the body is at its end", self.plugin);
            return FormatError::Failed(Error::invalid(text).into());
        }
        self.through = true;
        let error = match (&mut self.task).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) => CallError::Internal("the plugin stopped in the middle".to_owned()),
            Err(error) => CallError::Internal(error.to_string()),
        };
        lost(&self.plugin, error)
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
    let open = function::<_, Result<ResourceAny, FormatError>>(store, instance, "open")?;
    let push = function::<(ResourceAny, Vec<u8>), Rows>(store, instance, "[method]decoder.push")?;
    let finish = function::<(ResourceAny,), Rows>(store, instance, "[method]decoder.finish")?;
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

fn function<P, R>(
    store: &mut Store<State>,
    instance: &Instance,
    name: &str,
) -> wasmtime::Result<TypedFunc<P, (R,)>>
where
    P: ComponentNamedList + Lower,
    (R,): ComponentNamedList + Lift,
{
    let index = instance
        .get_export_index(&mut *store, None, EXPORT)
        .and_then(|at| instance.get_export_index(&mut *store, Some(&at), name))
        .ok_or_else(|| wasmtime::format_err!("`{EXPORT}` lacks `{name}`"))?;
    instance.get_typed_func(store, &index)
}

impl wit::Host for View<'_> {
    async fn list(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.granted().into_iter().collect())
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
        let call = self.call.clone();
        match Decoder::open(&context, format, call, options, table).await {
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
}

impl wit::HostDecoder for View<'_> {
    async fn push(&mut self, decoder: Resource<Decoder>, bytes: Vec<u8>) -> wasmtime::Result<Rows> {
        Ok(self.table.get_mut(&decoder)?.next(Some(bytes)).await)
    }

    async fn finish(&mut self, decoder: Resource<Decoder>) -> wasmtime::Result<Rows> {
        Ok(self.table.get_mut(&decoder)?.next(None).await)
    }

    async fn drop(&mut self, decoder: Resource<Decoder>) -> wasmtime::Result<()> {
        self.table.delete(decoder)?;
        Ok(())
    }
}
