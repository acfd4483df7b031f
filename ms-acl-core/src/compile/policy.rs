//! The chain of one policy in one direction: its rules as lines. Depends on the policy and the resolved
//! ports only, never on who is a member of a set.

use std::collections::HashSet;
use std::sync::Arc;

use ipnet::IpNet;

use super::name::{Identity, fixed};
use super::networks;
use super::ports;
use super::sets::{Content, PortHolders, SetSpec};
use crate::model::{Action, Block, Peer, Peers, Policy, PolicyRule, PortMatch, PortSpec, Ports};
use crate::resolve::{NamedPorts, ResolvedPolicy};
use crate::ruleset::{
    Chain, ChainName, Direction, Family, GateKind, Match, NflogPrefix, Provenance, Rule, SetKey, SetName,
    SetRole, Target,
};

/// The netlink group of log entries.
const LOG_GROUP: u16 = 100;

/// Up to this many networks are compared in lines of their own; more become a set.
const FEW_NETWORKS: usize = 4;

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
            for port in ports {
                self.named(port, &mut lines);
            }
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
        for peer in peers {
            if let Peer::Pods(scope) = peer {
                let set = self.set(Content::Pods(scope.clone()));
                lines.push((None, Some(set)));
            }
        }
        lines
    }

    /// The lines of a named port in egress: it is another number on every destination pod, so the
    /// pods that have it are in a set with it.
    fn named(&mut self, port: &PortMatch, lines: &mut Vec<Vec<Match>>) {
        let PortSpec::Named(name) = &port.port else { return };
        let mut holders = Vec::new();
        match &self.rule.peers {
            Peers::Any => holders.push(PortHolders::Everybody),
            Peers::Of(peers) => {
                let nets = networks::union(peers.iter().filter_map(block), self.family);
                if !nets.is_empty() {
                    holders.push(PortHolders::Networks(nets));
                }
                let scopes = peers.iter().filter_map(|peer| match peer {
                    Peer::Pods(scope) => Some(PortHolders::Pods(scope.clone())),
                    Peer::Block(_) => None,
                });
                holders.extend(scopes);
            }
        }
        for holders in holders {
            let content = Content::NamedPort(holders, name.clone(), port.protocol);
            let set = self.name(content);
            lines.push(vec![Match::Protocol(port.protocol), Match::InSet(set, SetKey::DestinationPort)]);
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

fn block(peer: &Peer) -> Option<&Block> {
    match peer {
        Peer::Block(block) => Some(block),
        Peer::Pods(_) => None,
    }
}
