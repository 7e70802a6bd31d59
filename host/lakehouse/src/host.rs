//! Everything a request may need, opened once.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use lakehouse_capabilities::{
    CatalogCapability, CompressionCapability, FormatsCapability, FunctionsCapability,
    LogCapability, MetricsCapability, Remote, Store, StoreCapability, VectorsCapability,
};
use lakehouse_runtime::{Runtime, RuntimeConfig};
use lakehouse_vectord::Service;

use crate::config::{Config, ConfigError};
use crate::deploy::{self, Deployer, Found, Vault, Workshop};
use crate::roster::Roster;

/// The open host.
pub struct Host {
    /// Its settings.
    pub config: Arc<Config>,
    /// The plugins there are and ought to be.
    pub roster: Arc<Roster>,
    /// What runs them.
    pub runtime: Runtime,
    /// What makes plugins of components.
    pub workshop: Workshop,
    /// What lets them serve; none for a mere look at them.
    pub deployer: Option<Arc<Deployer>>,
    /// The object store.
    pub store: Arc<Store>,
    /// The vector service.
    pub vectors: Arc<Service>,
    /// Numbers for `/metrics`.
    pub registry: prometheus::Registry,
    draining: AtomicBool,
    /// Held as long as the host lives.
    _lock: Option<File>,
}

impl Host {
    /// Opens the data folder, the store, the vectors and what is kept of plugins, and
    /// sets up the runtime. No plugin is loaded yet.
    ///
    /// # Errors
    /// If one of these cannot be used; the text names the setting.
    pub fn open(config: Config) -> anyhow::Result<Self> {
        let data = &config.data.dir;
        fs::create_dir_all(data)
            .with_context(|| format!("data.dir: cannot make the folder {}", data.display()))?;
        // Absolute, because the store's URL is in the tables' metadata.
        let data = data
            .canonicalize()
            .with_context(|| format!("data.dir: {}", data.display()))?;
        let lock = lock(&data)?;
        let url = match config.store.url.as_str() {
            "" => local_url(&data.join("store"))?,
            url => url.to_owned(),
        };
        let vectors = data.join("vectors");
        let temporary = data.join("tmp");
        let (vault, journals) = Vault::open(&data.join("plugins")).context("data.dir")?;
        let names = files(&config)?.into_keys();
        let names = names.chain(deploy::remembered(&journals)).collect();
        let mut host = Self::assemble(config, names, &url, &vectors, &temporary, Some(lock))?;
        host.deployer = Some(Arc::new(Deployer::new(
            Arc::clone(&host.config),
            Arc::clone(&host.roster),
            host.runtime.clone(),
            host.workshop.clone(),
            vault,
            journals,
        )));
        Ok(host)
    }

    /// The same for a look at these plugins alone: the data folder stays as it is, and
    /// a local store is replaced by memory.
    ///
    /// # Errors
    /// If something cannot be used; the text names the setting.
    pub fn open_for_check(
        config: Config,
        temporary: &Path,
        names: Vec<String>,
    ) -> anyhow::Result<Self> {
        let url = match config.store.url.as_str() {
            "" => "memory://".to_owned(),
            url if url.starts_with("file:") => "memory://".to_owned(),
            url => url.to_owned(),
        };
        let vectors = temporary.join("vectors");
        Self::assemble(config, names, &url, &vectors, temporary, None)
    }

    fn assemble(
        config: Config,
        names: Vec<String>,
        store_url: &str,
        vectors: &Path,
        temporary: &Path,
        lock: Option<File>,
    ) -> anyhow::Result<Self> {
        let config = Arc::new(config);
        let roster = Arc::new(Roster::new(Arc::clone(&config), names));
        let options: HashMap<String, String> = config.store.options.clone().into_iter().collect();
        let store = Store::open(store_url, &options)
            .with_context(|| format!("store.url: cannot open {store_url}"))?;
        let settings = lakehouse_vectord::Config {
            durability: config.vectors.durability,
            memory: Some(config.vectors.memory.0),
            index_memory: Some(config.vectors.index_memory.0),
            ..lakehouse_vectord::Config::default()
        };
        let vectors = Service::open(vectors, settings)
            .with_context(|| format!("data.dir: cannot open {}", vectors.display()))?;
        let vectors = Arc::new(vectors);
        for damaged in vectors.damaged() {
            tracing::error!(
                index = damaged.name,
                detail = damaged.detail,
                "damaged vector index"
            );
        }
        let registry = prometheus::Registry::new();

        let remote = Remote::default();
        let settings = &config.runtime;
        let runtime = Runtime::new(
            RuntimeConfig {
                cache_dir: cache_dir(&config),
                cache_size: settings.cache_size.0,
                instances: settings.instances,
                total_memory: settings.total_memory.0,
                stack: usize::try_from(settings.stack.0).unwrap_or(usize::MAX),
                tick: settings.tick.0,
                start: config.plugins.check_timeout.0,
            },
            vec![
                Arc::new(StoreCapability::new(Arc::clone(&store))),
                Arc::new(CatalogCapability::new(remote.clone())),
                Arc::new(VectorsCapability::new(Arc::clone(&vectors))),
                Arc::new(FunctionsCapability::new(remote.clone())),
                Arc::new(FormatsCapability::new(remote.clone())),
                Arc::new(LogCapability),
                Arc::new(MetricsCapability::new(
                    registry.clone(),
                    crate::gateway::metrics_of_plugins(),
                )),
                Arc::new(CompressionCapability),
            ],
        )
        .context("runtime")?;
        remote.bind(runtime.clone());
        let scratch = temporary.to_owned();
        let workshop = Workshop::new(Arc::clone(&config), runtime.clone(), scratch);
        Ok(Self {
            config,
            roster,
            workshop,
            deployer: None,
            runtime,
            store,
            vectors,
            registry,
            draining: AtomicBool::new(false),
            _lock: lock,
        })
    }

    /// Whether the process is on its way out.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// From now on `/readyz` says no.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

/// The files of the plugins folder, by name.
///
/// # Errors
/// If it cannot be read.
pub fn files(config: &Config) -> Result<BTreeMap<String, Found>, ConfigError> {
    let dir = &config.plugins.dir;
    deploy::look(dir).map_err(|error| {
        let what = format!("cannot read the folder {}: {error}", dir.display());
        ConfigError::key("plugins.dir", what)
    })
}

/// Makes sure that no other server uses this folder.
fn lock(data: &Path) -> anyhow::Result<File> {
    let path = data.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("data.dir: cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "data.dir: another server uses {}: stop it, or give this one a folder of its own",
            data.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("data.dir: cannot lock {}", path.display()))
        }
    }
}

fn local_url(path: &Path) -> anyhow::Result<String> {
    fs::create_dir_all(path)
        .with_context(|| format!("data.dir: cannot make the folder {}", path.display()))?;
    match url::Url::from_directory_path(path) {
        Ok(url) => Ok(url.as_str().trim_end_matches('/').to_owned()),
        Err(()) => bail!("data.dir: {} cannot be a URL", path.display()),
    }
}

/// The configured folder for compiled code, or one in the user's cache folder.
fn cache_dir(config: &Config) -> PathBuf {
    let configured = &config.runtime.cache_dir;
    if !configured.as_os_str().is_empty() {
        return configured.clone();
    }
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map_or_else(
            || config.data.dir.join("compiled"),
            |cache| cache.join("lakehouse").join("compiled"),
        )
}
