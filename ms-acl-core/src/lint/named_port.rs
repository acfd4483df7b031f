//! Named ports that stand for nothing.

use super::{Check, Finding, RuleOf, Scene, list_in_words, pods_in_words};
use crate::model::{Peer, Peers, PodFacts, PortSpec, Ports, Protocol, Severity};
use crate::ruleset::Direction;

pub(super) fn check(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in scene.rules() {
        let Ports::Of(ports) = &rule.rule.ports else { continue };
        for (index, port) in ports.iter().enumerate() {
            let PortSpec::Named(name) = &port.port else { continue };
            let path = format!("{}/ports/{index}/port", rule.path());
            match rule.direction {
                Direction::Ingress => {
                    findings.extend(unresolved(&rule, &path, (name, port.protocol), rule.pods));
                }
                Direction::Egress => {
                    let pods = destinations(scene, &rule.rule.peers);
                    findings.extend(unresolved(&rule, &path, (name, port.protocol), &pods));
                    findings.extend(beside_block(&rule, &path, name));
                }
            }
        }
    }
    findings
}

/// The pods that an egress rule leads to.
fn destinations<'a>(scene: &Scene<'a>, peers: &Peers) -> Vec<&'a PodFacts> {
    let is_peer = |pod: &PodFacts| match peers {
        Peers::Any => true,
        Peers::Of(peers) => peers.iter().any(|peer| match peer {
            Peer::Pods(scope) => scene.cluster.in_scope(pod, scope),
            Peer::Block(block) => pod.addresses.iter().any(|address| {
                block.net.contains(address) && !block.except.iter().any(|hole| hole.contains(address))
            }),
        }),
    };
    scene.live().filter(|pod| is_peer(pod)).collect()
}

/// A name that none of the pods has, or only some have. No pods: another check's matter.
fn unresolved(
    rule: &RuleOf<'_>,
    path: &str,
    (name, protocol): (&str, Protocol),
    pods: &[&PodFacts],
) -> Option<Finding> {
    let has = |pod: &PodFacts| pod.ports.iter().any(|port| port.name == *name && port.protocol == protocol);
    let without: Vec<&PodFacts> = pods.iter().copied().filter(|pod| !has(pod)).collect();
    if without.is_empty() {
        return None;
    }
    let of = match rule.direction {
        Direction::Egress => "destination",
        Direction::Ingress => "selected",
    };
    let all = without.len() == pods.len();
    // A rule to many pods names a port of some of them: in egress only a name that nobody has is a trap.
    if !all && rule.direction == Direction::Egress {
        return None;
    }
    let (severity, detail) = if all {
        let others = other_protocols(pods, name);
        let hint = if others.is_empty() {
            let known = known_names(pods, protocol);
            if known.is_empty() { String::new() } else { format!("; they have {}", list_in_words(known)) }
        } else {
            format!("; it is there as {}", others.join(" and "))
        };
        (
            Severity::Warning,
            format!(
                "no container of the {of} pods has a {protocol} port named {name:?}, so it opens nothing{hint}"
            ),
        )
    } else {
        (
            Severity::Note,
            format!(
                "opens nothing on {}: no container there has a {protocol} port named {name:?}",
                pods_in_words(&without)
            ),
        )
    };
    let remedy = "name a port of the pods' containers in its protocol, or write the number";
    Some(rule.finding(Check::UnresolvedNamedPort, severity, path.to_owned(), (detail, remedy)))
}

/// The protocols in which pods have a port of a name.
fn other_protocols(pods: &[&PodFacts], name: &str) -> Vec<String> {
    let ports = pods.iter().flat_map(|pod| pod.ports.iter()).filter(|port| port.name == *name);
    let mut protocols: Vec<String> = ports.map(|port| port.protocol.to_string()).collect();
    protocols.sort();
    protocols.dedup();
    protocols
}

/// The names that pods' ports of a protocol have.
fn known_names(pods: &[&PodFacts], protocol: Protocol) -> Vec<String> {
    let ports = pods.iter().flat_map(|pod| pod.ports.iter()).filter(|port| port.protocol == protocol);
    let mut names: Vec<String> = ports.map(|port| port.name.clone()).collect();
    names.sort();
    names.dedup();
    names
}

fn beside_block(rule: &RuleOf<'_>, path: &str, name: &str) -> Option<Finding> {
    let Peers::Of(peers) = &rule.rule.peers else { return None };
    if !peers.iter().any(|peer| matches!(peer, Peer::Block(_))) {
        return None;
    }
    let detail =
        format!("the name {name:?} means a port of pods: of the block beside it only pods' addresses match");
    let remedy = "write the number for addresses outside of the cluster";
    Some(rule.finding(Check::NamedPortWithBlock, Severity::Note, path.to_owned(), (detail, remedy)))
}
