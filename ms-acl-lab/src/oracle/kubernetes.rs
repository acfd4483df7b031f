//! The Kubernetes gate: NetworkPolicies, as their API text reads.

use std::net::IpAddr;

use ms_acl_core::object::{
    IntOrString, LabelSelector, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, Pod,
};

use super::block;
use super::member::{has_named_port, namespace_labels, pod_at};
use super::selector;
use super::validity::is_valid_policy;
use super::{Flow, Protocol, World};

/// What the gate says about one direction.
pub(super) enum Opinion<'w> {
    /// No policy isolates the pod in this direction (1).
    Open,
    /// This rule of this policy lets the flow pass.
    Allowed(&'w NetworkPolicy, usize),
    /// Policies isolate the pod and none of their rules matches; the first one by name.
    Refused(&'w NetworkPolicy),
}

/// What the NetworkPolicies say about a flow to a pod.
pub(super) fn ingress<'w>(world: &'w World, pod: &Pod, flow: &Flow) -> Opinion<'w> {
    let mut opinion = Opinion::Open;
    for policy in in_order(world) {
        if !selects(policy, pod) || !declares(policy, "Ingress") {
            continue;
        }
        if is_valid_policy(policy) {
            for (number, rule) in policy.spec.ingress.iter().enumerate() {
                if any_peer(world, policy, &rule.from, flow.from) && any_port(&rule.ports, flow, Some(pod)) {
                    return Opinion::Allowed(policy, number);
                }
            }
        }
        opinion = first_refusal(opinion, policy);
    }
    opinion
}

/// What the NetworkPolicies say about a flow from a pod.
pub(super) fn egress<'w>(world: &'w World, pod: &Pod, flow: &Flow) -> Opinion<'w> {
    let mut opinion = Opinion::Open;
    for policy in in_order(world) {
        if !selects(policy, pod) || !declares(policy, "Egress") {
            continue;
        }
        if is_valid_policy(policy) {
            for (number, rule) in policy.spec.egress.iter().enumerate() {
                // 26: the name of a port means a port of the pod that is reached, whoever that is.
                let target = pod_at(world, flow.to);
                if any_peer(world, policy, &rule.to, flow.to) && any_port(&rule.ports, flow, target) {
                    return Opinion::Allowed(policy, number);
                }
            }
        }
        opinion = first_refusal(opinion, policy);
    }
    opinion
}

/// Whether any policy isolates a pod in a direction.
pub(super) fn isolates(world: &World, pod: &Pod, kind: &str) -> bool {
    world.network_policies.iter().any(|policy| selects(policy, pod) && declares(policy, kind))
}

/// 6: the order never matters; it only makes the answer's wording repeatable.
fn in_order(world: &World) -> Vec<&NetworkPolicy> {
    let mut policies: Vec<&NetworkPolicy> = world.network_policies.iter().collect();
    policies.sort_by_key(|policy| (&policy.metadata.namespace, &policy.metadata.name));
    policies
}

fn first_refusal<'w>(opinion: Opinion<'w>, policy: &'w NetworkPolicy) -> Opinion<'w> {
    match opinion {
        Opinion::Open => Opinion::Refused(policy),
        known => known,
    }
}

/// Whether a policy is about a pod: one of its own namespace (5). An invalid policy is about no less
/// than it says (42): what can't be understood of its selector leaves nobody out.
fn selects(policy: &NetworkPolicy, pod: &Pod) -> bool {
    let chosen = selector::understood(&policy.spec.pod_selector);
    policy.metadata.namespace == pod.metadata.namespace && selector::matches(&chosen, &pod.metadata.labels)
}

/// Whether a policy is about a direction (3, 4). Of an invalid one (42), a type that isn't known may
/// have been meant as either.
fn declares(policy: &NetworkPolicy, kind: &str) -> bool {
    let spec = &policy.spec;
    if spec.policy_types.is_empty() {
        return kind == "Ingress" || !spec.egress.is_empty();
    }
    let unknown = |name: &String| name != "Ingress" && name != "Egress";
    spec.policy_types.iter().any(|name| name == kind || unknown(name))
}

/// 9: no peers = everything. 12: several = any of them.
fn any_peer(world: &World, policy: &NetworkPolicy, peers: &[NetworkPolicyPeer], other: IpAddr) -> bool {
    peers.is_empty() || peers.iter().any(|peer| is_peer(world, policy, peer, other))
}

fn is_peer(world: &World, policy: &NetworkPolicy, peer: &NetworkPolicyPeer, other: IpAddr) -> bool {
    // 36: whoever has the address, a block only looks at it.
    if let Some(written) = &peer.ip_block {
        return block::holds_with_holes(&written.cidr, &written.except, other);
    }
    // 16: selectors match pods only.
    let Some(pod) = pod_at(world, other) else { return false };
    let namespace = &pod.metadata.namespace;
    let right_namespace = match &peer.namespace_selector {
        // 10: without a word about namespaces, the policy's own.
        None => *namespace == policy.metadata.namespace,
        Some(chosen) => selector::matches(chosen, &namespace_labels(world, namespace)),
    };
    // 11: without a word about pods, all of them; 12: both must match.
    let everyone = LabelSelector::default();
    let chosen = peer.pod_selector.as_ref().unwrap_or(&everyone);
    right_namespace && selector::matches(chosen, &pod.metadata.labels)
}

/// 19: no ports = all ports of all protocols, ICMP too. Several = any of them.
fn any_port(ports: &[NetworkPolicyPort], flow: &Flow, target: Option<&Pod>) -> bool {
    ports.is_empty() || ports.iter().any(|port| is_port(port, flow, target))
}

fn is_port(written: &NetworkPolicyPort, flow: &Flow, target: Option<&Pod>) -> bool {
    let protocol = match written.protocol.as_deref() {
        // 20: TCP, unless said otherwise.
        None | Some("TCP") => Protocol::Tcp,
        Some("UDP") => Protocol::Udp,
        _ => Protocol::Sctp,
    };
    // 22: one protocol's rule is no other's.
    if flow.protocol != protocol {
        return false;
    }
    let number = i64::from(flow.port);
    match (&written.port, written.end_port) {
        // 21
        (None, _) => true,
        (Some(IntOrString::Int(first)), None) => number == *first,
        // 23
        (Some(IntOrString::Int(first)), Some(last)) => *first <= number && number <= last,
        // 25, 26, 27: the name is looked up on the pod that is reached; where there is none, nothing matches.
        (Some(IntOrString::String(name)), _) => {
            target.is_some_and(|pod| has_named_port(pod, name, protocol, flow.port))
        }
    }
}
