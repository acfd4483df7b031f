//! A flow between two addresses of a cluster, judged on every node that sees it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::{Hit, Outcome, Packet, Walk, walk};
use crate::cluster::Cluster;
use crate::compile::{Compiled, compile};
use crate::lower::cidr;
use crate::model::{Protocol, Settings};
use crate::ruleset::{ChainName, Direction, Family, Hook, Provenance, Rule, Target};

/// A flow, by its first packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Who opens it.
    pub from: IpAddr,
    /// To whom, after translation.
    pub to: IpAddr,
    /// The protocol.
    pub protocol: Protocol,
    /// The destination port, where the protocol has ports.
    pub port: u16,
}

/// What becomes of a flow. As JSON: `allow`, `drop`, `reject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It passes.
    Allow,
    /// It is dropped in silence.
    Drop,
    /// It is refused with an answer.
    Reject,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Verdict::Allow => "allow",
            Verdict::Drop => "drop",
            Verdict::Reject => "reject",
        })
    }
}

/// What becomes of a flow, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What becomes of it.
    pub verdict: Verdict,
    /// Whether it is accepted: rules of other programs after ours don't see it.
    pub accepted: bool,
    /// The source's own direction; `None` where the source is no pod of a node, or wasn't asked.
    pub egress: Option<DirectionAnswer>,
    /// The destination's own direction; `None` likewise, or where the source's side refuses.
    pub ingress: Option<DirectionAnswer>,
}

/// What one direction says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectionAnswer {
    /// What it says.
    pub verdict: Verdict,
    /// What each of its gates decided, in order; empty = nothing selects the pod, or the flow is
    /// outside of what its policies judge.
    pub decisions: Vec<Decision>,
}

/// What one gate decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The object and rule that decided.
    pub provenance: Provenance,
    /// The chain in which the deciding rule stands.
    pub chain: ChainName,
    /// The index of the deciding rule in the chain.
    pub index: usize,
    /// The deciding rule.
    pub rule: Rule,
}

/// The compiled rules of the nodes of a cluster, each when it is first asked for.
#[derive(Debug)]
pub struct Nodes<'a> {
    cluster: &'a Cluster,
    settings: &'a Settings,
    compiled: BTreeMap<String, Compiled>,
}

impl<'a> Nodes<'a> {
    /// The nodes of a cluster; the node that the settings name doesn't matter.
    pub fn new(cluster: &'a Cluster, settings: &'a Settings) -> Self {
        Nodes { cluster, settings, compiled: BTreeMap::new() }
    }

    /// Takes these rules for those of a node, for instance what its kernel was seen to hold.
    pub fn insert(&mut self, name: impl Into<String>, compiled: Compiled) {
        self.compiled.insert(name.into(), compiled);
    }

    /// The cluster.
    pub fn cluster(&self) -> &'a Cluster {
        self.cluster
    }

    /// The settings of every node, but for its name.
    pub fn settings(&self) -> &'a Settings {
        self.settings
    }

    /// The rules of one node.
    pub fn node(&mut self, name: &str) -> &Compiled {
        let (cluster, settings) = (self.cluster, self.settings);
        self.compiled
            .entry(name.to_owned())
            .or_insert_with(|| compile(cluster, &Settings { node: name.to_owned(), ..settings.clone() }))
    }

    /// Judges a flow on the node of its source and, if that lets it pass, on the node of its
    /// destination. `local_addresses` tells which addresses a node has itself; those of the Node
    /// object count in any case.
    pub fn judge(&mut self, flow: Flow, local_addresses: &dyn Fn(&str) -> Vec<IpAddr>) -> Answer {
        let node_of =
            |address| self.cluster.pod_at(address).map(|pod| pod.node.clone()).filter(|n| !n.is_empty());
        let (from, to) = (node_of(flow.from), node_of(flow.to));
        let cluster = self.cluster;
        let is_local = |node: &str, address: IpAddr| {
            node_addresses(cluster, node).any(|a| a == address) || local_addresses(node).contains(&address)
        };
        let mut packet = Packet::first(flow.from, flow.to, flow.protocol, flow.port);
        let mut answer = Answer { verdict: Verdict::Allow, accepted: false, egress: None, ingress: None };
        let same = from == to;
        if let Some(node) = &from {
            let hook = if is_local(node, flow.to) { Hook::Input } else { Hook::Forward };
            packet.destination_is_local = hook == Hook::Input;
            let walk = walk_on(self.node(node), hook, &packet);
            let egress = direction(&walk, Direction::Egress);
            if same && egress.verdict == Verdict::Allow {
                answer.ingress = Some(direction(&walk, Direction::Ingress));
            }
            answer.egress = Some(egress);
            answer.take(&walk);
            packet.destination_is_local = false;
        }
        if let Some(node) = to.filter(|_| !same && answer.verdict == Verdict::Allow) {
            let hook = if is_local(&node, flow.from) { Hook::Output } else { Hook::Forward };
            packet.source_is_local = hook == Hook::Output;
            let walk = walk_on(self.node(&node), hook, &packet);
            answer.ingress = Some(direction(&walk, Direction::Ingress));
            answer.take(&walk);
        }
        answer
    }
}

impl Answer {
    fn take(&mut self, walk: &Walk<'_>) {
        self.verdict = verdict(walk.outcome);
        self.accepted = (self.accepted || walk.outcome == Outcome::Accept) && self.verdict == Verdict::Allow;
    }
}

fn walk_on<'r>(compiled: &'r Compiled, hook: Hook, packet: &Packet) -> Walk<'r> {
    walk(compiled.rulesets.family(Family::of(packet.source)), hook, packet)
}

pub(super) fn verdict(outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Pass | Outcome::Accept => Verdict::Allow,
        Outcome::Drop => Verdict::Drop,
        Outcome::Reject(_) => Verdict::Reject,
    }
}

/// What a walk says about one direction. A walk that is refused ends there, so the refusal belongs
/// to the direction of the last decision.
fn direction(walk: &Walk<'_>, direction: Direction) -> DirectionAnswer {
    let decisions: Vec<Decision> =
        walk.hits.iter().filter_map(decision).filter(|d| d.provenance.direction == direction).collect();
    let last = walk.hits.iter().filter_map(|hit| hit.rule.provenance.as_ref()).next_back();
    let refused_here = last.is_some_and(|provenance| provenance.direction == direction);
    let verdict = if refused_here { verdict(walk.outcome) } else { Verdict::Allow };
    DirectionAnswer { verdict, decisions }
}

fn decision(hit: &Hit<'_>) -> Option<Decision> {
    let provenance = hit.rule.provenance.as_ref()?;
    let decides = !matches!(hit.rule.target, Target::Nflog { .. });
    decides.then(|| Decision {
        provenance: (**provenance).clone(),
        chain: hit.chain.clone(),
        index: hit.index,
        rule: hit.rule.clone(),
    })
}

/// The addresses that a Node object lists.
pub(crate) fn node_addresses<'a>(cluster: &'a Cluster, node: &str) -> impl Iterator<Item = IpAddr> + 'a {
    let addresses = cluster.node(node).into_iter().flat_map(|node| &node.status.addresses);
    addresses.filter(|a| a.kind.ends_with("IP")).filter_map(|a| cidr::address(&a.address))
}
