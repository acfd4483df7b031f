//! The chain of one policy in one direction: its rules as lines. Depends on the policy and the resolved
//! ports only, never on who is a member of a set.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use ipnet::IpNet;

use super::name::{Identity, fixed};
use super::networks;
use super::ports;
use super::sets::{Content, PortHolders, PortNames, Scopes, SetSpec};
use crate::model::{
    Action, Block, Peer, Peers, PodScope, Policy, PolicyRule, PortMatch, PortSpec, Ports, Protocol,
};
use crate::resolve::{NamedPorts, ResolvedPolicy};
use crate::ruleset::{
    Chain, ChainName, Direction, Family, GateKind, Match, NflogPrefix, Provenance, Rule, SetKey, SetName,
    SetRole, Target,
};

/// The netlink group of log entries.
const LOG_GROUP: u16 = 100;

/// Up to this many networks are compared in lines of their own; more become a set.
const FEW_NETWORKS: usize = 4;

/// Up to this many selectors of pods, or names of ports, have a set of their own each, which other rules
/// share; more of one rule are one set, so that the lines of a rule never are the product of two long
/// lists.
const FEW_SELECTORS: usize = 8;

/// The name of a policy's chain.
pub(super) fn name(
    resolved: &ResolvedPolicy,
    direction: Direction,
    gate: GateKind,
    tier: usize,
) -> ChainName {
    let mut identity = Identity::new("policy");
    identity.object(&resolved.policy.object);
    identity.direction(direction);
    identity.gate(gate);
    identity.number(tier);
    identity.named_ports(&resolved.ports);
    identity.chain_name('P')
}

/// A policy's chain, and the sets that it names.
pub(crate) fn chain(
    resolved: &ResolvedPolicy,
    direction: Direction,
    family: Family,
) -> (Chain, Vec<SetSpec>) {
    let policy = &resolved.policy;
    let mut rules = Vec::new();
    let mut sets = Vec::new();
    for rule in policy.section(direction).into_iter().flat_map(|section| &section.rules) {
        let provenance = Arc::new(provenance(policy, direction, rule));
        let mut written = HashSet::new();
        let mut lines = Lines { family, ports: &resolved.ports, direction, rule, sets: &mut sets };
        for matches in lines.all() {
            if !written.insert(matches.clone()) {
                continue;
            }
            if let Some(prefix) = &rule.log {
                let target = Target::Nflog { group: LOG_GROUP, prefix: NflogPrefix::new(prefix) };
                let provenance = Some(Arc::clone(&provenance));
                rules.push(Rule { matches: matches.clone(), target, comment: None, provenance });
            }
            let provenance = Some(Arc::clone(&provenance));
            rules.push(Rule { matches, target: target(rule.action), comment: None, provenance });
        }
    }
    let title = format!("{direction} of {}", policy.object);
    (Chain { rules, title, ..Chain::default() }, sets)
}

/// What a rule does in a policy's chain, or a gate does otherwise.
pub(super) fn target(action: Action) -> Target {
    match action {
        Action::Allow => Target::Goto(fixed(super::PASS)),
        Action::Accept => Target::Goto(fixed(super::ALLOW)),
        Action::Deny => Target::Drop,
        Action::Reject => Target::Goto(fixed(super::REJECT)),
    }
}

fn provenance(policy: &Policy, direction: Direction, rule: &PolicyRule) -> Provenance {
    let gate = policy.section(direction).map(|section| section.gate);
    Provenance {
        object: Some(policy.object.clone()),
        direction,
        gate: gate.unwrap_or(GateKind::Kubernetes),
        rule: Some(rule.index),
        label: rule.label.clone(),
    }
}

/// What is needed to write one rule as lines.
struct Lines<'a> {
    family: Family,
    ports: &'a NamedPorts,
    direction: Direction,
    rule: &'a PolicyRule,
    sets: &'a mut Vec<SetSpec>,
}

impl Lines<'_> {
    /// The lines: every kind of peer with every kind of port.
    fn all(&mut self) -> Vec<Vec<Match>> {
        let ports = match &self.rule.ports {
            Ports::Any => vec![Vec::new()],
            Ports::Of(ports) => ports::lines(ports, self.ports),
        };
        let mut lines = Vec::new();
        if !ports.is_empty() {
            let peers = self.peers();
            for (address, set) in &peers {
                for port in &ports {
                    lines.push(address.iter().chain(port).chain(set).cloned().collect());
                }
            }
        }
        if self.direction == Direction::Egress
            && let Ports::Of(ports) = &self.rule.ports
        {
            self.named(ports, &mut lines);
        }
        lines
    }

    /// The kinds of peers, each as an address match or a set match: addresses stand before ports in a
    /// line, sets after them, because they cost more.
    fn peers(&mut self) -> Vec<(Option<Match>, Option<Match>)> {
        let Peers::Of(peers) = &self.rule.peers else { return vec![(None, None)] };
        let mut lines = Vec::new();
        let nets = networks::union(peers.iter().filter_map(block), self.family);
        if nets.iter().any(|net| net.prefix_len() == 0) {
            return vec![(None, None)];
        }
        if nets.len() > FEW_NETWORKS {
            let set = self.set(Content::Networks(nets));
            lines.push((None, Some(set)));
        } else {
            lines.extend(nets.into_iter().map(|net| (Some(self.address(net)), None)));
        }
        for scopes in selected(peers) {
            let set = self.set(Content::Pods(scopes));
            lines.push((None, Some(set)));
        }
        lines
    }

    /// The lines of named ports in egress: they are other numbers on every destination pod, so the pods
    /// that have them are in sets with them.
    fn named(&mut self, ports: &[PortMatch], lines: &mut Vec<Vec<Match>>) {
        let named = named(ports);
        if named.is_empty() {
            return;
        }
        let mut holders = Vec::new();
        match &self.rule.peers {
            Peers::Any => holders.push(PortHolders::Everybody),
            Peers::Of(peers) => {
                let nets = networks::union(peers.iter().filter_map(block), self.family);
                if !nets.is_empty() {
                    holders.push(PortHolders::Networks(nets.into()));
                }
                holders.extend(selected(peers).into_iter().map(PortHolders::Pods));
            }
        }
        for (names, protocol) in named {
            for holders in &holders {
                let set = self.name(Content::NamedPorts(holders.clone(), names.clone(), protocol));
                lines.push(vec![Match::Protocol(protocol), Match::InSet(set, SetKey::DestinationPort)]);
            }
        }
    }

    fn name(&mut self, content: Content) -> SetName {
        let spec = SetSpec::new(self.role(), self.family, content);
        let name = spec.name.clone();
        self.sets.push(spec);
        name
    }

    fn set(&mut self, content: Content) -> Match {
        let set = self.name(content);
        let key = match self.direction {
            Direction::Egress => SetKey::Destination,
            Direction::Ingress => SetKey::Source,
        };
        Match::InSet(set, key)
    }

    fn address(&self, net: IpNet) -> Match {
        match self.direction {
            Direction::Egress => Match::Destination(net),
            Direction::Ingress => Match::Source(net),
        }
    }

    fn role(&self) -> SetRole {
        if self.rule.action.passes() { SetRole::Permit } else { SetRole::Refuse }
    }
}

/// The pods among peers: one item for each set that holds them.
fn selected(peers: &[Peer]) -> Vec<Scopes> {
    let scopes = peers.iter().filter_map(|peer| match peer {
        Peer::Pods(scope) => Some(scope),
        Peer::Block(_) => None,
    });
    let distinct: BTreeSet<&PodScope> = scopes.clone().collect();
    if distinct.len() > FEW_SELECTORS {
        vec![Scopes::any(distinct)]
    } else {
        scopes.map(Scopes::one).collect()
    }
}

/// The named ones among ports: one item for each set that holds them.
fn named(ports: &[PortMatch]) -> Vec<(PortNames, Protocol)> {
    let mut by_protocol: BTreeMap<Protocol, BTreeSet<&str>> = BTreeMap::new();
    for port in ports {
        if let PortSpec::Named(name) = &port.port {
            by_protocol.entry(port.protocol).or_default().insert(name);
        }
    }
    let mut named = Vec::new();
    for (protocol, names) in by_protocol {
        if names.len() > FEW_SELECTORS {
            named.push((PortNames::any(names), protocol));
        } else {
            named.extend(names.into_iter().map(|name| (PortNames::any([name]), protocol)));
        }
    }
    named
}

fn block(peer: &Peer) -> Option<&Block> {
    match peer {
        Peer::Block(block) => Some(block),
        Peer::Pods(_) => None,
    }
}
