//! The world → what each direction of each local pod is.
//!
//! Which gates a direction has, which policies stand in their tiers, and which numbers the named
//! ports of those policies have on this very pod.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::cluster::Cluster;
use crate::model::{
    Action, NamedPort, PodFacts, Policy, PortRange, PortSpec, Ports, Protocol, RefuseWith, Settings, Subject,
};
use crate::ruleset::{Direction, GateKind};

/// The numbers that named ports have on one pod. Only the names that a policy asks for are in it; a
/// name that the pod doesn't have stands for no port.
pub type NamedPorts = BTreeMap<(String, Protocol), Vec<PortRange>>;

/// A pod of this node and what judges its traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPod {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The addresses that it has.
    pub addresses: Vec<IpAddr>,
    /// The gates of traffic from it, in order; none = ungoverned.
    pub egress: Vec<Gate>,
    /// The gates of traffic to it, in order; none = ungoverned.
    pub ingress: Vec<Gate>,
}

impl LocalPod {
    /// The gates of one direction.
    pub fn gates(&self, direction: Direction) -> &[Gate] {
        match direction {
            Direction::Egress => &self.egress,
            Direction::Ingress => &self.ingress,
        }
    }
}

/// A gate of one direction of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// Which gate.
    pub kind: GateKind,
    /// Its tiers, in order; at least one.
    pub tiers: Vec<Tier>,
}

/// A tier: policies, and what happens if none of their rules matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    /// The policies, in order.
    pub policies: Vec<ResolvedPolicy>,
    /// What happens otherwise.
    pub otherwise: Action,
}

/// A policy as it is for one direction of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedPolicy {
    /// The policy.
    pub policy: Arc<Policy>,
    /// Its named ports, resolved on the pod (ingress only).
    pub ports: NamedPorts,
}

/// Resolves all pods of the node that have an address of their own, ordered by namespace and name.
pub fn resolve(cluster: &Cluster, settings: &Settings) -> Vec<LocalPod> {
    cluster.pods().filter_map(|pod| local_pod(cluster, settings, pod)).collect()
}

/// Resolves a pod; `None` where it isn't one of the node's, or has no address of its own.
pub fn local_pod(cluster: &Cluster, settings: &Settings, pod: &PodFacts) -> Option<LocalPod> {
    if *pod.node != *settings.node || pod.node.is_empty() {
        return None;
    }
    let addresses: Vec<IpAddr> = cluster.addresses_of(pod).collect();
    if addresses.is_empty() {
        return None;
    }
    let deployment = cluster.deployment_of(pod);
    let acl = deployment.and_then(|name| cluster.acl().policy_of(&pod.namespace, name));
    let in_namespace = cluster.policies_in(&pod.namespace).filter(|policy| selects(cluster, policy, pod));
    let policies: Vec<&Arc<Policy>> = acl.into_iter().chain(in_namespace).collect();
    let gates = |direction| gates(&policies, pod, direction, settings);
    Some(LocalPod {
        namespace: Arc::clone(&pod.namespace),
        name: Arc::clone(&pod.name),
        addresses,
        egress: gates(Direction::Egress),
        ingress: gates(Direction::Ingress),
    })
}

fn selects(cluster: &Cluster, policy: &Policy, pod: &PodFacts) -> bool {
    match &policy.subject {
        Subject::Pods(scope) => cluster.in_scope(pod, scope),
        Subject::Deployment { .. } => false,
    }
}

/// The gate that a policy without named ports makes alone; `None` = it isn't for this direction.
pub(crate) fn gate_of(policy: &Arc<Policy>, direction: Direction) -> Option<Gate> {
    let section = policy.section(direction)?;
    let policies = vec![ResolvedPolicy { policy: Arc::clone(policy), ports: NamedPorts::new() }];
    Some(Gate { kind: section.gate, tiers: vec![Tier { policies, otherwise: section.otherwise }] })
}

/// The gates of one direction of a pod, from all policies that are for it.
fn gates(policies: &[&Arc<Policy>], pod: &PodFacts, direction: Direction, settings: &Settings) -> Vec<Gate> {
    let mut tiers: BTreeMap<GateKind, Tier> = BTreeMap::new();
    for policy in policies {
        let Some(section) = policy.section(direction) else { continue };
        let otherwise = match (section.gate, section.otherwise, settings.refuse_with) {
            (GateKind::Kubernetes, Action::Reject, RefuseWith::Drop) => Action::Deny,
            (_, otherwise, _) => otherwise,
        };
        let ports = match direction {
            Direction::Ingress => named_ports(policy, pod),
            Direction::Egress => NamedPorts::new(),
        };
        let tier = tiers.entry(section.gate).or_insert_with(|| Tier { policies: Vec::new(), otherwise });
        tier.policies.push(ResolvedPolicy { policy: Arc::clone(policy), ports });
    }
    tiers.into_iter().map(|(kind, tier)| Gate { kind, tiers: vec![tier] }).collect()
}

/// The numbers that the named ports of a policy's ingress rules have on a pod.
fn named_ports(policy: &Policy, pod: &PodFacts) -> NamedPorts {
    let rules = policy.ingress.iter().flat_map(|section| &section.rules);
    let ports = rules.filter_map(|rule| match &rule.ports {
        Ports::Of(ports) => Some(ports),
        Ports::Any => None,
    });
    let names: BTreeSet<(&str, Protocol)> = ports
        .flatten()
        .filter_map(|port| match &port.port {
            PortSpec::Named(name) => Some((name.as_str(), port.protocol)),
            PortSpec::Any | PortSpec::Range(_) => None,
        })
        .collect();
    let numbers = |name: &str, protocol| {
        let start = pod.ports.partition_point(|port| (port.name.as_str(), port.protocol) < (name, protocol));
        let same = |port: &&NamedPort| port.name == name && port.protocol == protocol;
        PortRange::union(pod.ports[start..].iter().take_while(same).map(|port| PortRange::single(port.port)))
    };
    names.into_iter().map(|(name, protocol)| ((name.to_owned(), protocol), numbers(name, protocol))).collect()
}
