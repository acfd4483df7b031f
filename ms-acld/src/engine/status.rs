//! What the engine tells about itself.

use std::sync::Arc;
use std::time::SystemTime;

use ms_acl_core::cluster::Counts;
use ms_acl_core::ruleset::Rulesets;
use serde::Serialize;
use tokio::sync::watch;

use super::fault::SeenFault;
use super::kernel::Kernel;

/// The state of the engine at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    pub(crate) status: Status,
    /// Why the first full sync isn't done yet, a sentence each; empty = it is.
    pub(crate) not_ready: Vec<String>,
    /// The highest generation that was tried and refused, or that has to wait.
    pub(crate) failed: u64,
}

/// `GET /status`.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    #[serde(flatten)]
    pub(crate) fixed: Fixed,
    pub(crate) generation: u64,
    pub(crate) applied: u64,
    pub(crate) synced: bool,
    local_pods: usize,
    cluster_pods: usize,
    policies: usize,
    #[serde(flatten)]
    sizes: Sizes,
    last_applied: Option<String>,
    last_apply_micros: Option<u64>,
    pub(crate) last_error: Option<String>,
    drift_repairs: u64,
    faults: Arc<[SeenFault]>,
}

impl Status {
    /// The number of this node's pods that have an address of their own.
    pub(crate) fn local_pods(&self) -> usize {
        self.local_pods
    }
}

/// What hardly changes while the process lives.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Fixed {
    pub(crate) node: String,
    pub(crate) instance: String,
    pub(crate) version: &'static str,
    pub(crate) backend: &'static str,
    pub(crate) source: String,
    pub(crate) preflight: Vec<String>,
}

/// How much is desired, both families together.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Sizes {
    chains: usize,
    rules: usize,
    sets: usize,
    members: usize,
}

impl Sizes {
    fn of(rulesets: &Rulesets) -> Self {
        let graphs = [&rulesets.v4, &rulesets.v6];
        Sizes {
            chains: graphs.iter().map(|graph| graph.chains.len()).sum(),
            rules: graphs.iter().map(|graph| graph.rule_count()).sum(),
            sets: graphs.iter().map(|graph| graph.sets.len()).sum(),
            members: graphs.iter().map(|graph| graph.member_count()).sum(),
        }
    }
}

/// What changes.
pub(super) struct Live {
    pub(super) generation: u64,
    pub(super) applied: u64,
    pub(super) synced: bool,
    pub(super) counts: Counts,
    pub(super) local_pods: usize,
    pub(super) last_error: Option<String>,
    pub(super) faults: Arc<[SeenFault]>,
}

/// Where snapshots are published.
pub(crate) struct Outlet {
    fixed: Fixed,
    /// How many of the preflight's lines are of the start.
    of_start: usize,
    /// The sizes, and the generation of which they are.
    sizes: (u64, Sizes),
    sender: watch::Sender<Arc<Snapshot>>,
}

impl Outlet {
    pub(crate) fn new(fixed: Fixed) -> (Self, watch::Receiver<Arc<Snapshot>>) {
        let status = Status { fixed: fixed.clone(), ..Status::default() };
        let first = Snapshot { status, not_ready: vec!["it is starting".to_owned()], failed: 0 };
        let (sender, receiver) = watch::channel(Arc::new(first));
        let of_start = fixed.preflight.len();
        (Outlet { fixed, of_start, sizes: (0, Sizes::default()), sender }, receiver)
    }

    /// What the last look for what keeps the rules from governing pods has found.
    pub(super) fn found(&mut self, findings: Vec<String>) {
        self.fixed.preflight.truncate(self.of_start);
        self.fixed.preflight.extend(findings);
    }

    pub(super) fn publish(
        &mut self,
        live: Live,
        rulesets: Option<&Rulesets>,
        kernel: &Kernel,
        not_ready: Vec<String>,
        failed: u64,
    ) {
        if let Some(rulesets) = rulesets
            && self.sizes.0 != live.generation
        {
            self.sizes = (live.generation, Sizes::of(rulesets));
        }
        let last = kernel.last_applied;
        let status = Status {
            fixed: self.fixed.clone(),
            generation: live.generation,
            applied: live.applied,
            synced: live.synced,
            local_pods: live.local_pods,
            cluster_pods: live.counts.pods,
            policies: live.counts.network_policies + live.counts.acl_entries,
            sizes: self.sizes.1,
            last_applied: last.map(|(at, _)| time(at)),
            last_apply_micros: last.map(|(_, micros)| micros),
            last_error: live.last_error,
            drift_repairs: kernel.drift_repairs,
            faults: live.faults,
        };
        self.sender.send_replace(Arc::new(Snapshot { status, not_ready, failed }));
    }
}

/// A time as RFC 3339 with microseconds, in UTC.
pub(super) fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_micros(at).to_string()
}
