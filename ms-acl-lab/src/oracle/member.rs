//! Who is behind an address: pods, their namespaces' labels, their nodes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ms_acl_core::object::Pod;

use super::{Protocol, World, block};

/// The pod that an address belongs to. Of several the one that was created last (39), and of those
/// the one whose namespace and name are the greatest.
pub(super) fn pod_at(world: &World, address: IpAddr) -> Option<&Pod> {
    let mut found: Option<&Pod> = None;
    for pod in &world.pods {
        if is_member(pod)
            && addresses(pod).contains(&address)
            && found.is_none_or(|other| is_newer(pod, other))
        {
            found = Some(pod);
        }
    }
    found
}

/// Whether a pod has a network of its own that still lives. Pods of the host's network never count;
/// finished ones no longer (39); terminating ones still do (38), and pending ones as soon as they have
/// an address (37).
fn is_member(pod: &Pod) -> bool {
    let finished = ["Succeeded", "Failed"].contains(&pod.status.phase.as_str());
    !pod.spec.host_network && !finished
}

/// 17: all addresses count. What isn't an address yet is none.
pub(super) fn addresses(pod: &Pod) -> Vec<IpAddr> {
    let listed = pod.status.pod_ips.iter().map(|listed| &listed.ip);
    listed.chain([&pod.status.pod_ip]).filter_map(|text| block::address(text)).collect()
}

/// The API server writes all times in UTC and in whole seconds: their order is that of their texts.
fn is_newer(pod: &Pod, other: &Pod) -> bool {
    let age = |pod: &Pod| {
        let meta = &pod.metadata;
        (meta.creation_timestamp.clone(), meta.namespace.clone(), meta.name.clone())
    };
    age(pod) > age(other)
}

/// The labels of a namespace. One without an object has only the label that every namespace has.
pub(super) fn namespace_labels(world: &World, name: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for namespace in &world.namespaces {
        if namespace.metadata.name == name {
            labels.clone_from(&namespace.metadata.labels);
        }
    }
    labels.insert("kubernetes.io/metadata.name".to_owned(), name.to_owned());
    labels
}

/// Whether an address is one of a node itself: its Node object lists it, or its kernel has it.
pub fn is_address_of_node(world: &World, node: &str, address: IpAddr) -> bool {
    for object in &world.nodes {
        for listed in &object.status.addresses {
            if object.metadata.name == node
                && ["InternalIP", "ExternalIP"].contains(&listed.kind.as_str())
                && block::address(&listed.address) == Some(address)
            {
                return true;
            }
        }
    }
    world.local_addresses.get(node).is_some_and(|local| local.contains(&address))
}

/// Whether a port of a pod has this name, this protocol and this number. All containers count, init
/// containers too (29); a name may stand for several ports (28), and every one of them counts.
pub(super) fn has_named_port(pod: &Pod, name: &str, protocol: Protocol, number: u16) -> bool {
    for container in pod.spec.containers.iter().chain(&pod.spec.init_containers) {
        for port in &container.ports {
            let spoken = match port.protocol.as_str() {
                "" | "TCP" => Some(Protocol::Tcp),
                "UDP" => Some(Protocol::Udp),
                "SCTP" => Some(Protocol::Sctp),
                _ => None,
            };
            // 0 is no port.
            let same_number = number > 0 && port.container_port == i64::from(number);
            if port.name == name && spoken == Some(protocol) && same_number {
                return true;
            }
        }
    }
    false
}
