//! From a component to a plugin that could serve.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;
use wasmtime::component::{Component, InstancePre};
use wasmtime_wasi_http::handler::ProxyPre;
use wasmtime_wasi_http::{p2, p3};

use crate::check::{self, Interfaces};
use crate::clock::{Clock, bounded};
use crate::engines::{Compiled, Side};
use crate::lane;
use crate::metrics::Stats;
use crate::outbound::Outbound;
use crate::peer::{self, GRANT, Grant};
use crate::plugin::{Given, Handler, Machine, Plugin, Shared};
use crate::runtime::Inner;
use crate::state::{State, new_store};
use crate::variable::read_all;
use crate::{
    Artifact, Extensions, PluginSpec, PluginState, PluginStatus, Refusal, Staged, Step, trap,
};

/// Makes a plugin of a component, all but letting it serve. `first` says that none of
/// its name serves now.
pub(crate) async fn stage(
    runtime: &Arc<Inner>,
    spec: PluginSpec,
    artifact: Artifact,
    stats: Arc<Stats>,
    first: bool,
) -> Result<Staged, Refusal> {
    let begun = Instant::now();
    let mut status = blank(&spec);
    status.size = artifact.size();
    artifact.digest().clone_into(&mut status.digest);
    let lost = status.clone();
    let built = tokio::task::spawn_blocking({
        let runtime = Arc::clone(runtime);
        move || {
            let built = build(&runtime, spec, &artifact, stats, first, &mut status);
            (status, built)
        }
    })
    .await;
    let (mut status, built) = match built {
        Ok(result) => result,
        Err(panic) => {
            let reason = format!("the host failed while loading it: {panic}");
            return Err(Refusal::new(Step::Compile, reason, lost));
        }
    };
    let tried = match built {
        Ok(built) => {
            let longest = built.shared.spec.limits.deadline.min(runtime.start);
            try_out(&built, longest)
                .await
                .map(|()| built)
                .map_err(|reason| (Step::Start, reason))
        }
        Err(refused) => Err(refused),
    };
    status.load_ms = millis(begun.elapsed().as_millis());
    match tried {
        Ok(built) => {
            let plugin = Plugin::new(built.shared, built.handler, built.pre, built.gone);
            if let Err(error) = plugin.warm_up().await {
                let reason = format!("cannot keep `min_pool` instances: {error:#}");
                return Err(Refusal::new(Step::Start, reason, status));
            }
            status.state = PluginState::Serving;
            Ok(Staged {
                plugin: Arc::new(plugin),
                status,
            })
        }
        Err((step, reason)) => Err(Refusal::new(step, reason, status)),
    }
}

struct Built {
    shared: Arc<Shared>,
    handler: Option<Handler>,
    pre: InstancePre<State>,
    gone: oneshot::Receiver<()>,
}

/// What blocks: compiling and linking.
fn build(
    runtime: &Arc<Inner>,
    spec: PluginSpec,
    artifact: &Artifact,
    stats: Arc<Stats>,
    first: bool,
    status: &mut PluginStatus,
) -> Result<Built, (Step, String)> {
    check::file(artifact.head()).map_err(|reason| (Step::Validate, reason))?;
    let Compiled {
        component,
        side,
        cached,
        draft,
        preempt,
    } = runtime
        .engines
        .compile(&runtime.compilers, artifact, spec.heavy, spec.code)
        .map_err(|error| {
            let reason = check::compile_error(&error, artifact.size());
            (Step::Compile, reason)
        })?;
    status.cached = cached;
    status.draft = draft;
    status.heavy = preempt.is_some();
    let engine = &side.engine;

    let interfaces = Interfaces::of(&component, engine);
    status.imports.clone_from(&interfaces.imports);
    status.exports.clone_from(&interfaces.exports);
    status.http = interfaces.http();
    let (pre, proxy, given) = link(runtime, &side, &spec, &component, &interfaces)
        .map_err(|reason| (Step::Link, reason))?;
    if let (Some(scratch), true) = (&spec.scratch, first) {
        empty(scratch).map_err(|error| {
            let folder = scratch.display();
            let reason = format!("cannot empty the scratch folder {folder}: {error}");
            (Step::Start, reason)
        })?;
    }
    let (here, gone) = oneshot::channel();
    let lane = runtime.heavy.lane();
    let lane = lane.ok_or((Step::Start, "the host is shutting down".to_owned()))?;
    let shared = Arc::new(Shared::new(
        spec,
        Machine {
            engine: engine.clone(),
            lane,
            home: runtime.home.clone(),
            pulse: runtime.engines.pulse(),
            preempt,
        },
        Arc::clone(&runtime.budget),
        given,
        stats,
        here,
    ));
    let handler = proxy.map(|proxy| Handler::new(&shared, proxy));
    Ok(Built {
        shared,
        handler,
        pre,
        gone,
    })
}

type Linked = (InstancePre<State>, Option<ProxyPre<State>>, Given);

/// Connects what the component imports, as far as it is granted.
fn link(
    runtime: &Arc<Inner>,
    side: &Side,
    spec: &PluginSpec,
    component: &Component,
    interfaces: &Interfaces,
) -> Result<Linked, String> {
    let grants = grants(spec, runtime)?;
    let others = Grant::read(&spec.grants)?;
    let granted = |name: &str| match name {
        GRANT => !others.is_empty(),
        name => grants.is_some_and(|grants| grants.contains_key(name)),
    };
    interfaces.check(&spec.name, &runtime.capabilities, granted)?;

    let outbound = Outbound::new(&spec.grants)?;
    let variables = read_all("config", &spec.config)?;
    let environment = read_all("env", &spec.env)?;
    let mut linker = side.linker.clone();
    let mut extensions = Extensions::default();
    for capability in &runtime.capabilities {
        if capability.needs_grant() && !granted(capability.name()) {
            continue;
        }
        capability
            .prepare(spec, &mut extensions)
            .map_err(|reason| format!("grants.{}: {reason}", capability.name()))?;
        if interfaces.imports_of(&**capability) {
            capability
                .link(&mut linker)
                .map_err(|error| format!("cannot link `{}`: {error:#}", capability.name()))?;
        }
    }
    let foreign = interfaces.foreign(&runtime.capabilities);
    peer::link(
        &mut linker,
        component,
        &Arc::downgrade(runtime),
        others,
        &foreign,
    )?;
    let pre = linker.instantiate_pre(component).map_err(|error| {
        let misfit = format!("an import does not fit what the host provides: {error:#}");
        match interfaces.later(&runtime.capabilities) {
            Some(later) => format!("{misfit}; {later}"),
            None => misfit,
        }
    })?;
    let proxy = match interfaces.http() {
        Some("0.3") => Some(p3::bindings::ServicePre::new(pre.clone()).map(ProxyPre::P3)),
        Some(_) => Some(p2::bindings::ProxyPre::new(pre.clone()).map(ProxyPre::P2)),
        None => None,
    }
    .transpose()
    .map_err(|error| format!("its HTTP handler is not the standard one: {error:#}"))?;
    let given = Given {
        extensions,
        outbound,
        variables: variables.into_iter().collect(),
        environment,
    };
    Ok((pre, proxy, given))
}

/// Makes one instance, so that one that cannot start is found now.
async fn try_out(built: &Built, longest: Duration) -> Result<(), String> {
    let shared = Arc::clone(&built.shared);
    let lane = shared.preempt.as_ref().map(|_| shared.lane.clone());
    let starts = start(shared, built.pre.clone(), longest);
    match lane {
        Some(lane) => {
            // It does not give way: not to others that are served by this thread either.
            let started = lane::alone(&lane, starts).await;
            started.unwrap_or_else(|panic| Err(format!("cannot start: {panic}")))
        }
        None => starts.await,
    }
}

async fn start(
    shared: Arc<Shared>,
    pre: InstancePre<State>,
    longest: Duration,
) -> Result<(), String> {
    let mut limits = shared.spec.limits.clone();
    limits.deadline = longest;
    let mut store = new_store(&shared).map_err(|error| format!("cannot start: {error:#}"))?;
    let deadline = Instant::now() + longest;
    let mut spent = shared.clock(deadline, None);
    let starts = pre.instantiate_async(&mut store);
    match bounded(&limits, deadline, &mut spent, starts).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => {
            let trap = trap::describe_in(&error, store.data());
            Err(format!("cannot start: {trap}"))
        }
        Err(clock @ Clock::Cpu(_)) => Err(format!("does not start within its {clock}")),
        Err(Clock::Deadline(longest)) => Err(format!("does not start within {longest:?}")),
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
        let capabilities = runtime.capabilities.iter();
        capabilities
            .map(|capability| capability.name())
            .chain([GRANT, "http"])
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

pub(crate) fn blank(spec: &PluginSpec) -> PluginStatus {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    PluginStatus {
        name: spec.name.clone(),
        generation: spec.generation,
        path: spec.path.display().to_string(),
        grants: spec.grants.clone(),
        config: spec.config.keys().cloned().collect(),
        env: spec.env.keys().cloned().collect(),
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
