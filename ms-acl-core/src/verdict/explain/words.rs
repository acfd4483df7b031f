//! Policies and decisions in people's words.

use std::fmt::Write;
use std::net::IpAddr;

use super::fit::Subject;
use super::{GateDecision, Reason, who};
use crate::model::{Labels, Peer, Peers, PortMatch, PortSpec, Ports};
use crate::resolve::Tier;
use crate::ruleset::{Direction, GateKind};
use crate::verdict::Verdict;

/// At most this many peers or ports are named.
const FEW: usize = 6;

/// Peers in words: `pods app=web in namespace default, or 10.0.0.0/8 except 10.1.0.0/16`.
pub(crate) fn peers_in_words(peers: &Peers) -> String {
    let peers = match peers {
        Peers::Any => return "anybody".to_owned(),
        Peers::Of(peers) if peers.is_empty() => return "nobody".to_owned(),
        Peers::Of(peers) => peers,
    };
    let list: Vec<String> = peers.iter().take(FEW).map(peer_in_words).collect();
    format!("{}{}", list.join(", or "), more(peers.len()))
}

/// One peer in words.
pub(crate) fn peer_in_words(peer: &Peer) -> String {
    match peer {
        Peer::Pods(scope) => scope.to_string(),
        Peer::Block(block) if block.except.is_empty() => block.net.to_string(),
        Peer::Block(block) => {
            let holes: Vec<String> = block.except.iter().take(FEW).map(ToString::to_string).collect();
            format!("{} except {}{}", block.net, holes.join(" "), more(block.except.len()))
        }
    }
}

/// Ports in words: `80/tcp, 8000-8100/tcp, http/tcp, all of udp`.
pub(crate) fn ports_in_words(ports: &Ports) -> String {
    let ports = match ports {
        Ports::Any => return "any port".to_owned(),
        Ports::Of(ports) if ports.is_empty() => return "no port".to_owned(),
        Ports::Of(ports) => ports,
    };
    let list: Vec<String> = ports.iter().take(FEW).map(port_in_words).collect();
    format!("{}{}", list.join(", "), more(ports.len()))
}

fn port_in_words(port: &PortMatch) -> String {
    match &port.port {
        PortSpec::Any if port.protocol.has_ports() => format!("all of {}", port.protocol),
        PortSpec::Any => port.protocol.to_string(),
        PortSpec::Range(range) => format!("{range}/{}", port.protocol),
        PortSpec::Named(name) => format!("{name}/{}", port.protocol),
    }
}

fn more(count: usize) -> String {
    if count > FEW { format!(" and {} more", count - FEW) } else { String::new() }
}

/// Labels in words: `app=web,tier=front`.
pub(super) fn labels_in_words(labels: &Labels) -> String {
    let mut text = String::new();
    for (index, (key, value)) in labels.iter().enumerate() {
        let _ = write!(text, "{}{key}={value}", if index == 0 { "" } else { "," });
    }
    if text.is_empty() { "none".to_owned() } else { text }
}

/// The place of a rule in its object: `spec.ingress[0]`, or `rules[0]` of an ACL entry.
pub(super) fn place(gate: GateKind, direction: Direction, rule: usize) -> String {
    match gate {
        GateKind::Kubernetes => format!("spec.{direction}[{rule}]"),
        GateKind::EgressFirewall => format!("spec.egress[{rule}]"),
        GateKind::Acl => format!("rules[{rule}]"),
    }
}

/// A rule's own name behind its place.
pub(super) fn label(label: Option<&str>) -> String {
    label.map(|label| format!(" ({label})")).unwrap_or_default()
}

/// What a gate decided, as a sentence without a full stop.
pub(super) fn gate(decision: &GateDecision, tier: Option<&Tier>, subject: &Subject<'_>) -> String {
    let object = decision.object.as_deref().unwrap_or("the policy");
    let does = match decision.verdict {
        Verdict::Allow => "lets it pass",
        Verdict::Drop => "drops it",
        Verdict::Reject => "rejects it",
    };
    match decision.reason {
        Reason::Rule => match (decision.rule, &decision.kernel.chain) {
            (Some(rule), _) => {
                let place = place(decision.gate, subject.direction, rule);
                let label = label(decision.label.as_deref());
                let says = says(decision, tier, subject.direction).map(|says| format!(": {says}"));
                format!("{object} {place}{label} {does}{}", says.unwrap_or_default())
            }
            (None, Some(chain)) if decision.object.is_some() => {
                format!("a rule of {object}, of which only the chain {chain} is known, {does}")
            }
            (None, Some(chain)) => format!("a rule of chain {chain} {does}"),
            (None, None) => format!("a rule {does}"),
        },
        Reason::OutsidePodIpRange => format!(
            "{} lies outside of the pod IP range, which is all that Kubernetes policy judges",
            who(subject.cluster, subject.other())
        ),
        _ => {
            let otherwise = match decision.gate {
                GateKind::Kubernetes if decision.policies.len() > 1 => "their isolation of the pod",
                GateKind::Kubernetes => "its isolation of the pod",
                GateKind::Acl | GateKind::EgressFirewall => "the default action",
            };
            format!("no rule of {object} matches, so {otherwise} {does}")
        }
    }
}

/// What the deciding rule says: `from pods app=web in namespace a, 80/tcp`.
fn says(decision: &GateDecision, tier: Option<&Tier>, direction: Direction) -> Option<String> {
    let object = decision.object.as_deref()?;
    let policy = tier?.policies.iter().map(|p| &p.policy).find(|p| p.object.to_string() == object)?;
    let rule = policy.section(direction)?.rules.iter().find(|rule| Some(rule.index) == decision.rule)?;
    let side = match direction {
        Direction::Egress => "to",
        Direction::Ingress => "from",
    };
    Some(format!("{side} {}, {}", peers_in_words(&rule.peers), ports_in_words(&rule.ports)))
}

/// Why no gate judged a flow, as a sentence without a full stop.
pub(super) fn without_gate(
    reason: Reason,
    pod: &str,
    direction: Direction,
    node: &str,
    other: IpAddr,
) -> String {
    match reason {
        Reason::NoPolicy => format!("no policy selects pod {pod} in {direction}"),
        Reason::Itself => format!("pod {pod} always reaches itself"),
        Reason::OwnNode => format!(
            "{other} is node {node}'s own, and traffic between a pod and its own node isn't judged (--node-traffic allow)"
        ),
        Reason::LinkLocal => format!(
            "link-local addresses are no way around: node {node} drops what it would forward from or to fe80::/10 \
             while one of its pods is governed in IPv6"
        ),
        Reason::NotProgrammed => format!(
            "policies select pod {pod} in {direction}, but node {node} has no rules in place for it: nothing judges the flow there"
        ),
        _ => format!("a rule on node {node} that belongs to no policy decides"),
    }
}
