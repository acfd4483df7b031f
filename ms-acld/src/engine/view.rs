//! The desired state and the kernel's, for somebody who looks at them.
//!
//! The engine's turn lasts no longer than a copy of maps, whose pods, chains and sets are shared, and the
//! read-back if that is asked for; everything else is done by the one who asks.

use ms_acl_core::cluster::Cluster;
use ms_acl_core::model::Settings;
use ms_acl_core::ruleset::{Family, Rulesets};
use ms_acl_netfilter::ObserveError;

use super::{Desired, Engine};

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// The cluster, not only the graphs.
    pub(crate) cluster: bool,
    /// What the kernel holds, read back now.
    pub(crate) observed: bool,
}

/// The state of one moment.
#[derive(Debug)]
pub(crate) struct View {
    /// The cluster, if it was asked for.
    pub(crate) cluster: Option<Cluster>,
    pub(crate) settings: Settings,
    /// The desired graphs; `None` = the source hasn't told everything yet.
    pub(crate) desired: Option<Rulesets>,
    /// What the kernel holds, if it was asked for.
    pub(crate) observed: Option<Rulesets>,
    /// The number of this node's pods that have an address of their own.
    pub(crate) local_pods: usize,
    /// The families that are enforced.
    pub(crate) families: Vec<Family>,
    pub(crate) generation: u64,
    pub(crate) applied: u64,
    /// Why the kernel isn't what is desired.
    pub(crate) last_error: Option<String>,
    /// What can't be read, a sentence each: rules of a former run stand in for it.
    pub(crate) unread: Vec<String>,
}

impl Engine {
    pub(super) fn view(&mut self, look: Look) -> Result<View, ObserveError> {
        let observed = if look.observed { Some(self.kernel.read_back(&self.desired)?) } else { None };
        let held = matches!(self.desired, Desired::Held(_));
        Ok(View {
            cluster: look.cluster.then(|| self.desired.cluster().clone()),
            settings: self.settings.clone(),
            desired: self.desired.rulesets().cloned(),
            observed,
            local_pods: self.desired.local_pods(),
            families: self.kernel.families().to_vec(),
            generation: self.generation,
            applied: self.applied,
            last_error: self.last_error.clone(),
            unread: if held { self.source.unread.clone() } else { Vec::new() },
        })
    }
}
