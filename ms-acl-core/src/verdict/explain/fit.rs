//! Whether a policy's rule fits a flow, and if not quite, what is missing.
//!
//! A rule has two matches as its author writes them: the other end, and the ports. This reads the
//! policy, not the graph; that both agree is a law that tests hold.

use std::net::IpAddr;

use super::{Failed, who, words};
use crate::cluster::Cluster;
use crate::model::{
    Block, NamespaceScope, Peer, Peers, PodFacts, PodScope, PolicyRule, PortMatch, PortSpec, Ports,
};
use crate::ruleset::{Direction, Family};
use crate::verdict::Flow;

/// A flow as one direction of a pod sees it.
pub(super) struct Subject<'a> {
    /// What is known of the cluster.
    pub(super) cluster: &'a Cluster,
    /// The pod.
    pub(super) pod: &'a PodFacts,
    /// The direction.
    pub(super) direction: Direction,
    /// The flow.
    pub(super) flow: Flow,
}

impl<'a> Subject<'a> {
    /// The address at the other end.
    pub(super) fn other(&self) -> IpAddr {
        match self.direction {
            Direction::Egress => self.flow.to,
            Direction::Ingress => self.flow.from,
        }
    }

    /// The pod at the destination, whose containers give names to ports.
    pub(super) fn destination(&self) -> Option<&'a PodFacts> {
        match self.direction {
            Direction::Egress => self.cluster.pod_at(self.flow.to),
            Direction::Ingress => Some(self.pod),
        }
    }
}

/// How well a rule fits a flow.
pub(super) enum Fit {
    /// All its matches hold.
    Matches,
    /// One match fails: which, and in words why.
    Nearly(Failed, String),
    /// More than one fails.
    No,
}

/// How well a rule fits a flow.
pub(super) fn fit(rule: &PolicyRule, subject: &Subject<'_>) -> Fit {
    match (peers_match(&rule.peers, subject), ports_match(&rule.ports, subject)) {
        (true, true) => Fit::Matches,
        (false, true) => {
            let failed = match subject.direction {
                Direction::Egress => Failed::Destination,
                Direction::Ingress => Failed::Source,
            };
            Fit::Nearly(failed, peers_detail(&rule.peers, subject))
        }
        (true, false) => {
            let (failed, detail) = ports_detail(&rule.ports, subject);
            Fit::Nearly(failed, detail)
        }
        (false, false) => Fit::No,
    }
}

fn peers_match(peers: &Peers, subject: &Subject<'_>) -> bool {
    match peers {
        Peers::Any => true,
        Peers::Of(peers) => peers.iter().any(|peer| match peer {
            Peer::Pods(scope) => {
                let pod = subject.cluster.pod_at(subject.other());
                pod.is_some_and(|pod| subject.cluster.in_scope(pod, scope))
            }
            Peer::Block(block) => {
                let other = subject.other();
                block.net.contains(&other) && hole(block, other).is_none()
            }
        }),
    }
}

/// The hole of a block in which an address lies.
fn hole(block: &Block, address: IpAddr) -> Option<&ipnet::IpNet> {
    block.except.iter().find(|hole| hole.contains(&address))
}

fn ports_match(ports: &Ports, subject: &Subject<'_>) -> bool {
    match ports {
        Ports::Any => true,
        Ports::Of(ports) => {
            ports.iter().any(|port| port.protocol == subject.flow.protocol && number_matches(port, subject))
        }
    }
}

/// Whether the number fits, whatever the protocol of the flow.
fn number_matches(port: &PortMatch, subject: &Subject<'_>) -> bool {
    let number = subject.flow.port;
    match &port.port {
        PortSpec::Any => true,
        PortSpec::Range(range) => range.contains(number),
        PortSpec::Named(name) => subject.destination().is_some_and(|pod| {
            let mut ports = pod.ports.iter();
            ports.any(|own| own.name == *name && own.protocol == port.protocol && own.port == number)
        }),
    }
}

/// Why the other end is none of a rule's peers.
fn peers_detail(peers: &Peers, subject: &Subject<'_>) -> String {
    let Peers::Of(list) = peers else { return String::new() };
    let end = match subject.direction {
        Direction::Egress => "destination",
        Direction::Ingress => "source",
    };
    let who = who(subject.cluster, subject.other());
    let mut detail = format!("{end} {who} is none of: {}", words::peers_in_words(peers));
    let hints: Vec<String> = list.iter().filter_map(|peer| peer_hint(peer, subject)).take(FEW).collect();
    if !hints.is_empty() {
        detail = format!("{detail}: {}", hints.join("; "));
    }
    detail
}

/// At most this many hints of why a peer doesn't match.
const FEW: usize = 3;

/// Why an end that looks like a peer isn't one.
fn peer_hint(peer: &Peer, subject: &Subject<'_>) -> Option<String> {
    let other = subject.other();
    match peer {
        Peer::Block(block) if block.net.contains(&other) => {
            hole(block, other).map(|hole| format!("it lies in the except {hole} of {}", block.net))
        }
        Peer::Block(block) => (Family::of(block.net.addr()) != Family::of(other))
            .then(|| format!("{} is of the other family", block.net)),
        Peer::Pods(scope) => match subject.cluster.pod_at(other) {
            Some(pod) => Some(pod_hint(pod, scope, subject.cluster)),
            None => Some(
                "no pod has this address; a selector matches only pods, never those on the host network"
                    .to_owned(),
            ),
        },
    }
}

/// Which half of a scope a pod fails.
fn pod_hint(pod: &PodFacts, scope: &PodScope, cluster: &Cluster) -> String {
    let in_namespace = match &scope.namespaces {
        NamespaceScope::Named(name) => **name == *pod.namespace,
        NamespaceScope::Selected(selector) => cluster.namespace_matches(&pod.namespace, selector),
    };
    if in_namespace {
        format!("its labels are {}", words::labels_in_words(&pod.labels))
    } else if scope.pods.matches(&pod.labels) {
        match &scope.namespaces {
            NamespaceScope::Named(name) => format!("it lives in namespace {}, not {name}", pod.namespace),
            NamespaceScope::Selected(selector) => {
                format!("its namespace {} doesn't match {selector}", pod.namespace)
            }
        }
    } else {
        format!(
            "it lives in namespace {} and its labels are {}",
            pod.namespace,
            words::labels_in_words(&pod.labels)
        )
    }
}

/// Why the flow's port is none of a rule's.
fn ports_detail(ports: &Ports, subject: &Subject<'_>) -> (Failed, String) {
    let Ports::Of(list) = ports else { return (Failed::Port, String::new()) };
    let flow = super::FlowPort::new(subject.flow.protocol, subject.flow.port);
    let same_protocol = list.iter().any(|port| port.protocol == subject.flow.protocol);
    let failed = if same_protocol { Failed::Port } else { Failed::Protocol };
    let noun = if subject.flow.protocol.has_ports() { "port " } else { "" };
    let mut detail = format!("{noun}{flow} is none of: {}", words::ports_in_words(ports));
    let names: Vec<String> = list.iter().filter_map(|port| name_hint(port, subject)).take(FEW).collect();
    if !names.is_empty() {
        detail = format!("{detail}: {}", names.join("; "));
    }
    (failed, detail)
}

/// What a named port is on the destination.
fn name_hint(port: &PortMatch, subject: &Subject<'_>) -> Option<String> {
    let PortSpec::Named(name) = &port.port else { return None };
    let Some(pod) = subject.destination() else {
        return Some(format!("port name {name} has a meaning on pods only, and the destination is none"));
    };
    let here = format!("pod {}/{}", pod.namespace, pod.name);
    let same: Vec<&crate::model::NamedPort> = pod.ports.iter().filter(|own| own.name == *name).collect();
    let numbers: Vec<String> = same
        .iter()
        .filter(|own| own.protocol == port.protocol)
        .map(|own| format!("{}/{}", own.port, own.protocol))
        .collect();
    Some(match (&numbers[..], &same[..]) {
        ([], []) => format!("no container of {here} has a port named {name}"),
        ([], [other, ..]) => {
            format!("port {name} of {here} is {}/{}, not {}", other.port, other.protocol, port.protocol)
        }
        (numbers, _) => format!("port {name} of {here} is {}", numbers.join(" and ")),
    })
}
