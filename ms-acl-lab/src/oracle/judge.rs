//! The order of judgement: ends, directions, gates.

use std::net::IpAddr;

use ms_acl_core::object::Pod;

use super::acl::{self, Action};
use super::answer::{Answer, DirectionAnswer, Gate, Verdict};
use super::block::{holds, is_link_local};
use super::kubernetes::{self, Opinion};
use super::member::{addresses, is_address_of_node, pod_at};
use super::{Flow, NodeTraffic, RefuseWith, World};

/// What becomes of a flow.
pub fn judge(world: &World, flow: &Flow) -> Answer {
    // A pod that runs nowhere has no node that could judge it.
    let on_a_node = |pod: &&Pod| !pod.spec.node_name.is_empty();
    let source = pod_at(world, flow.from).filter(on_a_node);
    let destination = pod_at(world, flow.to).filter(on_a_node);
    if let (Some(source), Some(destination)) = (source, destination)
        && std::ptr::eq(source, destination)
    {
        // A pod always reaches itself.
        let open = Some(DirectionAnswer::open());
        return Answer { verdict: Verdict::Allow, egress: open.clone(), ingress: open, accepted: false };
    }
    let egress = source.map(|pod| judge_direction(world, pod, Direction::Egress, flow));
    let ingress = destination.map(|pod| judge_direction(world, pod, Direction::Ingress, flow));
    // Either side may refuse; the packet meets egress first.
    let mut verdict = Verdict::Allow;
    let mut accepted = false;
    for answer in [&egress, &ingress].into_iter().flatten() {
        if verdict == Verdict::Allow {
            verdict = answer.verdict;
        }
        accepted |= answer.accepts;
    }
    Answer { verdict, egress, ingress, accepted: accepted && verdict == Verdict::Allow }
}

/// The node that judges what an address sends and receives: that of its pod, if a pod has it.
pub fn node_of(world: &World, address: IpAddr) -> Option<&str> {
    let pod = pod_at(world, address)?;
    Some(pod.spec.node_name.as_str()).filter(|name| !name.is_empty())
}

/// The namespace and name of the pod that an address belongs to.
pub fn pod_name_at(world: &World, address: IpAddr) -> Option<(&str, &str)> {
    let meta = &pod_at(world, address)?.metadata;
    Some((&meta.namespace, &meta.name))
}

/// Whether any policy has a word about what the pod of an address sends.
pub fn governs_egress(world: &World, address: IpAddr) -> bool {
    pod_at(world, address).is_some_and(|pod| governs(world, pod, Direction::Egress))
}

/// Whether any policy has a word about what the pod of an address receives.
pub fn governs_ingress(world: &World, address: IpAddr) -> bool {
    pod_at(world, address).is_some_and(|pod| governs(world, pod, Direction::Ingress))
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Egress,
    Ingress,
}

fn judge_direction(world: &World, pod: &Pod, direction: Direction, flow: &Flow) -> DirectionAnswer {
    let other = match direction {
        Direction::Egress => flow.to,
        Direction::Ingress => flow.from,
    };
    let own_node = is_address_of_node(world, &pod.spec.node_name, other);
    if own_node && world.settings.node_traffic == NodeTraffic::Allow {
        return DirectionAnswer::open();
    }
    // What a pod exchanges with its own node isn't forwarded.
    if is_link_local(other) && !own_node && governs_ipv6(world, &pod.spec.node_name) {
        let gate = Some(Gate::LinkLocal);
        return DirectionAnswer { verdict: Verdict::Drop, gate, ..DirectionAnswer::open() };
    }
    // Gates are independent; the first that refuses is final.
    let by_acl = acl_gate(world, pod, direction, flow);
    if by_acl.verdict != Verdict::Allow {
        return by_acl;
    }
    let by_kubernetes = kubernetes_gate(world, pod, direction, flow, other);
    if by_kubernetes.verdict != Verdict::Allow {
        return by_kubernetes;
    }
    let accepts = by_acl.accepts;
    let last_word = if by_kubernetes.gate.is_some() { by_kubernetes } else { by_acl };
    DirectionAnswer { accepts, ..last_word }
}

fn acl_gate(world: &World, pod: &Pod, direction: Direction, flow: &Flow) -> DirectionAnswer {
    let Some(decision) = acl::decide(world, pod, direction, flow) else { return DirectionAnswer::open() };
    DirectionAnswer {
        verdict: match decision.action {
            Action::Accept | Action::Return => Verdict::Allow,
            Action::Drop => Verdict::Drop,
            Action::Reject => Verdict::Reject,
        },
        accepts: decision.action == Action::Accept,
        gate: Some(Gate::Acl),
        object: Some(format!("Acl {}", decision.entry)),
        rule: decision.rule,
    }
}

fn kubernetes_gate(
    world: &World,
    pod: &Pod,
    direction: Direction,
    flow: &Flow,
    other: IpAddr,
) -> DirectionAnswer {
    if !in_pod_ip_range(world, other) {
        return DirectionAnswer::open();
    }
    let opinion = match direction {
        Direction::Egress => kubernetes::egress(world, pod, flow),
        Direction::Ingress => kubernetes::ingress(world, pod, flow),
    };
    let (verdict, policy, rule) = match opinion {
        Opinion::Open => return DirectionAnswer::open(),
        Opinion::Allowed(policy, rule) => (Verdict::Allow, policy, Some(rule)),
        Opinion::Refused(policy) => {
            let verdict = match world.settings.refuse_with {
                RefuseWith::Reject => Verdict::Reject,
                RefuseWith::Drop => Verdict::Drop,
            };
            (verdict, policy, None)
        }
    };
    let object = format!("NetworkPolicy {}/{}", policy.metadata.namespace, policy.metadata.name);
    DirectionAnswer { verdict, accepts: false, gate: Some(Gate::Kubernetes), object: Some(object), rule }
}

/// Whether Kubernetes policy looks at flows with this other end. A family that isn't named is whole.
fn in_pod_ip_range(world: &World, other: IpAddr) -> bool {
    let range = &world.settings.pod_ip_range;
    let named = range.iter().any(|block| block.addr().is_ipv4() == other.is_ipv4());
    !named || range.iter().any(|block| holds(*block, other))
}

/// Whether any pod of a node is governed and has an IPv6 address of its own.
fn governs_ipv6(world: &World, node: &str) -> bool {
    for pod in world.pods.iter().filter(|pod| pod.spec.node_name == node) {
        let has_ipv6 = addresses(pod).into_iter().any(|address| {
            address.is_ipv6() && pod_at(world, address).is_some_and(|owner| std::ptr::eq(owner, pod))
        });
        if has_ipv6 && (governs(world, pod, Direction::Egress) || governs(world, pod, Direction::Ingress)) {
            return true;
        }
    }
    false
}

/// Whether any gate has a word about what a pod sends, or what it receives.
fn governs(world: &World, pod: &Pod, direction: Direction) -> bool {
    let kind = match direction {
        Direction::Egress => "Egress",
        Direction::Ingress => "Ingress",
    };
    acl::governs(world, pod, direction) || kubernetes::isolates(world, pod, kind)
}
