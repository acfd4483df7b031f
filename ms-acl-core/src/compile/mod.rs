//! What is resolved → the rule graphs.
//!
//! ```text
//! FORWARD, OUTPUT (and INPUT where traffic to the node is judged)
//!   MS-FORWARD …        established traffic leaves at once; then by source, then by destination
//!     MS-EGRESS         dispatch: the pod's address → the chain of its group
//!       MS-E-<group>    one jump for each gate
//!         MS-G-<gate>   its policies one after the other, then what happens otherwise
//!           MS-P-<policy>
//! ```
//! A policy chain ends in `goto` to a chain that sets a mark and comes back to the gate.

pub(crate) mod dispatch;
pub(crate) mod gate;
pub(crate) mod layout;
pub(crate) mod name;
mod networks;
pub(crate) mod policy;
mod ports;
mod role;
pub(crate) mod sets;
pub(crate) mod skeleton;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::cluster::Cluster;
use crate::model::Settings;
use crate::resolve::{Gate, LocalPod, resolve};
use crate::ruleset::{Chain, ChainName, Direction, Family, Ruleset, Rulesets};
use dispatch::Line;
pub(crate) use name::stand_in;
pub(crate) use role::Role;
use sets::SetSpec;
use skeleton::Needs;

/// The chain to which a policy goes when it lets a flow pass.
pub(crate) const PASS: &str = "MS-PASS";
/// The chain to which a policy goes when it accepts a flow.
pub(crate) const ALLOW: &str = "MS-ALLOW";
/// The chain to which a policy goes when it refuses a flow with an answer.
pub(crate) const REJECT: &str = "MS-REJECT";
/// The chain that accepts what some gate wants accepted and every gate lets pass.
pub(crate) const ACCEPT: &str = "MS-ACCEPT";
/// Dispatch by source.
pub(crate) const EGRESS: &str = "MS-EGRESS";
/// Dispatch by destination.
pub(crate) const INGRESS: &str = "MS-INGRESS";
/// The dispatch chain of each direction.
pub(crate) const ROOTS: [(Direction, &str); 2] = [(Direction::Egress, EGRESS), (Direction::Ingress, INGRESS)];
/// The operator's own chain.
pub const ADMIN: &str = "MS-ADMIN";

/// What a node shall enforce.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The rule graphs of both families.
    pub rulesets: Rulesets,
    /// The number of this node's pods that have an address of their own.
    pub local_pods: usize,
}

/// Compiles what a node shall enforce, from scratch. The same cluster and settings give the same
/// graphs to the byte, whatever the order in which the objects came.
pub fn compile(cluster: &Cluster, settings: &Settings) -> Compiled {
    let pods = resolve(cluster, settings);
    let family = |family| self::family(cluster, settings, &pods, family);
    let rulesets = Rulesets { v4: family(Family::V4), v6: family(Family::V6) };
    Compiled { rulesets, local_pods: pods.len() }
}

fn family(cluster: &Cluster, settings: &Settings, pods: &[LocalPod], family: Family) -> Ruleset {
    let mut graph = Ruleset::new(family);
    let mut needs = Needs::default();
    for (direction, root) in ROOTS {
        let mut governed: BTreeMap<IpAddr, Line> = BTreeMap::new();
        for pod in pods {
            let addresses: Vec<IpAddr> =
                pod.addresses.iter().copied().filter(|a| Family::of(*a) == family).collect();
            if addresses.is_empty() {
                continue;
            }
            if let Some(names) = gate::names(pod.gates(direction), direction) {
                group(&mut graph, cluster, settings, (&names, pod.gates(direction), direction));
                let line = |address: &IpAddr| Line::new(names.group.clone(), *address, &addresses);
                governed.extend(addresses.iter().map(|address| (*address, line(address))));
            }
        }
        match direction {
            Direction::Egress => needs.egress = !governed.is_empty(),
            Direction::Ingress => needs.ingress = !governed.is_empty(),
        }
        let dispatch = dispatch::chains(&name::fixed(root), (direction, family), &governed);
        graph.chains.extend(dispatch.into_iter().map(|(name, chain)| (name, Arc::new(chain))));
    }
    for chain in graph.chains.values() {
        let needed = skeleton::needs_of(chain);
        needs.pass |= needed.pass;
        needs.accept |= needed.accept;
        needs.reject |= needed.reject;
    }
    let skeleton = skeleton::build(family, settings, needs);
    graph.chains.extend(skeleton.chains.into_iter().map(|(name, chain)| (name, Arc::new(chain))));
    graph.hooks = skeleton.hooks;
    graph
}

/// Puts the chains and sets of a group into the graph, unless they are there.
fn group(
    graph: &mut Ruleset,
    cluster: &Cluster,
    settings: &Settings,
    (names, gates, direction): (&gate::GroupNames, &[Gate], Direction),
) {
    if graph.chains.contains_key(&names.group) {
        return;
    }
    let chain = gate::group_chain(names, gates, direction);
    graph.chains.insert(names.group.clone(), Arc::new(chain));
    for (names, gate) in names.gates.iter().zip(gates) {
        gate_with_policies(graph, cluster, settings, (names, gate, direction));
    }
}

/// Puts the chains and sets of a gate into the graph, unless they are there.
pub(crate) fn gate_with_policies(
    graph: &mut Ruleset,
    cluster: &Cluster,
    settings: &Settings,
    (names, gate, direction): (&gate::GateNames, &Gate, Direction),
) {
    if graph.chains.contains_key(&names.gate) {
        return;
    }
    let (chain, sets) = gate::gate_chain(names, gate, settings, (direction, graph.family));
    insert(graph, cluster, &names.gate, (chain, sets));
    for (tier, names) in gate.tiers.iter().zip(&names.policies) {
        for (resolved, name) in tier.policies.iter().zip(names) {
            if !graph.chains.contains_key(name) {
                let built = policy::chain(resolved, direction, graph.family);
                insert(graph, cluster, name, built);
            }
        }
    }
}

fn insert(graph: &mut Ruleset, cluster: &Cluster, name: &ChainName, (chain, sets): (Chain, Vec<SetSpec>)) {
    graph.chains.insert(name.clone(), Arc::new(chain));
    for spec in sets {
        graph.sets.entry(spec.name.clone()).or_insert_with(|| Arc::new(spec.fill(cluster)));
    }
}
