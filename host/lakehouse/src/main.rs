//! The binary: configuration, start and stop, and the gateway in front of the
//! plugins and the vector service.

mod check;
mod cli;
mod config;
mod deploy;
mod gateway;
mod host;
mod logging;
mod plugin;
mod roster;
mod server;
mod table;
mod telemetry;
mod vectors;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use cli::{Cli, Command};
use config::{Config, ConfigError, Overrides};
use gateway::{Front, Gateway};
use host::Host;
use telemetry::Telemetry;

/// A request is a few dozen small allocations, freed on another thread than the one
/// that made them, which the system's allocator is slow at.
///
/// It asks for no huge pages (its feature `no_thp`): the kernel clears each as a whole when
/// it is first touched, and whoever is to run on that processor waits.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The configuration, or what it names, cannot be used.
const EXIT_CONFIG: u8 = 2;
/// How long tasks of the process may linger when everything else is done.
const LAST_CALL: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let (settings, task) = match Cli::parse().command {
        Command::Version => {
            println!("lakehouse {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Command::Serve(settings) => (settings, Task::Serve),
        Command::Check(settings) => (settings, Task::Check),
        Command::Plugin(plugin::Command::Check {
            file,
            name,
            json,
            settings,
        }) => (settings, Task::CheckFile { file, name, json }),
        Command::Plugin(plugin::Command::New {
            name,
            template,
            path,
        }) => {
            return run(answered(
                async move { plugin::make(&name, template, &path) },
            ));
        }
        Command::Plugin(plugin::Command::Inspect { file, json }) => {
            return run(answered(async move { plugin::inspect(&file, json).await }));
        }
        Command::Plugin(command) => {
            return run(answered(plugin::run(command)));
        }
    };
    let config = match config::load(&Overrides::from(settings), std::env::vars_os()) {
        Ok(config) => config,
        Err(error) => return refuse(&error),
    };
    // The answer to a question about one file stands alone.
    if !matches!(task, Task::CheckFile { .. })
        && let Err(error) = logging::start(&config.log)
    {
        return refuse(&error);
    }
    run(async {
        match task {
            Task::Serve => serve(config).await.map(|()| true),
            Task::Check => check::check(config).await,
            Task::CheckFile { file, name, json } => plugin::check(config, &file, name, json).await,
        }
    })
}

/// What takes a configuration.
enum Task {
    Serve,
    Check,
    CheckFile {
        file: PathBuf,
        name: Option<String>,
        json: bool,
    },
}

/// Whether a question got its answer; why not is said.
async fn answered(question: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<bool> {
    let answer = question.await;
    Ok(answer
        .inspect_err(|error| eprintln!("lakehouse: {error:#}"))
        .is_ok())
}

/// Runs a task; false stands for a no that is no error.
fn run(task: impl Future<Output = anyhow::Result<bool>>) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::from(error).context("threads")),
    };
    let result = runtime.block_on(task);
    runtime.shutdown_timeout(LAST_CALL);
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => match error.downcast_ref::<ConfigError>() {
            Some(error) => refuse(error),
            None => fail(&error),
        },
    }
}

fn refuse(error: &ConfigError) -> ExitCode {
    eprintln!("lakehouse: {error}");
    ExitCode::from(EXIT_CONFIG)
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("lakehouse: {error:#}");
    ExitCode::from(EXIT_CONFIG)
}

/// Serves until SIGTERM or SIGINT, and until what is under way then is done.
async fn serve(config: Config) -> anyhow::Result<()> {
    // The soft limit is low where nobody asked for more: every connection takes one.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    let bind = config.server.bind.clone();
    let telemetry = Telemetry::start(&config.telemetry)?;
    let host = Arc::new(Host::open(config)?);
    let listener = TcpListener::bind(&bind)
        .await
        .with_context(|| format!("server.bind: cannot listen on {bind}"))?;
    let address = listener.local_addr().context("server.bind")?;
    let gateway = Gateway::new(Arc::clone(&host), address.ip(), Handle::current())?;
    let threads = server::Threads::start().context("threads")?;
    tracing::info!("listening on http://{address}");

    let deploying = host
        .deployer
        .clone()
        .map(|deployer| tokio::spawn(deployer.run()));
    let stop = CancellationToken::new();
    tokio::spawn({
        let host = Arc::clone(&host);
        let stop = stop.clone();
        async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping: requests under way are finished first");
            host.drain();
            stop.cancel();
        }
    });
    let front = Front::new(gateway, &host.config.server);
    let drained = server::serve(listener, &threads, front, &host.config.server, stop).await;
    if let Some(deploying) = deploying {
        deploying.abort();
    }
    telemetry.stop().await;
    if drained {
        host.runtime.shutdown().await;
        tracing::info!("stopped");
    } else {
        tracing::warn!(
            "stopped with requests under way: they took longer than server.drain_timeout"
        );
    }
    Ok(())
}
