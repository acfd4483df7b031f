//! A whole world: nodes, namespaces, and what lives in them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ms_acl_core::object::{Metadata, Namespace, Node, NodeAddress, NodeStatus};
use serde_json::Value;

use super::pod::{Places, addresses_of, pods};
use super::selector::{NAMESPACE, labels};
use super::{Dice, GivenNode, Shape, acl, address, policy, settings, workload};
use crate::oracle::World;

pub(super) fn world(dice: &mut Dice, shape: &Shape) -> World {
    let namespaces = namespace_names(dice, shape);
    let nodes = if shape.nodes.is_empty() { some_nodes(dice) } else { shape.nodes.clone() };
    let places: Vec<(String, Vec<IpAddr>)> =
        nodes.iter().map(|node| (node.name.clone(), node.addresses.clone())).collect();
    let workloads = workload::workloads(dice, &namespaces);
    let places = Places { namespaces: &namespaces, nodes: &places, workloads: &workloads.names };
    let pods = pods(dice, shape, &places);
    let mut around: Vec<IpAddr> = pods.iter().flat_map(addresses_of).collect();
    around.extend(nodes.iter().flat_map(|node| node.addresses.iter().chain(&node.local_addresses)));
    around.extend(if shape.externals.is_empty() { address::strangers() } else { shape.externals.clone() });
    let mut world = World {
        settings: shape.settings.clone().unwrap_or_else(|| settings::settings(dice, &around)),
        namespaces: objects_of(dice, &namespaces),
        nodes: nodes.iter().filter(|_| !shape.nodes.is_empty() || dice.chance(90)).map(node).collect(),
        pods,
        replica_sets: workloads.replica_sets,
        deployments: workloads.deployments,
        network_policies: policy::policies(dice, shape, &namespaces, &around),
        acl: Value::Null,
        local_addresses: local_addresses(&nodes),
    };
    if shape.max_acl_entries > 0 && dice.chance(75) {
        world.acl = acl::document(dice, &workloads.names, &around, shape.max_acl_entries);
        if !shape.valid_only && dice.chance(3) {
            acl::broken_document(dice, &mut world.acl);
        }
    }
    world
}

/// Up to four, among them two whose names and policies' names make the same text.
fn namespace_names(dice: &mut Dice, shape: &Shape) -> Vec<String> {
    if !shape.pods.is_empty() {
        let mut names: Vec<String> = shape.pods.iter().map(|pod| pod.namespace.clone()).collect();
        names.sort();
        names.dedup();
        return names;
    }
    let longest = "n".repeat(63);
    let mut names = ["a", "b", "web", "weba", &longest].map(str::to_owned);
    dice.shuffle(&mut names);
    names[..dice.between(1, 4)].to_vec()
}

/// Some Namespace objects are missing.
fn objects_of(dice: &mut Dice, names: &[String]) -> Vec<Namespace> {
    let mut namespaces = Vec::new();
    for name in dice.some(names, 75) {
        let mut labels = labels(dice, &NAMESPACE[..2]);
        if dice.chance(50) {
            // The API server lets it say nothing else.
            let value = if dice.chance(10) { dice.pick(names) } else { name.clone() };
            labels.insert("kubernetes.io/metadata.name".to_owned(), value);
        }
        namespaces.push(Namespace { metadata: Metadata { name, labels, ..Metadata::default() } });
    }
    namespaces
}

fn some_nodes(dice: &mut Dice) -> Vec<GivenNode> {
    let count = dice.between(1, 3);
    (0..count).map(|number| some_node(dice, number)).collect()
}

fn some_node(dice: &mut Dice, number: usize) -> GivenNode {
    let byte = u8::try_from(number + 1).unwrap_or(u8::MAX);
    let mut addresses: Vec<IpAddr> = vec![Ipv4Addr::new(192, 168, 0, byte).into()];
    if dice.chance(70) {
        addresses.push(Ipv6Addr::new(0xfd00, 0x192, 0, 0, 0, 0, 0, byte.into()).into());
    }
    if dice.chance(30) {
        addresses.push(Ipv4Addr::new(198, 51, 100, byte).into());
    }
    let mut local_addresses = Vec::new();
    if dice.chance(50) {
        local_addresses =
            vec![address::in_node_range(number, 254, true), address::in_node_range(number, 254, false)];
    }
    if dice.chance(30) {
        local_addresses.push(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, byte.into()).into());
    }
    GivenNode { name: format!("n{number}"), addresses, local_addresses }
}

/// A Node object: its first addresses are internal, a second one of a family is external.
fn node(given: &GivenNode) -> Node {
    let mut addresses = vec![NodeAddress { kind: "Hostname".to_owned(), address: given.name.clone() }];
    for (number, address) in given.addresses.iter().enumerate() {
        let is_first = !given.addresses[..number].iter().any(|other| other.is_ipv4() == address.is_ipv4());
        let kind = if is_first { "InternalIP" } else { "ExternalIP" };
        addresses.push(NodeAddress { kind: kind.to_owned(), address: address.to_string() });
    }
    let metadata = Metadata { name: given.name.clone(), ..Metadata::default() };
    Node { metadata, status: NodeStatus { addresses }, ..Node::default() }
}

fn local_addresses(nodes: &[GivenNode]) -> BTreeMap<String, Vec<IpAddr>> {
    let listed = nodes.iter().filter(|node| !node.local_addresses.is_empty());
    listed.map(|node| (node.name.clone(), node.local_addresses.clone())).collect()
}
