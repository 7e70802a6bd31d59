//! `lakehouse check`: the configuration and every plugin, without serving.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use lakehouse_runtime::{Artifact, Code};
use tokio::task::JoinSet;

use crate::config::Config;
use crate::deploy::Found;
use crate::host::{Host, files};
use crate::roster::{Entry, State};
use crate::table;

/// A host to look at plugins with. What it writes goes when it drops.
pub struct Bench {
    /// The host.
    pub host: Arc<Host>,
    folder: PathBuf,
}

impl Bench {
    /// One with this configuration, for plugins of these names.
    ///
    /// # Errors
    /// If the host cannot be set up.
    pub fn open(config: Config, names: Vec<String>) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("lakehouse-check-{}", std::process::id()));
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        match Host::open_for_check(config, &folder, names) {
            Ok(host) => Ok(Self {
                host: Arc::new(host),
                folder,
            }),
            Err(error) => {
                let _ = std::fs::remove_dir_all(&folder);
                Err(error)
            }
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // A folder of ours that holds nothing of worth.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Loads every plugin and prints how it went. True if all of them would serve.
///
/// # Errors
/// If the host cannot be set up, or the table cannot be printed.
pub async fn check(config: Config) -> anyhow::Result<bool> {
    let files = files(&config)?;
    let bench = Bench::open(config, files.keys().cloned().collect())?;
    let host = &bench.host;
    load(host, files).await;
    let entries = host.roster.all();
    print(&entries).context("cannot print")?;
    host.runtime.shutdown().await;
    Ok(entries.iter().all(|entry| !is_wrong(entry)))
}

/// Lets all plugins of the folder serve, as far as they are fit to. Several at a time.
async fn load(host: &Arc<Host>, files: BTreeMap<String, Found>) {
    let mut loads = JoinSet::new();
    for (name, found) in files {
        if host.roster.claim(&name).is_ok() {
            let host = Arc::clone(host);
            loads.spawn(async move {
                if let Err(reason) = try_one(&host, &name, &found.path).await {
                    host.roster.enter(&name).withhold(reason);
                }
            });
        }
    }
    loads.join_all().await;
}

async fn try_one(host: &Host, name: &str, path: &Path) -> Result<(), String> {
    let bytes = tokio::fs::read(path)
        .await
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let prepared = host
        .workshop
        .prepare(name, 1, path, Artifact::new(bytes), Code::Best);
    let staged = prepared.await.map_err(|unfit| unfit.to_string())?;
    host.roster.enter(name).stage(staged.status().clone());
    host.runtime.swap(staged);
    Ok(())
}

/// A plugin that is merely configured may be absent.
fn is_wrong(entry: &Entry) -> bool {
    match entry.state() {
        State::Serving => false,
        State::Absent(_) => entry.required,
        State::Loading | State::Failed(_) => true,
    }
}

fn print(entries: &[Arc<Entry>]) -> io::Result<()> {
    let rows = entries.iter().map(|entry| {
        let state = entry.state();
        vec![
            entry.name.clone(),
            entry.route.clone().unwrap_or_else(|| "-".into()),
            state.word().to_owned(),
            state.reason().unwrap_or_default().to_owned(),
        ]
    });
    let mut out = io::stdout().lock();
    for line in table::lines(&["PLUGIN", "ROUTE", "STATE", "REASON"], rows) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}
