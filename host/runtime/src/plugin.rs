//! A loaded plugin.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lakehouse_trace::{Kind, Span};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio_util::context::TokioContext;
use wasmtime::Engine;
use wasmtime::component::InstancePre;
use wasmtime_wasi_config::WasiConfigVariables;
use wasmtime_wasi_http::handler::{InstantiationError, ProxyHandler, ProxyPre};

use crate::admission::Admission;
use crate::backoff::Backoff;
use crate::clock::{Spent, bounded};
use crate::direct::Direct;
use crate::lane::Lane;
use crate::limiter::Budget;
use crate::metrics::Stats;
use crate::outbound::Outbound;
use crate::peer::Exports;
use crate::pool::Pool;
use crate::preempt::{Preempt, Stop};
use crate::state::State;
use crate::tick::Pulse;
use crate::ticket::{Failure, Guard, Ticket};
use crate::trial::Trial;
use crate::worker::Http;
use crate::{Body, CallError, Cause, Extensions, PluginSpec, trap};

/// How long a caller waits to be told why its worker ended, which is there at once.
const POST_MORTEM: Duration = Duration::from_secs(1);

/// What a plugin was given, read from its grants and settings.
pub(crate) struct Given {
    /// By capabilities.
    pub(crate) extensions: Extensions,
    /// To send requests to.
    pub(crate) outbound: Outbound,
    /// To read through `wasi:config`.
    pub(crate) variables: WasiConfigVariables,
    /// For its environment.
    pub(crate) environment: Vec<(String, String)>,
}

/// What a plugin's guests run on.
pub(crate) struct Machine {
    pub(crate) engine: Engine,
    /// For guests that compute for long.
    pub(crate) lane: Lane,
    /// For what lives beside requests.
    pub(crate) home: Handle,
    /// To be told when they are given a thread.
    pub(crate) pulse: Arc<Pulse>,
    /// What stops them, if they do not give way.
    pub(crate) preempt: Option<Preempt>,
}

/// What all instances of a plugin share.
pub(crate) struct Shared {
    pub(crate) spec: PluginSpec,
    pub(crate) engine: Engine,
    pub(crate) budget: Arc<Budget>,
    /// For guests that compute for long.
    pub(crate) lane: Lane,
    /// For what lives beside requests, and so not on the threads that happen to bring these.
    pub(crate) home: Handle,
    /// To be told when its guests are given a thread.
    pub(crate) pulse: Arc<Pulse>,
    /// What stops its guests, if they do not give way.
    pub(crate) preempt: Option<Preempt>,
    pub(crate) given: Given,
    pub(crate) stats: Arc<Stats>,
    /// Places of HTTP requests.
    pub(crate) requests: Admission,
    /// Places of typed calls. They are apart, so that a plugin whose requests call
    /// each other through the host cannot wait for itself.
    pub(crate) calls: Admission,
    /// How its first requests went.
    pub(crate) trial: Arc<Trial>,
    pub(crate) backoff: Backoff,
    closed: AtomicBool,
    /// Wakes workers that idle, to end.
    pub(crate) closing: Arc<Notify>,
    /// Goes with the last request, instance and handle.
    _here: oneshot::Sender<()>,
}

impl Shared {
    pub(crate) fn new(
        spec: PluginSpec,
        machine: Machine,
        budget: Arc<Budget>,
        given: Given,
        stats: Arc<Stats>,
        here: oneshot::Sender<()>,
    ) -> Self {
        let Machine {
            engine,
            lane,
            home,
            pulse,
            preempt,
        } = machine;
        Self {
            engine,
            budget,
            lane,
            home,
            pulse,
            preempt,
            given,
            stats,
            requests: Admission::new(&spec.limits),
            calls: Admission::new(&spec.limits),
            trial: Arc::default(),
            backoff: Backoff::default(),
            closed: AtomicBool::new(false),
            closing: Arc::default(),
            _here: here,
            spec,
        }
    }

    /// The clock of one request or call. A guest that does not give way is stopped by it,
    /// and when `stop` is set.
    pub(crate) fn clock(&self, deadline: Instant, stop: Option<&Arc<Stop>>) -> Spent<'_> {
        let spent = Spent::new(&self.stats, &self.pulse);
        match &self.preempt {
            Some(preempt) => {
                let cpu = self.spec.limits.cpu;
                spent.stopping(preempt.run(cpu, deadline, stop.map(Arc::clone)))
            }
            None => spent,
        }
    }

    /// The making of an instance ahead of its first request.
    pub(crate) async fn ahead<I>(
        &self,
        make: impl Future<Output = wasmtime::Result<I>>,
    ) -> wasmtime::Result<I> {
        let limits = &self.spec.limits;
        let deadline = Instant::now() + limits.deadline;
        bounded(limits, deadline, &mut self.clock(deadline, None), make)
            .await
            .map_err(|clock| wasmtime::format_err!("it does not start within its {clock}"))?
    }

    /// No instance is kept for later from here on.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.closing.notify_waiters();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Requests and calls that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.requests.waiting() + self.calls.waiting()
    }

    /// Counts a trap, which may be one too many.
    pub(crate) fn trapped(&self, kind: trap::Kind, trap: &str) {
        self.stats.trap(kind);
        if let Some(wait) = self.backoff.trapped(trap) {
            let plugin = self.spec.name.as_str();
            tracing::error!(plugin, ?wait, "it keeps trapping and is left alone for now");
        }
    }

    /// Requests and calls that run or wait.
    pub(crate) fn in_flight(&self) -> usize {
        self.requests.in_flight() + self.calls.in_flight()
    }
}

/// What answers HTTP requests.
pub(crate) enum Handler {
    /// For `wasi:http` 0.2.
    Direct(Arc<Direct>),
    /// For `wasi:http` 0.3.
    Workers(ProxyHandler<Http>),
}

impl Handler {
    pub(crate) fn new(shared: &Arc<Shared>, proxy: ProxyPre<State>) -> Self {
        let shared = Arc::clone(shared);
        match proxy {
            ProxyPre::P2(pre) => Self::Direct(Arc::new(Direct::new(shared, pre))),
            proxy @ ProxyPre::P3(_) => Self::Workers(ProxyHandler::new(Http::new(shared, proxy))),
        }
    }
}

/// Plugins loaded so far.
static LOADINGS: AtomicU64 = AtomicU64::new(0);

/// A plugin that serves.
pub(crate) struct Plugin {
    /// The number of this loading among all.
    pub(crate) loading: u64,
    pub(crate) shared: Arc<Shared>,
    /// Its HTTP handler, if it exports one.
    pub(crate) handler: Option<Handler>,
    /// Its instances for typed calls.
    pub(crate) pool: Arc<Pool>,
    /// Ends when nothing is left of it.
    pub(crate) gone: Mutex<Option<oneshot::Receiver<()>>>,
    /// What other plugins can import from it.
    pub(crate) exports: Exports,
}

impl Plugin {
    pub(crate) fn new(
        shared: Arc<Shared>,
        handler: Option<Handler>,
        instance: InstancePre<State>,
        gone: oneshot::Receiver<()>,
    ) -> Self {
        let exports = Exports::of(instance.component());
        let pool = Arc::new(Pool::new(Arc::clone(&shared), instance));
        let idle = Arc::downgrade(&pool.shelf);
        shared.budget.register(idle);
        if let Some(Handler::Direct(direct)) = &handler {
            let idle = Arc::downgrade(&direct.shelf);
            shared.budget.register(idle);
        }
        Self {
            loading: LOADINGS.fetch_add(1, Ordering::Relaxed),
            handler,
            exports,
            gone: Mutex::new(Some(gone)),
            pool,
            shared,
        }
    }

    /// Answers an HTTP request; see [`Runtime::handle`](crate::Runtime::handle).
    pub(crate) async fn handle(
        &self,
        request: http::Request<Body>,
        cause: Cause,
    ) -> Result<http::Response<Body>, CallError> {
        let started = Instant::now();
        let handler = self.handler.as_ref().ok_or(CallError::NotFound)?;
        let stats = &self.shared.stats;
        stats.request();
        let answer = self.answer(handler, request, cause, started).await;
        stats.answered(answer.as_ref().ok().map(http::Response::status));
        answer
    }

    /// One request, from the queue to the answer's head.
    async fn answer(
        &self,
        handler: &Handler,
        mut request: http::Request<Body>,
        cause: Cause,
        started: Instant,
    ) -> Result<http::Response<Body>, CallError> {
        let shared = &self.shared;
        let mut span = Span::start(Kind::Internal, cause.trace.as_ref(), || {
            format!("plugin {}", shared.spec.name)
        });
        if let Some(trace) = span.trace() {
            trace.inject(request.headers_mut());
        }
        let cause = cause.within(&span);
        shared.backoff.admit().inspect_err(|error| {
            span.fail(|| error.to_string());
            shared.stats.rejected();
        })?;
        let deadline = started + shared.spec.limits.deadline;
        shared
            .requests
            .admit(deadline, &shared.stats)
            .await
            .inspect_err(|error| {
                span.fail(|| error.to_string());
                match error {
                    CallError::Timeout(_) => shared.stats.timeout(),
                    _ => shared.stats.rejected(),
                }
            })?;
        let ticket = Ticket::new(Arc::clone(shared), cause, span, started);
        let mut guard = Guard::new(Arc::clone(&ticket), request.method());
        name_host(&mut request);
        let request = request.map(Body::into_wasi);
        let handler = match handler {
            Handler::Direct(direct) => return direct.handle(ticket, guard, request).await,
            Handler::Workers(handler) => handler,
        };
        // It spawns the workers.
        let handled = handler.handle(Arc::clone(&ticket), request);
        match TokioContext::new(handled, shared.home.clone()).await {
            Ok(response) => {
                guard.expect(response.headers())?;
                Ok(response.map(|body| Body::guarded(body, guard)))
            }
            Err(error) => {
                let error = post_mortem(&ticket, error).await;
                guard.complete();
                Err(error)
            }
        }
    }

    /// Makes the instances that are to be ready before the first request comes. Those
    /// of `wasi:http` 0.3 are made and kept by their workers alone.
    ///
    /// # Errors
    /// If one cannot be made.
    pub(crate) async fn warm_up(&self) -> wasmtime::Result<()> {
        match &self.handler {
            Some(Handler::Direct(direct)) => direct.fill().await,
            Some(Handler::Workers(_)) => Ok(()),
            None => self.pool.fill().await,
        }
    }

    pub(crate) fn close(&self) {
        self.shared.close();
        self.pool.shelf.clear();
        if let Some(Handler::Direct(direct)) = &self.handler {
            direct.shelf.clear();
        }
    }
}

/// `wasi:http` demands an authority, which HTTP/1.0 clients need not send.
fn name_host(request: &mut http::Request<Body>) {
    if request.uri().authority().is_some() {
        return;
    }
    let named = request
        .headers()
        .get(http::header::HOST)
        .is_some_and(|host| host.to_str().is_ok_and(|host| !host.is_empty()));
    if !named {
        request.headers_mut().insert(
            http::header::HOST,
            http::HeaderValue::from_static("localhost"),
        );
    }
}

/// Why a request got no head: what its worker left, which knows best, or the error
/// that came in its place.
async fn post_mortem(ticket: &Ticket, error: wasmtime::Error) -> CallError {
    let stats = &ticket.plugin.stats;
    if let Some(error) = error.downcast_ref::<InstantiationError<Arc<Ticket>>>() {
        let error = format!("{:#}", &*error.error);
        let plugin = ticket.plugin.spec.name.as_str();
        ticket.enter(|| tracing::error!(plugin, error, "no instance"));
        // It could be made when it was loaded: what is missing now is room.
        stats.rejected();
        return CallError::Saturated {
            reason: format!("{error:#}"),
            retry_after: Duration::from_secs(1),
        };
    }
    if tokio::time::timeout(POST_MORTEM, ticket.settled())
        .await
        .is_err()
    {
        return CallError::Internal(format!("{error:#}"));
    }
    match ticket.failure() {
        Some(Failure::Timeout(clock)) => CallError::Timeout(clock),
        Some(Failure::TooLong(limit)) => CallError::TooLong { limit },
        Some(Failure::Trap(trap)) => CallError::Trapped(trap),
        Some(Failure::Cancelled) => CallError::Internal("cancelled".to_owned()),
        None => CallError::Trapped(trap::describe(&error)),
    }
}
