//! From a file to a plugin that serves.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use wasmtime::component::InstancePre;
use wasmtime_wasi_http::handler::ProxyPre;
use wasmtime_wasi_http::{p2, p3};

use crate::check::{self, Interfaces};
use crate::metrics::Stats;
use crate::plugin::{Handler, Plugin, Shared};
use crate::runtime::Inner;
use crate::state::{State, new_store};
use crate::{Extensions, PluginSpec, PluginState, PluginStatus, trap};

/// Loads a plugin; with its status, which holds the reason if there is none.
pub(crate) async fn load(
    runtime: &Arc<Inner>,
    spec: PluginSpec,
    stats: Arc<Stats>,
    first: bool,
) -> (PluginStatus, Option<Plugin>) {
    let begun = Instant::now();
    let mut status = blank(&spec);
    let mut lost = status.clone();
    let built = tokio::task::spawn_blocking({
        let runtime = Arc::clone(runtime);
        move || {
            let built = build(&runtime, spec, stats, first, &mut status);
            (status, built)
        }
    })
    .await;
    let (mut status, built) = match built {
        Ok(result) => result,
        Err(panic) => {
            lost.reason = Some(format!("the host failed while loading it: {panic}"));
            return (lost, None);
        }
    };
    let plugin = match built {
        Ok((shared, http, pre)) => try_out(&shared, &pre)
            .await
            .map(|()| Plugin::new(shared, http, pre)),
        Err(reason) => Err(reason),
    };
    status.load_ms = millis(begun.elapsed().as_millis());
    match plugin {
        Ok(plugin) => {
            status.state = PluginState::Serving;
            (status, Some(plugin))
        }
        Err(reason) => {
            status.reason = Some(reason);
            (status, None)
        }
    }
}

type Built = (Arc<Shared>, Option<Handler>, InstancePre<State>);

/// What blocks: reading, compiling and linking.
fn build(
    runtime: &Inner,
    spec: PluginSpec,
    stats: Arc<Stats>,
    first: bool,
    status: &mut PluginStatus,
) -> Result<Built, String> {
    let bytes = std::fs::read(&spec.path)
        .map_err(|error| format!("cannot read {}: {error}", spec.path.display()))?;
    status.size = bytes.len() as u64;
    status.digest = hex(&Sha256::digest(&bytes));
    check::file(&bytes)?;
    let engine = &runtime.engine;
    let (component, cached) = runtime
        .cache
        .load(engine, &bytes, &status.digest)
        .map_err(|error| check::compile_error(&error, bytes.len()))?;
    drop(bytes);
    status.cached = cached;

    let interfaces = Interfaces::of(&component, engine);
    status.imports.clone_from(&interfaces.imports);
    status.exports.clone_from(&interfaces.exports);
    status.http = interfaces.http();
    let grants = grants(&spec, runtime)?;
    let granted = |name: &str| grants.is_some_and(|grants| grants.contains_key(name));
    interfaces.check(&spec.name, &runtime.capabilities, granted)?;

    let mut linker = runtime.linker.clone();
    let mut extensions = Extensions::default();
    for capability in &runtime.capabilities {
        if capability.needs_grant() && !granted(capability.name()) {
            continue;
        }
        capability
            .prepare(&spec, &mut extensions)
            .map_err(|reason| format!("grants.{}: {reason}", capability.name()))?;
        if interfaces.imports_of(&**capability) {
            capability
                .link(&mut linker)
                .map_err(|error| format!("cannot link `{}`: {error:#}", capability.name()))?;
        }
    }
    let pre = linker
        .instantiate_pre(&component)
        .map_err(|error| format!("an import does not fit what the host provides: {error:#}"))?;
    let proxy = match status.http {
        Some("0.3") => Some(p3::bindings::ServicePre::new(pre.clone()).map(ProxyPre::P3)),
        Some(_) => Some(p2::bindings::ProxyPre::new(pre.clone()).map(ProxyPre::P2)),
        None => None,
    }
    .transpose()
    .map_err(|error| format!("its HTTP handler is not the standard one: {error:#}"))?;

    if let (Some(scratch), true) = (&spec.scratch, first) {
        empty(scratch).map_err(|error| {
            format!(
                "cannot empty the scratch folder {}: {error}",
                scratch.display()
            )
        })?;
    }
    let shared = Arc::new(Shared::new(
        spec,
        engine.clone(),
        Arc::clone(&runtime.budget),
        extensions,
        stats,
    ));
    let http = proxy.map(|proxy| Handler::new(&shared, proxy));
    Ok((shared, http, pre))
}

/// Makes one instance, so that one that cannot start is found now.
async fn try_out(shared: &Arc<Shared>, pre: &InstancePre<State>) -> Result<(), String> {
    let limits = &shared.spec.limits;
    let mut store = new_store(shared).map_err(|error| format!("cannot start: {error:#}"))?;
    let started = tokio::time::timeout(limits.deadline, pre.instantiate_async(&mut store)).await;
    match started {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if error.to_string().contains("memory") => Err(format!(
            "cannot start within its memory limit of {} bytes: {}",
            limits.memory,
            trap::describe(&error)
        )),
        Ok(Err(error)) => Err(format!("cannot start: {}", trap::describe(&error))),
        Err(_) => Err(format!("does not start within {:?}", limits.deadline)),
    }
}

/// The plugin's grants, each of which must be of a capability.
fn grants<'a>(
    spec: &'a PluginSpec,
    runtime: &Inner,
) -> Result<Option<&'a serde_json::Map<String, serde_json::Value>>, String> {
    let grants = match &spec.grants {
        serde_json::Value::Null => return Ok(None),
        serde_json::Value::Object(grants) => grants,
        _ => return Err("grants is not a table".to_owned()),
    };
    let names = || {
        runtime
            .capabilities
            .iter()
            .map(|capability| capability.name())
    };
    match grants
        .keys()
        .find(|key| !names().any(|name| name == key.as_str()))
    {
        None => Ok(Some(grants)),
        Some(key) => Err(format!(
            "grants.{key}: there is no such capability; there are {}",
            names().collect::<Vec<_>>().join(", ")
        )),
    }
}

/// Makes a folder, or empties it.
fn empty(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn blank(spec: &PluginSpec) -> PluginStatus {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    PluginStatus {
        name: spec.name.clone(),
        path: spec.path.display().to_string(),
        memory_limit: spec.limits.memory,
        deadline_ms: millis(spec.limits.deadline.as_millis()),
        concurrency: spec.limits.concurrency,
        reuse: spec.limits.reuse,
        loaded_at: now.map_or(0, |now| millis(now.as_millis())),
        ..PluginStatus::default()
    }
}

fn millis(millis: u128) -> u64 {
    u64::try_from(millis).unwrap_or(u64::MAX)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
