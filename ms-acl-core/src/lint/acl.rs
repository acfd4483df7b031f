//! Ordered ACL lists: rules that can't match, and what a list leaves to the default action.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::space::Space;
use super::{Check, Finding, Scene, finding, sections};
use crate::model::{
    Action, Peer, Peers, Policy, PolicyRule, PortRange, PortSpec, Ports, Protocol, Section, Severity,
};
use crate::ruleset::{Direction, Family};

pub(super) fn check(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, policy) in scene.acl() {
        for (direction, section) in sections(policy) {
            let space = unreachable(&mut findings, &path, policy, section);
            left_open(&mut findings, &path, policy, (direction, section), &space);
        }
        if let (Some(egress), None) = (&policy.egress, &policy.ingress)
            && !egress.otherwise.passes()
        {
            let detail = "has egress rules only: its default action refuses, but only egress is governed by it, and ingress stays open";
            let remedy =
                "add an ingress rule, such as {\"action\": \"DENY\"}, if ingress shall be refused too";
            let place = (&policy.object, path.clone());
            findings.push(finding(
                Check::IngressUngoverned,
                Severity::Warning,
                place,
                (detail.to_owned(), remedy),
            ));
        }
    }
    findings
}

/// Kinds of packets that rules can tell apart: a protocol that they can name, or none of those.
pub(super) type Kind = Option<Protocol>;

/// All kinds of packets.
const KINDS: [Kind; 5] =
    [Some(Protocol::Tcp), Some(Protocol::Udp), Some(Protocol::Sctp), Some(Protocol::Icmp), None];

/// What is taken, for each family and kind of packets.
pub(super) type Spaces = BTreeMap<(Family, Kind), Space>;

/// Spaces in which everything is free.
pub(super) fn spaces() -> Spaces {
    let keys = Family::BOTH.into_iter().flat_map(|family| KINDS.map(|kind| (family, kind)));
    keys.map(|(family, kind)| ((family, kind), Space::new(family))).collect()
}

/// The networks that a rule of an ACL names.
pub(super) fn networks(peers: &Peers) -> Vec<IpNet> {
    match peers {
        Peers::Any => ["0.0.0.0/0", "::/0"].iter().filter_map(|net| net.parse().ok()).collect(),
        Peers::Of(peers) => peers
            .iter()
            .filter_map(|peer| match peer {
                Peer::Block(block) => Some(block.net),
                Peer::Pods(_) => None,
            })
            .collect(),
    }
}

/// The ports that a rule names of one kind of packets.
pub(super) fn ports(ports: &Ports, kind: Kind) -> Vec<PortRange> {
    match ports {
        Ports::Any => vec![PortRange::ALL],
        Ports::Of(ports) => ports
            .iter()
            .filter(|port| Some(port.protocol) == kind)
            .filter_map(|port| match &port.port {
                PortSpec::Any => Some(PortRange::ALL),
                PortSpec::Range(range) => Some(*range),
                PortSpec::Named(_) => None,
            })
            .collect(),
    }
}

/// Finds the rules that earlier ones leave nothing; gives what all of them take.
fn unreachable(findings: &mut Vec<Finding>, path: &str, policy: &Policy, section: &Section) -> Spaces {
    let mut spaces = spaces();
    for (order, rule) in section.rules.iter().enumerate() {
        let nets = networks(&rule.peers);
        let (mut fresh, mut by) = (false, BTreeSet::new());
        for ((_, kind), space) in &mut spaces {
            let taken = space.take(&nets, &ports(&rule.ports, *kind), order);
            fresh |= taken.fresh;
            by.extend(taken.by);
        }
        if !fresh {
            let earlier: Vec<&PolicyRule> = by.iter().filter_map(|order| section.rules.get(*order)).collect();
            findings.push(unreachable_rule(path, policy, rule, &earlier));
        }
    }
    if !spaces.values().all(Space::is_exact) {
        let detail = "is so long that unreachable rules can't be found in it".to_owned();
        let place = (&policy.object, format!("{path}/rules"));
        let remedy = "say it in fewer rules: srcCIDRs, dstCIDRs and ports are lists";
        findings.push(finding(Check::UnreachableRule, Severity::Note, place, (detail, remedy)));
    }
    spaces
}

fn unreachable_rule(path: &str, policy: &Policy, rule: &PolicyRule, earlier: &[&PolicyRule]) -> Finding {
    let names: Vec<String> = earlier.iter().map(|rule| name(rule)).collect();
    let (noun, verb) = if names.len() == 1 { ("rule", "decides") } else { ("rules", "decide") };
    let same = earlier.iter().all(|earlier| earlier.action == rule.action);
    let outcome = if same { ", with the same action" } else { "" };
    let detail = format!(
        "is never reached: {noun} {} before it {verb} every flow that it names{outcome}",
        names.join(", ")
    );
    let remedy = if same { "remove it" } else { "move it before them, or remove it" };
    let place = (&policy.object, format!("{path}/rules/{}", rule.index));
    finding(Check::UnreachableRule, Severity::Warning, place, (detail, remedy))
}

/// A rule's number, and its name if it has one.
fn name(rule: &PolicyRule) -> String {
    match &rule.label {
        Some(label) => format!("{} ({label})", rule.index),
        None => rule.index.to_string(),
    }
}

/// A refusal of all of one family, while the other is left to a default action that passes.
fn left_open(
    findings: &mut Vec<Finding>,
    path: &str,
    policy: &Policy,
    (direction, section): (Direction, &Section),
    spaces: &Spaces,
) {
    if !section.otherwise.passes() {
        return;
    }
    for (closed, open) in [(Family::V4, Family::V6), (Family::V6, Family::V4)] {
        let refuses_all = |rule: &&PolicyRule| {
            matches!(rule.action, Action::Deny | Action::Reject)
                && rule.ports == Ports::Any
                && networks(&rule.peers)
                    .iter()
                    .any(|net| net.prefix_len() == 0 && Family::of(net.addr()) == closed)
        };
        let Some(rule) = section.rules.iter().rfind(refuses_all) else { continue };
        if spaces.iter().any(|((family, _), space)| *family == open && space.is_exact() && space.has_free()) {
            let everything = if closed == Family::V4 { "0.0.0.0/0" } else { "::/0" };
            let action = if section.otherwise == Action::Accept { "ALLOW" } else { "RETURN" };
            let side = if direction == Direction::Ingress { "srcCIDR" } else { "dstCIDR" };
            let detail = format!(
                "refuses {everything}, which is {closed} only: {open} flows that no rule names are left to the default action {action}"
            );
            let remedy = format!("leave {side} out, which means both families, or add the other family's /0");
            let place = (&policy.object, format!("{path}/rules/{}", rule.index));
            findings.push(finding(Check::FamilyLeftOpen, Severity::Warning, place, (detail, &remedy)));
        }
    }
}
