//! The desired state of a node, kept current event by event.
//!
//! A [`Program`] holds the compiled graphs and, after each event, redoes only what the event changed.
//! [`crate::compile::compile`] is its specification: after every event
//! [`Program::rulesets`] equals what compiling the same cluster from scratch gives. What changed is
//! taken as a [`Transaction`] whose steps are safe in their order:
//!
//! - an address that changes hands leaves the sets of its former holder first;
//! - then the rules change, in one batch;
//! - then members come (sets that refuse first) and go (sets that permit first);
//! - a pod whose group and memberships both change is judged by both groups in between.

mod membership;
mod parts;
mod pending;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::cluster::{Change, Cluster, Event, HolderChange};
use crate::compile::gate::{self, GroupNames};
use crate::diff::Transaction;
use crate::lower::acl::AclDocument;
use crate::model::{Labels, Policy, Settings};
use crate::resolve::{LocalPod, local_pod};
use crate::ruleset::{Direction, Family, ObjectRef, Rulesets};
use membership::{Members, Memberships};
use parts::Parts;
use pending::Pending;

/// A pod's namespace and name.
type PodKey = (Arc<str>, Arc<str>);

/// The desired state of one node.
#[derive(Debug)]
pub struct Program {
    cluster: Cluster,
    settings: Settings,
    locals: BTreeMap<PodKey, Local>,
    graph: Rulesets,
    parts: [Parts; 2],
    memberships: Memberships,
    pending: Pending,
}

/// A local pod as it is in the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Local {
    pod: LocalPod,
    names: [Option<GroupNames>; 2],
}

impl Local {
    fn new(pod: LocalPod) -> Self {
        let names = Direction::BOTH.map(|direction| gate::names(pod.gates(direction), direction));
        Local { pod, names }
    }
}

/// The memberships that an event changes, and whether the pods concerned keep their addresses.
#[derive(Debug, Default)]
struct Moves {
    /// Memberships of addresses that change hands or are given up: these go before the rules change.
    first: Vec<Members>,
    /// All others: these change after the rules.
    after: Vec<Members>,
}

impl Program {
    /// Compiles a cluster for a node. What the kernel holds is not known here: bring it to
    /// [`Program::rulesets`] by [`crate::diff::diff`] once.
    pub fn new(cluster: Cluster, settings: Settings) -> Self {
        let mut program = Program {
            cluster,
            settings,
            locals: BTreeMap::new(),
            graph: Rulesets::empty(),
            parts: Family::BOTH.map(Parts::new),
            memberships: Memberships::default(),
            pending: Pending::default(),
        };
        let pods: BTreeSet<PodKey> = program
            .cluster
            .pods()
            .filter(|pod| *pod.node == *program.settings.node)
            .map(|pod| (Arc::clone(&pod.namespace), Arc::clone(&pod.name)))
            .collect();
        program.resettle(&pods, &Moves::default());
        program.pending = Pending::default();
        program
    }

    /// The cluster as it is known.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The desired graphs.
    pub fn rulesets(&self) -> &Rulesets {
        &self.graph
    }

    /// The number of this node's pods that have an address of their own.
    pub fn local_pods(&self) -> usize {
        self.locals.len()
    }

    /// Takes in an event. What follows from it waits for [`Program::take`].
    pub fn apply(&mut self, event: Event) {
        let acl = matches!(event, Event::Acl(_)).then(|| Arc::clone(self.cluster.acl()));
        let Some(change) = self.cluster.take_in(event) else { return };
        self.pending.begin(&self.graph);
        match change {
            Change::Holders(changes) => self.holders(&changes),
            Change::Policy { object, after } => {
                self.policy(&object, after.as_ref());
                let pods = self.locals_in(&object.namespace);
                self.resettle(&pods, &Moves::default());
            }
            Change::Namespace { name, before, after } => self.namespace(&name, &before, &after),
            Change::Owners { namespace } => {
                let pods = self.locals_in(&namespace);
                self.resettle(&pods, &Moves::default());
            }
            Change::Acl => self.acl(acl.as_deref()),
        }
    }

    /// Whether something waits to be taken.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// What has to be done since the last time, in order.
    pub fn take(&mut self) -> Transaction {
        std::mem::take(&mut self.pending).finish(&self.graph)
    }

    fn locals_in(&self, namespace: &str) -> BTreeSet<PodKey> {
        let start = (Arc::from(namespace), Arc::from(""));
        let pods = self.locals.range(start..).take_while(|((ns, _), _)| **ns == *namespace);
        pods.map(|(key, _)| key.clone()).collect()
    }

    fn holders(&mut self, changes: &[HolderChange]) {
        let mut moves = Moves::default();
        let mut pods = BTreeSet::new();
        for change in changes {
            let sides = [&change.before, &change.after];
            for pod in sides.into_iter().flatten().filter(|pod| *pod.node == *self.settings.node) {
                pods.insert((Arc::clone(&pod.namespace), Arc::clone(&pod.name)));
            }
            let same_pod = match (&change.before, &change.after) {
                (Some(before), Some(after)) => {
                    before.namespace == after.namespace && before.name == after.name
                }
                _ => false,
            };
            for mut members in self.memberships.of_holder(change, &self.cluster) {
                if !same_pod && !members.lost.is_empty() {
                    let lost = std::mem::take(&mut members.lost);
                    moves.first.push(Members { lost, gained: Vec::new(), ..members.clone() });
                }
                moves.after.push(members);
            }
        }
        self.resettle(&pods, &moves);
    }

    fn namespace(&mut self, name: &str, before: &Labels, after: &Labels) {
        let after = self.memberships.of_namespace(name, before, after, &self.cluster);
        let pods = self.locals_in(name);
        self.resettle(&pods, &Moves { first: Vec::new(), after });
    }

    /// A policy's chains with its new content.
    fn policy(&mut self, object: &ObjectRef, after: Option<&Arc<Policy>>) {
        let Some(policy) = after else { return };
        for parts in &mut self.parts {
            let shop =
                &mut Shop::new(&self.cluster, &mut self.graph, &mut self.pending, &mut self.memberships);
            parts.rewrite(object, policy, shop);
        }
    }

    fn acl(&mut self, before: Option<&AclDocument>) {
        let document = Arc::clone(self.cluster.acl());
        let former: BTreeMap<&ObjectRef, &Arc<Policy>> = before
            .into_iter()
            .flat_map(AclDocument::policies)
            .map(|policy| (&policy.object, policy))
            .collect();
        for policy in document.policies() {
            if former.get(&policy.object) != Some(&policy) {
                self.policy(&policy.object, Some(policy));
            }
        }
        let pods = self.locals.keys().cloned().collect();
        self.resettle(&pods, &Moves::default());
    }

    /// Brings local pods to what they are now, and memberships with them.
    fn resettle(&mut self, pods: &BTreeSet<PodKey>, moves: &Moves) {
        let mut changed: Vec<(PodKey, Option<Local>)> = Vec::new();
        for key in pods {
            let pod = self
                .cluster
                .pod(&key.0, &key.1)
                .and_then(|pod| local_pod(&self.cluster, &self.settings, pod));
            let local = pod.map(Local::new);
            if local.as_ref() != self.locals.get(key) {
                changed.push((key.clone(), local));
            }
        }
        self.members(&moves.first);
        let both = !moves.after.is_empty();
        let mut leaving = false;
        let mut olds = Vec::with_capacity(changed.len());
        for (key, local) in &changed {
            let old = self.locals.remove(key);
            leaving |= both && old.is_some() && local.is_some();
            for parts in &mut self.parts {
                parts.vacate(old.as_ref(), local.as_ref());
            }
            olds.push(old);
        }
        for ((key, local), old) in changed.into_iter().zip(olds) {
            for parts in &mut self.parts {
                let shop =
                    &mut Shop::new(&self.cluster, &mut self.graph, &mut self.pending, &mut self.memberships);
                parts.settle(old.as_ref(), local.as_ref(), both, (&self.settings, shop));
            }
            if let Some(local) = local {
                self.locals.insert(key, local);
            }
        }
        self.rules();
        self.members(&moves.after);
        if leaving {
            for parts in &mut self.parts {
                parts.leave();
            }
        }
        self.rules();
    }

    /// Writes the dispatch and the skeleton, and forgets what nobody uses.
    fn rules(&mut self) {
        for parts in &mut self.parts {
            let shop =
                &mut Shop::new(&self.cluster, &mut self.graph, &mut self.pending, &mut self.memberships);
            parts.write(&self.settings, shop);
        }
    }

    fn members(&mut self, members: &[Members]) {
        self.pending.members(members, &mut self.graph);
    }
}

/// What is needed to change the graph: where a set's members come from, where the graph lies, and
/// who takes note of changes.
struct Shop<'a> {
    cluster: &'a Cluster,
    graph: &'a mut Rulesets,
    pending: &'a mut Pending,
    memberships: &'a mut Memberships,
}

impl<'a> Shop<'a> {
    fn new(
        cluster: &'a Cluster,
        graph: &'a mut Rulesets,
        pending: &'a mut Pending,
        memberships: &'a mut Memberships,
    ) -> Self {
        Shop { cluster, graph, pending, memberships }
    }
}
