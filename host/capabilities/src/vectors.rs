//! The `vectors` interface, over the host's vector service.

use std::sync::Arc;

use lakehouse_runtime::{Capability, Extensions, PluginSpec, State};
use lakehouse_trace::Cause;
use lakehouse_vectord::{Distance, ErrorKind, IndexInfo, IndexSpec, Item, Query, Service};
use tokio::sync::oneshot;
use wasmtime::component::{HasData, Linker};

use crate::bindings::{types, vectors as wit};
use crate::call::{self, Call};
use crate::grants::{Access, Grants};
use crate::{Error, Kind};

/// The vector service, offered to plugins by index name.
pub struct VectorsCapability {
    service: Arc<Service>,
}

impl std::fmt::Debug for VectorsCapability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VectorsCapability").finish_non_exhaustive()
    }
}

impl VectorsCapability {
    /// Offers `service`.
    pub fn new(service: Arc<Service>) -> Self {
        Self { service }
    }
}

/// What one plugin may do with indexes.
struct Context {
    service: Arc<Service>,
    grants: Grants,
}

impl Capability for VectorsCapability {
    fn name(&self) -> &'static str {
        "vectors"
    }

    fn version(&self) -> Option<&str> {
        Some(crate::version())
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &["lakehouse:plugin/vectors"]
    }

    fn example(&self) -> &'static str {
        r#"[{ index = "*", access = "read" }]"#
    }

    fn prepare(&self, spec: &PluginSpec, ext: &mut Extensions) -> Result<(), String> {
        ext.insert(Arc::new(Context {
            service: Arc::clone(&self.service),
            grants: Grants::of_vectors(&spec.grants)?,
        }));
        Ok(())
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        wit::add_to_linker::<State, HasVectors>(linker, |state| View {
            context: state.extensions().get::<Arc<Context>>().map(Arc::clone),
            cause: state.cause().cloned(),
        })
    }
}

struct HasVectors;

impl HasData for HasVectors {
    type Data<'a> = View;
}

/// One call of a plugin.
struct View {
    context: Option<Arc<Context>>,
    cause: Option<Cause>,
}

impl View {
    /// Runs `work` where it may block, if the plugin may use the index so.
    async fn on<T: Send + 'static>(
        &self,
        name: &'static str,
        index: &str,
        wanted: Access,
        work: impl FnOnce(&Service) -> lakehouse_vectord::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let call = Call::new(self.cause.as_ref(), || name).about("lakehouse.index", index);
        call.run(async {
            let context = self.context()?;
            context.grants.check("the index", index, wanted)?;
            let service = Arc::clone(&context.service);
            Ok(lakehouse_trace::spawn_blocking(move || work(&service)).await??)
        })
        .await
    }

    fn context(&self) -> Result<&Arc<Context>, Error> {
        self.context
            .as_ref()
            .ok_or_else(|| Error::denied("the plugin has no grant for vectors"))
    }
}

impl types::Host for View {
    fn convert_error(&mut self, error: Error) -> wasmtime::Result<types::Error> {
        Ok(call::convert(self.cause.as_ref(), error))
    }
}

impl wit::Host for View {
    async fn list(&mut self) -> Result<Vec<wit::IndexInfo>, Error> {
        let call = Call::new(self.cause.as_ref(), || "vectors.list");
        call.run(async {
            let context = Arc::clone(self.context()?);
            let listed = lakehouse_trace::spawn_blocking(move || {
                let mut all = context.service.list();
                all.retain(|info| context.grants.allow(&info.name, Access::Read));
                all
            })
            .await?;
            Ok(listed.into_iter().map(Into::into).collect())
        })
        .await
    }

    async fn create(
        &mut self,
        name: String,
        dimension: u32,
        distance: wit::Distance,
    ) -> Result<wit::IndexInfo, Error> {
        let spec = IndexSpec::new(name.as_str(), size(dimension), distance.into());
        let made = self.on("vectors.create", &name, Access::ReadWrite, move |service| {
            service.create(&spec)
        });
        Ok(made.await?.into())
    }

    async fn drop(&mut self, name: String) -> Result<(), Error> {
        let index = name.clone();
        self.on("vectors.drop", &name, Access::ReadWrite, move |service| {
            service.drop(&index)
        })
        .await
    }

    async fn add(&mut self, index: String, items: Vec<wit::Item>) -> Result<(u64, u64), Error> {
        let items: Vec<Item> = items.into_iter().map(Into::into).collect();
        let name = index.clone();
        let added = self
            .on("vectors.add", &name, Access::ReadWrite, move |service| {
                service.add(&index, items)
            })
            .await?;
        Ok((added.added, added.updated))
    }

    async fn search(
        &mut self,
        index: String,
        query: Vec<f32>,
        k: u32,
        ef: Option<u32>,
        filter: Option<String>,
    ) -> Result<Vec<wit::Hit>, Error> {
        let query = Query {
            ef: ef.map(size),
            filter: filter.as_deref().map(str::parse).transpose()?,
            ..Query::new(query, size(k))
        };
        let call = Call::new(self.cause.as_ref(), || "vectors.search");
        let call = call.about("lakehouse.index", &index);
        let hits = call
            .run(async {
                let context = self.context()?;
                context.grants.check("the index", &index, Access::Read)?;
                let service = Arc::clone(&context.service);
                let (answer, answered) = oneshot::channel();
                let cause = lakehouse_trace::current();
                context.service.spawn(move || {
                    let found = lakehouse_trace::enter(cause, || service.search(&index, &query));
                    // The guest may have gone.
                    let _ = answer.send(found);
                });
                Ok(answered
                    .await
                    .map_err(|_| Error::new(Kind::Internal, "the search failed; see the log"))??)
            })
            .await?;
        Ok(hits
            .into_iter()
            .map(|hit| wit::Hit {
                id: hit.id.to_string(),
                distance: hit.distance,
                metadata: hit.metadata.map(|metadata| metadata.to_string()),
            })
            .collect())
    }

    async fn delete(&mut self, index: String, ids: Vec<String>) -> Result<u64, Error> {
        let name = index.clone();
        self.on("vectors.delete", &name, Access::ReadWrite, move |service| {
            service.delete(&index, ids)
        })
        .await
    }
}

/// A guest's number as the host's; where it does not fit it is too large anyway.
fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl From<lakehouse_vectord::Error> for Error {
    fn from(error: lakehouse_vectord::Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::NotFound => Kind::NotFound,
            ErrorKind::AlreadyExists => Kind::AlreadyExists,
            ErrorKind::Invalid => Kind::Invalid,
            ErrorKind::Exhausted => Kind::Exhausted,
            ErrorKind::Unavailable => Kind::Unavailable,
            ErrorKind::Internal => Kind::Internal,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<wit::Distance> for Distance {
    fn from(distance: wit::Distance) -> Self {
        match distance {
            wit::Distance::Cosine => Self::Cosine,
            wit::Distance::L2 => Self::L2,
            wit::Distance::Dot => Self::Dot,
        }
    }
}

impl From<Distance> for wit::Distance {
    fn from(distance: Distance) -> Self {
        match distance {
            Distance::Cosine => Self::Cosine,
            Distance::L2 => Self::L2,
            Distance::Dot => Self::Dot,
        }
    }
}

impl From<IndexInfo> for wit::IndexInfo {
    fn from(info: IndexInfo) -> Self {
        Self {
            name: info.name,
            dimension: u32::try_from(info.dimension).unwrap_or(u32::MAX),
            distance: info.distance.into(),
            count: info.count,
        }
    }
}

impl From<wit::Item> for Item {
    fn from(item: wit::Item) -> Self {
        Self {
            id: item.id,
            vector: item.vector,
            metadata: item.metadata,
        }
    }
}
