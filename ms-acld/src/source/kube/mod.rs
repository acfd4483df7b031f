//! The Kubernetes API: every kind that policy looks at is watched.
//!
//! One task a kind, on a runtime of their own; one bounded channel to the source's thread, which makes
//! batches of what comes and gives them to the engine. Where the engine is slow, so are the watches.

mod backoff;
mod batches;
mod client;
mod kinds;
mod objects;
mod only_namespace;
mod request;
mod state;
mod watch;

use std::net::IpAddr;

use anyhow::{Context, anyhow};
use kube::Client;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Batch;
use batches::Batches;
use kinds::{KINDS, Kind, Scope};
use state::source_state;
use watch::{Outlet, Unheard, Watch, WatchState};

/// How many news may wait.
const WAITING: usize = 512;

/// What is watched.
#[derive(Debug, Clone)]
pub(crate) struct KubeScope {
    /// The node this is.
    pub(crate) node: String,
    /// The only namespace that is watched; none = all.
    pub(crate) namespace: Option<String>,
    /// The node's addresses, where the Node object isn't read.
    pub(crate) host_ips: Vec<IpAddr>,
}

/// The API server.
pub(crate) struct KubeSource {
    runtime: Runtime,
    client: Client,
    scope: KubeScope,
}

impl KubeSource {
    /// Finds out where the API server is. It needn't be there yet.
    pub(crate) fn open(scope: KubeScope) -> anyhow::Result<(Self, String)> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("api-watch")
            .enable_all()
            .build()
            .context("can't start the watches")?;
        let (client, server) = runtime.block_on(async {
            let config = client::configuration().await?;
            anyhow::Ok((client::connect(&config)?, config.cluster_url.to_string()))
        })?;
        Ok((KubeSource { runtime, client, scope }, server))
    }

    /// What is known before anything was read.
    pub(crate) fn first(&self) -> Batch {
        let unread = WatchState::default();
        let mut state = source_state(self.kinds().map(|(_, kind)| (kind, &unread)));
        state.live = false;
        Batch { state, cause: "start".to_owned(), ..Batch::default() }
    }

    /// What isn't seen where one namespace only is watched.
    pub(crate) fn narrowness(&self) -> Vec<String> {
        let Some(namespace) = &self.scope.namespace else { return Vec::new() };
        vec![format!(
            "only the namespace {namespace} is watched: pods and policies of others aren't known, and no selector matches them; a policy peer covers that namespace only"
        )]
    }

    /// The kinds that are read, and their places in the table.
    fn kinds(&self) -> impl Iterator<Item = (usize, &'static Kind)> {
        let cluster_wide = self.scope.namespace.is_none();
        let kinds = KINDS.iter().enumerate();
        kinds.filter(move |(_, kind)| {
            cluster_wide || kind.scope == Scope::Namespaced || kind.name == "Namespace"
        })
    }

    /// Watches until `send` says that nobody listens any more.
    ///
    /// # Errors
    ///
    /// A watch ended: what it would have told is missing from then on.
    pub(crate) fn run(self, mut send: impl FnMut(Batch) -> bool) -> anyhow::Result<()> {
        let (news, incoming) = mpsc::channel(WAITING);
        let mut watches = JoinSet::new();
        for (place, kind) in self.kinds() {
            let outlet = Outlet { place, news: news.clone() };
            let client = self.client.clone();
            match (&self.scope.namespace, kind.scope) {
                (Some(name), Scope::Cluster) => {
                    let read = only_namespace::read_by_name(kind, client, name.clone(), outlet);
                    watches.spawn_on(read, self.runtime.handle());
                }
                (namespace, _) => {
                    let watch = Watch::new(kind, client, namespace.as_deref(), outlet);
                    watches.spawn_on(watch.run(), self.runtime.handle());
                }
            }
        }
        let dead = self.runtime.spawn(first_end(watches));
        drop(news);
        let mut batches = Batches::new(self.kinds(), incoming, self.runtime.handle().clone());
        if self.scope.namespace.is_some() {
            batches.add(only_namespace::node(&self.scope.node, &self.scope.host_ips));
        }
        while let Some(batch) = batches.next() {
            if !send(batch) {
                return Ok(());
            }
        }
        let reason = self.runtime.block_on(dead);
        Err(anyhow!("{}", reason.unwrap_or_else(|error| error.to_string())))
    }
}

/// Waits for the first watch that ends, which none should, and ends the others.
async fn first_end(mut watches: JoinSet<Unheard>) -> String {
    match watches.join_next().await {
        Some(Err(error)) => format!("a watch failed: {error}"),
        _ => "a watch ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_dies_is_told_with_its_reason() {
        let runtime = Runtime::new().unwrap();
        let reason = runtime.block_on(async {
            let mut watches = JoinSet::new();
            watches.spawn(std::future::pending());
            watches.spawn(async { panic!("no way on") });
            first_end(watches).await
        });
        assert!(reason.starts_with("a watch failed") && reason.contains("no way on"), "{reason}");
    }
}
