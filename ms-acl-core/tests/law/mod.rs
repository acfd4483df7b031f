//! What the laws share: the oracle's worlds as clusters, and packets on their nodes.
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    reason = "each test target uses a part of it; tests read better so"
)]

mod run;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ms_acl_core::cluster::Cluster;
use ms_acl_core::compile::{Compiled, compile};
use ms_acl_core::lower::Tree;
use ms_acl_core::lower::acl::AclDocument;
use ms_acl_core::model::{self, Settings};
use ms_acl_core::object::Object;
use ms_acl_core::ruleset::{Family, Hook};
use ms_acl_core::verdict::{Hit, Packet, Walk, walk};
use ms_acl_lab::oracle::{Flow, NodeTraffic, Protocol, RefuseWith, World, is_address_of_node};
use serde::Deserialize;
use serde_json::Value;

pub(crate) use run::check;

/// The cluster that a world is, its objects arriving in this order, the document after so many of them.
pub(crate) fn cluster_of(objects: Vec<Object>, acl: &Value, acl_after: usize) -> Cluster {
    let mut cluster = Cluster::new();
    let count = objects.len();
    for (number, object) in objects.into_iter().enumerate() {
        if number == acl_after.min(count) {
            set_acl(&mut cluster, acl);
        }
        cluster.apply(object);
    }
    if acl_after >= count {
        set_acl(&mut cluster, acl);
    }
    cluster
}

/// The cluster that a world is.
pub(crate) fn cluster(world: &World) -> Cluster {
    cluster_of(world.objects(), &world.acl, 0)
}

/// Pushes a document; one with a fault changes nothing.
pub(crate) fn set_acl(cluster: &mut Cluster, acl: &Value) {
    if let Some(document) = parse_acl(acl) {
        cluster.set_acl(document);
    }
}

/// A document as the core reads it; null is the empty one, `None` one with a fault.
pub(crate) fn parse_acl(acl: &Value) -> Option<Arc<AclDocument>> {
    if acl.is_null() {
        return Some(Arc::default());
    }
    AclDocument::parse(tree(acl)).ok().map(Arc::new)
}

/// A document as the tree that the core validates.
pub(crate) fn tree(document: &Value) -> Tree {
    Tree::deserialize(document).expect("all JSON is a tree")
}

/// Whether one of two addresses is a link-local one of IPv6.
pub(crate) fn is_link_local(from: IpAddr, to: IpAddr) -> bool {
    let local = |address| matches!(address, IpAddr::V6(address) if address.segments()[0] & 0xffc0 == 0xfe80);
    local(from) || local(to)
}

/// The settings of one node of a world.
pub(crate) fn settings(world: &World, node: &str) -> Settings {
    Settings {
        pod_ip_range: world.settings.pod_ip_range.clone(),
        node_traffic: match world.settings.node_traffic {
            NodeTraffic::Allow => model::NodeTraffic::Allow,
            NodeTraffic::Enforce => model::NodeTraffic::Enforce,
        },
        refuse_with: match world.settings.refuse_with {
            RefuseWith::Reject => model::RefuseWith::Reject,
            RefuseWith::Drop => model::RefuseWith::Drop,
        },
        ..Settings::new(node)
    }
}

/// The names of all nodes that a world speaks of.
pub(crate) fn nodes(world: &World) -> Vec<String> {
    let mut nodes: Vec<String> = world.nodes.iter().map(|node| node.metadata.name.clone()).collect();
    nodes.extend(world.pods.iter().map(|pod| pod.spec.node_name.clone()));
    nodes.extend(world.local_addresses.keys().cloned());
    nodes.sort();
    nodes.dedup();
    nodes.retain(|node| !node.is_empty());
    nodes
}

/// What every node of a world enforces.
pub(crate) fn compile_all(world: &World, cluster: &Cluster) -> BTreeMap<String, Compiled> {
    let compile = |node: String| (node.clone(), compile(cluster, &settings(world, &node)));
    nodes(world).into_iter().map(compile).collect()
}

/// The first packet of a flow as a node sees it, and where it does.
pub(crate) fn first_packet(world: &World, node: &str, flow: &Flow) -> (Hook, Packet) {
    let mut packet = Packet::first(flow.from, flow.to, protocol(flow.protocol), flow.port);
    packet.source_is_local = is_address_of_node(world, node, flow.from);
    packet.destination_is_local = is_address_of_node(world, node, flow.to);
    let hook = match (packet.source_is_local, packet.destination_is_local) {
        (true, _) => Hook::Output,
        (false, true) => Hook::Input,
        (false, false) => Hook::Forward,
    };
    (hook, packet)
}

/// A packet's walk over the rules of its family.
pub(crate) fn walk_packet<'c>(compiled: &'c Compiled, hook: Hook, packet: &Packet) -> Walk<'c> {
    walk(compiled.rulesets.family(Family::of(packet.source)), hook, packet)
}

/// The rules that a packet met, a line each.
pub(crate) fn trail(walk: &Walk<'_>) -> String {
    let line = |hit: &Hit<'_>| {
        format!("{} {}: {:?} {:?}\n", hit.chain, hit.index, hit.rule.matches, hit.rule.target)
    };
    walk.hits.iter().map(line).collect()
}

fn protocol(protocol: Protocol) -> model::Protocol {
    match protocol {
        Protocol::Tcp => model::Protocol::Tcp,
        Protocol::Udp => model::Protocol::Udp,
        Protocol::Sctp => model::Protocol::Sctp,
        Protocol::Icmp => model::Protocol::Icmp,
    }
}
