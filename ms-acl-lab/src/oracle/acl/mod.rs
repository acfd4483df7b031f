//! The ACL gate: the pushed policy document, per Deployment, first match decides.

mod document;
mod text;

use std::net::IpAddr;

use ms_acl_core::object::Pod;

pub use document::{Document, Entry, Rule, Target, read};

use super::block;
use super::judge::Direction;
use super::owner::deployment_of;
use super::{Flow, Protocol, World};

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `ALLOW`, `ACCEPT`: the gate passes, and the flow is accepted if nobody refuses it.
    Accept,
    /// `RETURN`: the gate passes and has no opinion.
    Return,
    /// `DENY`, `DROP`.
    Drop,
    /// `REJECT`.
    Reject,
}

/// What the document says about one direction of a flow.
pub(super) struct Decision {
    /// What it does.
    pub(super) action: Action,
    /// The entry, as `namespace/name`.
    pub(super) entry: String,
    /// The rule's number; `None` = the default action.
    pub(super) rule: Option<usize>,
}

/// What the document says about a flow; `None` where it doesn't govern the pod in this direction.
pub(super) fn decide(world: &World, pod: &Pod, direction: Direction, flow: &Flow) -> Option<Decision> {
    let (document, entry) = entry_of(world, pod)?;
    if !entry_governs(&entry, direction) {
        return None;
    }
    let name = format!("{}/{}", entry.namespace, entry.name);
    for (number, rule) in entry.rules.iter().enumerate() {
        if direction == direction_of(rule) && is_match(rule, flow) {
            return Some(Decision { action: rule.action, entry: name, rule: Some(number) });
        }
    }
    let action = entry.default_action.unwrap_or(document.default_action);
    Some(Decision { action, entry: name, rule: None })
}

/// Whether the document governs a pod in a direction.
pub(super) fn governs(world: &World, pod: &Pod, direction: Direction) -> bool {
    entry_of(world, pod).is_some_and(|(_, entry)| entry_governs(&entry, direction))
}

/// The entry for the pod's Deployment. A document that isn't valid was never taken.
fn entry_of(world: &World, pod: &Pod) -> Option<(Document, Entry)> {
    if world.acl.is_null() || pod.spec.host_network {
        return None;
    }
    let deployment = deployment_of(world, pod)?;
    let document = read(&world.acl).ok()?;
    let of_pod = |entry: &&Entry| entry.namespace == pod.metadata.namespace && entry.name == deployment;
    let entry = document.entries.iter().find(of_pod)?.clone();
    Some((document, entry))
}

/// A direction is governed if there is a rule for it; an entry without any rule governs ingress.
fn entry_governs(entry: &Entry, direction: Direction) -> bool {
    if entry.rules.is_empty() {
        return direction == Direction::Ingress;
    }
    entry.rules.iter().any(|rule| direction_of(rule) == direction)
}

fn direction_of(rule: &Rule) -> Direction {
    if rule.egress { Direction::Egress } else { Direction::Ingress }
}

fn is_match(rule: &Rule, flow: &Flow) -> bool {
    let other = if rule.egress { flow.to } else { flow.from };
    is_target(&rule.target, flow) && is_in(rule, other)
}

fn is_target(target: &Target, flow: &Flow) -> bool {
    match target {
        Target::Any => true,
        Target::Icmp => flow.protocol == Protocol::Icmp,
        Target::Ports(protocol, ranges) => {
            let number = flow.port;
            let listed = ranges.iter().any(|&(first, last)| first <= number && number <= last);
            flow.protocol == *protocol && (ranges.is_empty() || listed)
        }
    }
}

/// No block = everything, in both families.
fn is_in(rule: &Rule, other: IpAddr) -> bool {
    rule.blocks.is_empty() || rule.blocks.iter().any(|&written| block::holds(written, other))
}
