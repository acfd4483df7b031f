//! The daemon: everything is opened in order, then wired together, then it runs until it is told to end.

use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use log::{error, info, warn};
use ms_acl_core::model::Settings;
use ms_acl_netfilter::{Options, Position};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::args::{JumpPosition, OnExit, RunArgs};
use crate::engine::{Ended, Engine, Fixed, Input, Kernel, Outlet, channel, watch_drift, watch_preflight};
use crate::http::{Access, Api, Desk, Token, listen, serve};
use crate::instance::{OnlyInstance, random_name};
use crate::one_line;
use crate::policy_store::PolicyStore;
use crate::source::Source;

/// How long the end may take; the transaction in flight has most of it.
const END_TIME: Duration = Duration::from_millis(1700);

/// How a part of the daemon came to its end.
struct PartEnded {
    part: &'static str,
    outcome: anyhow::Result<()>,
}

/// Runs the daemon. The exit code is 0 after SIGTERM, 2 for flags that can't be, else 1.
pub(crate) fn run(args: &RunArgs) -> ExitCode {
    let node = match &args.node_name {
        Some(name) => Ok(name.clone()),
        None => nix::unistd::gethostname()
            .context("can't tell the host's name, --node-name is needed")
            // As the kubelet does it.
            .map(|name| name.to_string_lossy().to_lowercase()),
    };
    let settings = node.and_then(|node| Ok(args.policy.settings(&node)?));
    let settings = match settings {
        Ok(settings) => settings,
        Err(wrong) => {
            error!("{}", one_line(&wrong));
            return ExitCode::from(2);
        }
    };
    match start(args, settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            error!("{}", one_line(&failed));
            ExitCode::FAILURE
        }
    }
}

fn start(args: &RunArgs, settings: Settings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("can't start the HTTP server")?;
    // From here on a signal is heard, however early it comes.
    let signals = runtime.block_on(async { Signals::listen() })?;
    let access = access(args)?;
    let _instance = OnlyInstance::claim()?;
    let (store, document) = match &args.policy_file {
        Some(path) => {
            let (store, document) = PolicyStore::open(path)?;
            (Some(store), document)
        }
        None => (None, Arc::default()),
    };
    let listener = listen(args.api_bind)?;
    let (source, first) = Source::open(args, &settings.node)?;
    let position = match args.forward_jump_position {
        JumpPosition::Insert => Position::First,
        JumpPosition::Append => Position::Last,
    };
    let (kernel, watcher, mut preflight) = Kernel::open(Options { position })?;
    preflight.extend(mark_warnings(args));
    preflight.extend(source.narrowness());
    for line in &preflight {
        warn!("{line}");
    }

    let fixed = Fixed {
        node: settings.node.clone(),
        instance: random_name()?,
        version: env!("CARGO_PKG_VERSION"),
        backend: args.backend.name(),
        source: args.source.to_string(),
        preflight,
    };
    info!(
        "ms-acld {} for node {}, objects from {}, HTTP API at {}",
        fixed.version,
        fixed.node,
        fixed.source,
        listener.local_addr()?
    );
    let (outlet, snapshots) = Outlet::new(fixed);
    let (handle, inputs) = channel(snapshots);
    let engine = Engine::new(settings, kernel, Arc::clone(&document), inputs, args.resync, outlet);
    handle.send(Input::Objects(first));

    let (ended, ends) = mpsc::unbounded_channel();
    spawn("engine", &ended, move || match engine.run() {
        Ended::Asked => Ok(()),
        Ended::Alone => Err(anyhow!("nobody sends inputs any more")),
    })?;
    let objects = handle.clone();
    spawn("source", &ended, move || source.run(|batch| objects.send(Input::Objects(batch))))?;
    let drift = handle.clone();
    spawn("watch of the kernel", &ended, move || watch_drift(watcher, &drift))?;
    let (surroundings, resync) = (handle.clone(), args.resync);
    spawn("preflight", &ended, move || watch_preflight(&surroundings, resync))?;

    let api = Arc::new(Api { engine: handle, access, desk: Desk::new(document, store) });
    let outcome = runtime.block_on(until_end(api, listener, signals, ends, args.on_exit == OnExit::Remove));
    // What still runs ends with the process.
    runtime.shutdown_background();
    outcome
}

/// The signals that end the daemon.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("can't listen to signals");
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }
}

/// Serves until a signal comes or a part of the daemon ends.
async fn until_end(
    api: Arc<Api>,
    listener: std::net::TcpListener,
    mut signals: Signals,
    mut ends: mpsc::UnboundedReceiver<PartEnded>,
    remove: bool,
) -> anyhow::Result<()> {
    let (end, ending) = watch::channel(false);
    let engine = api.engine.clone();
    let mut server = tokio::spawn(serve(api, listener, ending));
    tokio::select! {
        _ = signals.terminate.recv() => info!("SIGTERM: it ends"),
        _ = signals.interrupt.recv() => info!("SIGINT: it ends"),
        Some(ended) = ends.recv() => {
            let PartEnded { part, outcome } = ended;
            outcome.with_context(|| format!("the {part} ended"))?;
            bail!("the {part} ended");
        }
        outcome = &mut server => {
            outcome.context("the HTTP server ended")?.context("the HTTP server ended")?;
            bail!("the HTTP server ended");
        }
    }
    let _ = end.send(true);
    let deadline = tokio::time::Instant::now() + END_TIME;
    // The channel may be full: the engine empties it first.
    thread::spawn(move || engine.send(Input::Shutdown { remove }));
    let engine_ended = async {
        while let Some(ended) = ends.recv().await {
            if ended.part == "engine" {
                break;
            }
        }
    };
    if tokio::time::timeout_at(deadline, engine_ended).await.is_err() {
        warn!("the kernel takes too long: it is left as it is");
    }
    let _ = tokio::time::timeout_at(deadline, server).await;
    Ok(())
}

/// Starts a part of the daemon on a thread of its own. Its end is told, whatever it is.
fn spawn(
    part: &'static str,
    ended: &mpsc::UnboundedSender<PartEnded>,
    work: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<()> {
    let guard = EndGuard { ended: ended.clone(), part, outcome: Some(Err(anyhow!("it panicked"))) };
    let name = part.chars().take(15).collect();
    let body = move || {
        let mut guard = guard;
        guard.outcome = Some(work());
    };
    thread::Builder::new().name(name).spawn(body).with_context(|| format!("can't start the {part}"))?;
    Ok(())
}

/// Tells that a part ended when it is dropped, also by a panic.
struct EndGuard {
    ended: mpsc::UnboundedSender<PartEnded>,
    part: &'static str,
    outcome: Option<anyhow::Result<()>>,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            // Nobody listens at the end.
            let _ = self.ended.send(PartEnded { part: self.part, outcome });
        }
    }
}

fn access(args: &RunArgs) -> anyhow::Result<Access> {
    // An empty variable is one that isn't set.
    if let Some(token) = args.api_token.as_deref().filter(|token| !token.is_empty()) {
        return Ok(Access::Token(Token::fixed(token)));
    }
    if let Some(path) = &args.api_token_file {
        return Ok(Access::Token(Token::file(path)?));
    }
    if args.api_open {
        warn!("--api-open: everybody who reaches the HTTP API may change the policy");
        return Ok(Access::Open);
    }
    Ok(Access::Loopback)
}

/// Marks that others are known to use.
fn mark_warnings(args: &RunArgs) -> Vec<String> {
    let others = [(0xc000, "kube-proxy"), (0xffff_0000, "Calico")];
    let met = others.into_iter().filter(|(mask, _)| args.policy.mark_mask & mask != 0);
    met.map(|(mask, who)| {
        format!("the mark mask {:#x} meets {mask:#x}, which {who} uses", args.policy.mark_mask)
    })
    .collect()
}
