//! One direction of a flow, read off the walk through its part of the graph.

use std::net::IpAddr;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::fit::{self, Fit, Subject};
use super::{GateDecision, KernelRule, Nearest, Reason, RuleName, Side, words};
use crate::compile::Role;
use crate::compile::layout::{self, GateLayout};
use crate::compile::{EGRESS, INGRESS};
use crate::model::{Action, Settings};
use crate::render::iptables_rule;
use crate::resolve::{Gate, Tier, local_pod};
use crate::ruleset::{ChainName, Direction, Family, GateKind, Hook, Match, Ruleset, Target};
use crate::verdict::flow::{Nodes, node_addresses, verdict};
use crate::verdict::{Flow, Hit, Outcome, Packet, Verdict, Walk, run, walk_chain};

/// What a direction says of a flow; `None` where its end is no pod of a node.
pub(super) fn side(
    nodes: &mut Nodes<'_>,
    flow: Flow,
    direction: Direction,
    local_addresses: &dyn Fn(&str) -> Vec<IpAddr>,
) -> Option<Side> {
    let (cluster, settings) = (nodes.cluster(), nodes.settings());
    let (own, other) = match direction {
        Direction::Egress => (flow.from, flow.to),
        Direction::Ingress => (flow.to, flow.from),
    };
    let pod = cluster.pod_at(own).filter(|pod| !pod.node.is_empty())?;
    let mut packet = Packet::first(flow.from, flow.to, flow.protocol, flow.port);
    let own_node =
        node_addresses(cluster, &pod.node).any(|a| a == other) || local_addresses(&pod.node).contains(&other);
    let hook = match (own_node, direction) {
        (false, _) => Hook::Forward,
        (true, Direction::Egress) => Hook::Input,
        (true, Direction::Ingress) => Hook::Output,
    };
    packet.source_is_local = hook == Hook::Output;
    packet.destination_is_local = hook == Hook::Input;

    let graph = nodes.node(&pod.node).rulesets.family(Family::of(own));
    let passed_by = match direction {
        Direction::Egress => INGRESS,
        Direction::Ingress => EGRESS,
    };
    let walk = run(graph, graph.hooks.get(&hook), &packet, Some(passed_by));
    let settings = Settings { node: pod.node.to_string(), ..settings.clone() };
    let local = local_pod(cluster, &settings, pod);
    let resolved = local.as_ref().map(|local| local.gates(direction)).unwrap_or_default();
    let subject = Subject { cluster, pod, direction, flow };
    let gates: Vec<GateDecision> =
        gate_chains(&walk, graph).map(|chain| gate(graph, chain, &packet, resolved, &subject)).collect();
    let side_verdict = verdict(walk.outcome);
    let deciding = deciding(&gates, side_verdict);
    let reason = match deciding.and_then(|index| gates.get(index)) {
        Some(gate) => gate.reason,
        None => reason_without_gate(&walk, flow, own_node, !resolved.is_empty()),
    };
    let name = format!("{}/{}", pod.namespace, pod.name);
    let detail = match deciding.and_then(|index| gates.get(index)) {
        Some(gate) => gate.detail.clone(),
        None => words::without_gate(reason, &name, direction, &pod.node, other),
    };
    let kernel = match (deciding, last_rule(&walk)) {
        (None, Some(hit)) if !matches!(reason, Reason::NoPolicy | Reason::NotProgrammed) => {
            kernel_rule(hit, graph.family)
        }
        _ => KernelRule::default(),
    };
    let node = pod.node.to_string();
    Some(Side { verdict: side_verdict, reason, detail, pod: name, node, kernel, gates, deciding })
}

/// The gate that decides: the first that refuses if the direction is refused; else the last that has
/// a rule for the flow, else the last.
fn deciding(gates: &[GateDecision], verdict: Verdict) -> Option<usize> {
    if verdict != Verdict::Allow {
        return gates.iter().position(|gate| gate.verdict != Verdict::Allow);
    }
    let by_rule = gates.iter().rposition(|gate| gate.reason == Reason::Rule);
    let judged = gates.iter().rposition(|gate| gate.reason != Reason::OutsidePodIpRange);
    by_rule.or(judged).or(gates.len().checked_sub(1))
}

/// Why no gate judged the flow. `governed`: the pod has gates in this direction.
fn reason_without_gate(walk: &Walk<'_>, flow: Flow, own_node: bool, governed: bool) -> Reason {
    if walk.outcome == Outcome::Drop
        && last_rule(walk).is_some_and(|hit| hit.rule.matches.iter().any(is_link_local))
    {
        Reason::LinkLocal
    } else if walk.outcome != Outcome::Pass {
        Reason::Scaffolding
    } else if flow.from == flow.to {
        Reason::Itself
    } else if !governed {
        Reason::NoPolicy
    } else if own_node {
        Reason::OwnNode
    } else {
        Reason::NotProgrammed
    }
}

/// The last rule that ended something for a packet.
fn last_rule<'w, 'g>(walk: &'w Walk<'g>) -> Option<&'w Hit<'g>> {
    let ends = |hit: &&Hit<'_>| {
        matches!(hit.rule.target, Target::Return | Target::Accept | Target::Drop | Target::Reject(_))
    };
    walk.hits.iter().rev().find(ends)
}

fn is_link_local(test: &Match) -> bool {
    matches!(test, Match::Source(net) | Match::Destination(net)
        if matches!(net.network(), IpAddr::V6(address) if address.is_unicast_link_local()))
}

/// The chains of the gates of the groups that a walk came to, in order.
fn gate_chains<'a>(walk: &Walk<'a>, graph: &'a Ruleset) -> impl Iterator<Item = &'a ChainName> {
    let groups = walk.hits.iter().filter_map(|hit| match &hit.rule.target {
        Target::Goto(name) | Target::Jump(name) if Role::of(name).is_group() => Some(name),
        _ => None,
    });
    let chains: Vec<&'a ChainName> = groups
        .filter_map(|group| graph.chains.get(group))
        .flat_map(|chain| &chain.rules)
        .filter_map(|rule| match &rule.target {
            Target::Jump(name) => Some(name),
            _ => None,
        })
        .collect();
    chains.into_iter()
}

/// What one gate decides.
fn gate(
    graph: &Ruleset,
    chain: &ChainName,
    packet: &Packet,
    resolved: &[Gate],
    subject: &Subject<'_>,
) -> GateDecision {
    let walk = walk_chain(graph, chain, packet);
    let ends = |hit: &&Hit<'_>| !matches!(hit.rule.target, Target::Nflog { .. });
    let known = walk.hits.iter().rev().find(|hit| hit.rule.provenance.is_some() && ends(hit));
    // Rules that were read back from a kernel don't know where they come from.
    let unknown = || walk.hits.iter().rev().find(|hit| Role::of(hit.chain) == Role::Policy && ends(hit));
    let strangers = strangers_rule(graph, chain, &walk);
    let decided = strangers.or(known).or_else(unknown);
    let provenance = decided.and_then(|hit| hit.rule.provenance.as_deref());
    let layout = layout::gate(graph, chain);
    let kind = provenance.map(|provenance| provenance.gate).or(layout.kind).unwrap_or(GateKind::Kubernetes);
    let tier = resolved.iter().find(|gate| gate.kind == kind).and_then(|gate| gate.tiers.first());
    let policies = policies(tier, &layout);
    let outside = walk.hits.iter().find(|hit| hit.chain == chain && is_outside(&hit.rule.matches));
    let reason = match (provenance, outside) {
        (Some(provenance), _) if provenance.rule.is_some() => Reason::Rule,
        (None, Some(_)) => Reason::OutsidePodIpRange,
        (None, None) if decided.is_some() => Reason::Rule,
        _ => Reason::NoRule,
    };
    let of_chain = |hit: &Hit<'_>| {
        let (_, comment) = layout.policies.iter().find(|(chain, _)| *chain == hit.chain)?;
        layout::object_of_comment(comment.as_ref()?)
    };
    let object = match provenance.and_then(|provenance| provenance.object.as_ref()) {
        Some(object) => Some(object.to_string()),
        None if reason == Reason::NoRule => Some(policies.join(", ")).filter(|names| !names.is_empty()),
        None => decided.filter(|_| strangers.is_none()).and_then(of_chain),
    };
    let rule = provenance.and_then(|provenance| provenance.rule);
    let kernel = match decided.or(outside) {
        Some(hit) => kernel_rule(hit, graph.family),
        None => KernelRule { chain: Some(chain.clone()), ..KernelRule::default() },
    };
    let verdict = verdict(walk.outcome);
    let (nearest, matching) = match (reason, tier) {
        (Reason::Rule | Reason::NoRule, Some(tier)) => others(tier, subject, (object.as_deref(), rule)),
        _ => (Vec::new(), Vec::new()),
    };
    let mut decision = GateDecision {
        verdict,
        gate: kind,
        tier: tier_name(kind),
        object,
        rule,
        label: provenance.and_then(|provenance| provenance.label.clone()),
        reason,
        detail: String::new(),
        kernel,
        policies,
        nearest,
        matching,
    };
    decision.detail = words::gate(&decision, tier, subject);
    decision
}

/// The rule that ended a walk through a gate, if it is none of the policies' in a graph whose rules know
/// where they come from: somebody else put it there.
fn strangers_rule<'w, 'g>(graph: &Ruleset, gate: &ChainName, walk: &'w Walk<'g>) -> Option<&'w Hit<'g>> {
    let traced = graph.chains.get(gate)?.rules.iter().any(|rule| rule.provenance.is_some());
    let last = walk.hits.last().filter(|_| traced && walk.outcome != Outcome::Pass)?;
    let ours = last.rule.provenance.is_some() || !matches!(Role::of(last.chain), Role::Policy | Role::Gate);
    (!ours).then_some(last)
}

fn tier_name(gate: GateKind) -> &'static str {
    match gate {
        GateKind::Acl => "acl",
        GateKind::EgressFirewall => "egress-firewall",
        GateKind::Kubernetes => "network-policy",
    }
}

/// The policies of a gate: those of its tier as it is known, and those that are only known by what its
/// chain says of them.
fn policies(tier: Option<&Tier>, layout: &GateLayout<'_>) -> Vec<String> {
    let known = tier.map(|tier| &tier.policies[..]).unwrap_or_default();
    let mut policies: Vec<String> = known.iter().map(|known| known.policy.object.to_string()).collect();
    let told = layout.policies.iter().filter_map(|(_, comment)| layout::object_of_comment(comment.as_ref()?));
    // Names that are too long for a comment are cut there.
    let more: Vec<String> = told.filter(|name| !policies.contains(name)).collect();
    policies.extend(more.into_iter().filter(|_| layout.policies.len() > known.len()));
    policies
}

/// Whether a gate's rule lets pass what lies outside of the range that it judges.
fn is_outside(matches: &[Match]) -> bool {
    matches!(matches, [Match::NotSource(_) | Match::NotDestination(_) | Match::NotInSet(..)])
}

/// The tier's rules besides the deciding one that nearly match, and those that match too.
fn others(
    tier: &Tier,
    subject: &Subject<'_>,
    (object, rule): (Option<&str>, Option<usize>),
) -> (Vec<Nearest>, Vec<RuleName>) {
    let (mut nearest, mut matching) = (Vec::new(), Vec::new());
    for resolved in &tier.policies {
        let policy = &resolved.policy;
        let named = policy.object.to_string();
        for candidate in policy.section(subject.direction).into_iter().flat_map(|section| &section.rules) {
            if object == Some(named.as_str()) && rule == Some(candidate.index) {
                continue;
            }
            let name = || RuleName {
                object: named.clone(),
                rule: candidate.index,
                label: candidate.label.clone(),
                action: action_name(candidate.action),
            };
            match fit::fit(candidate, subject) {
                Fit::Matches => matching.push(name()),
                Fit::Nearly(failed, detail) => nearest.push(Nearest { name: name(), failed, detail }),
                Fit::No => {}
            }
        }
    }
    (nearest, matching)
}

pub(super) fn action_name(action: Action) -> &'static str {
    match action {
        Action::Allow => "allow",
        Action::Accept => "accept",
        Action::Deny => "drop",
        Action::Reject => "reject",
    }
}

fn kernel_rule(hit: &Hit<'_>, family: Family) -> KernelRule {
    KernelRule {
        chain: Some(hit.chain.clone()),
        line: Some(hit.index + 1),
        text: Some(format!("-A {}{}", hit.chain, iptables_rule(hit.rule, family))),
    }
}

impl Serialize for Side {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let decision = self.decision();
        let kernel = decision.map_or(&self.kernel, |decision| &decision.kernel);
        let nearest: &[Nearest] = decision.map(|decision| &decision.nearest[..]).unwrap_or_default();
        let matching: &[RuleName] = decision.map(|decision| &decision.matching[..]).unwrap_or_default();
        let mut side = serializer.serialize_struct("Side", 16)?;
        side.serialize_field("verdict", &self.verdict)?;
        side.serialize_field("gate", &decision.map(|decision| decision.gate.to_string()))?;
        side.serialize_field("tier", &decision.map(|decision| decision.tier))?;
        side.serialize_field("object", &decision.and_then(|decision| decision.object.as_deref()))?;
        side.serialize_field("rule", &decision.and_then(|decision| decision.rule))?;
        side.serialize_field("label", &decision.and_then(|decision| decision.label.as_deref()))?;
        side.serialize_field("chain", &kernel.chain.as_ref().map(ChainName::as_str))?;
        side.serialize_field("line", &kernel.line)?;
        side.serialize_field("text", &kernel.text)?;
        side.serialize_field("nearest", nearest)?;
        side.serialize_field("matching", matching)?;
        side.serialize_field("reason", &self.reason)?;
        side.serialize_field("detail", &self.detail)?;
        side.serialize_field("pod", &self.pod)?;
        side.serialize_field("node", &self.node)?;
        side.serialize_field("gates", &self.gates)?;
        side.end()
    }
}
