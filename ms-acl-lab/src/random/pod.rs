//! Pods in every state.

use std::net::IpAddr;

use ms_acl_core::object::{Container, ContainerPort, Metadata, Pod, PodIp, PodSpec, PodStatus};

use super::selector::{POD, labels};
use super::{Dice, GivenPod, Shape, address, workload};
use crate::oracle::block;

/// Names of ports that pods and policies share.
pub(super) const PORT_NAMES: [&str; 4] = ["http", "dns", "metrics", "a-1"];

/// Further names, of which policies list many at once.
pub(super) const MORE_PORT_NAMES: [&str; 10] =
    ["b-0", "b-1", "b-2", "b-3", "b-4", "b-5", "b-6", "b-7", "b-8", "b-9"];

/// Numbers of ports that pods and policies share.
pub(super) const PORTS: [u16; 10] = [1, 53, 80, 81, 443, 8000, 8001, 8080, 9090, 65535];

/// Where pods can live.
pub(super) struct Places<'w> {
    pub(super) namespaces: &'w [String],
    /// The names of the nodes and the addresses of each.
    pub(super) nodes: &'w [(String, Vec<IpAddr>)],
    /// Deployments by namespace and name.
    pub(super) workloads: &'w [(String, String)],
}

/// All pods of a cluster.
pub(super) fn pods(dice: &mut Dice, shape: &Shape, places: &Places<'_>) -> Vec<Pod> {
    if !shape.pods.is_empty() {
        return shape.pods.iter().map(|given| given_pod(dice, shape, places, given)).collect();
    }
    let mut pods: Vec<Pod> = Vec::new();
    for number in 0..dice.between(1, shape.max_pods.max(1)) {
        let pod = any_pod(dice, shape, places, number, &pods);
        pods.push(pod);
    }
    pods
}

fn given_pod(dice: &mut Dice, shape: &Shape, places: &Places<'_>, given: &GivenPod) -> Pod {
    let mut pod = bare_pod(dice, places, &given.namespace, &given.name);
    pod.spec.node_name.clone_from(&given.node);
    pod.status = PodStatus { phase: phase(dice, shape), ..PodStatus::default() };
    set_addresses(dice, &mut pod, &given.addresses);
    pod
}

fn any_pod(dice: &mut Dice, shape: &Shape, places: &Places<'_>, number: usize, others: &[Pod]) -> Pod {
    let namespace = dice.pick(places.namespaces);
    let name = match dice.below(12) {
        0 => "app-x".to_owned(),
        1 => "pp-x".to_owned(),
        2 => "p".repeat(253),
        _ => format!("p{number}"),
    };
    let is_free = |pod: &Pod| pod.metadata.namespace != namespace || pod.metadata.name != name;
    let name = if others.iter().all(is_free) { name } else { format!("p{number}") };
    let mut pod = bare_pod(dice, places, &namespace, &name);
    let node = dice.below(places.nodes.len());
    pod.spec.node_name.clone_from(&places.nodes[node].0);
    pod.status.phase = phase(dice, shape);
    if dice.chance(8) && !shape.running_only {
        pod.spec.host_network = true;
        set_addresses(dice, &mut pod, &places.nodes[node].1);
        return pod;
    }
    if pod.status.phase == "Pending" && dice.chance(60) {
        if dice.chance(50) {
            pod.spec.node_name.clear();
        }
        return pod;
    }
    let mut addresses = Vec::new();
    let families: [&[bool]; 12] = [
        &[true],
        &[true],
        &[false],
        &[false],
        &[true, false],
        &[true, false],
        &[true, false],
        &[true, false],
        &[false, true],
        &[false, true],
        &[true, true],
        &[false, false, true],
    ];
    for &ipv4 in dice.pick(&families) {
        let used: Vec<IpAddr> =
            others.iter().flat_map(addresses_of).filter(|ip| ip.is_ipv4() == ipv4).collect();
        if dice.chance(15) && !used.is_empty() && !shape.running_only {
            addresses.push(dice.pick(&used));
            continue;
        }
        let fresh = address::of_pod(dice, node, ipv4);
        let taken = shape.running_only && used.contains(&fresh);
        addresses.push(if taken { address::in_node_range(node, 300 + number, ipv4) } else { fresh });
    }
    let on_nodes = |address: &IpAddr| places.nodes.iter().any(|(_, listed)| listed.contains(address));
    addresses.retain(|address| !on_nodes(address));
    set_addresses(dice, &mut pod, &addresses);
    pod
}

/// A pod without a place.
fn bare_pod(dice: &mut Dice, places: &Places<'_>, namespace: &str, name: &str) -> Pod {
    let mut labels = labels(dice, POD);
    let (owner_references, hash) = workload::of_pod(dice, places.workloads, namespace);
    labels.extend(hash.map(|hash| ("pod-template-hash".to_owned(), hash)));
    let day = dice.pick(&["", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-02T00:00:01Z"]);
    let metadata = Metadata {
        labels,
        owner_references,
        creation_timestamp: day.to_owned(),
        ..workload::named(namespace, name)
    };
    let containers = dice.several(0, 2, container);
    let init_containers = if dice.chance(25) { vec![container(dice)] } else { Vec::new() };
    let spec = PodSpec { containers, init_containers, ..PodSpec::default() };
    Pod { metadata, spec, status: PodStatus::default() }
}

fn phase(dice: &mut Dice, shape: &Shape) -> String {
    if shape.running_only {
        return "Running".to_owned();
    }
    match dice.below(20) {
        0..=1 => "Pending",
        2 => "Succeeded",
        3 => "Failed",
        4 => "Unknown",
        _ => "Running",
    }
    .to_owned()
}

/// Ports by name, each name once in a container.
fn container(dice: &mut Dice) -> Container {
    let mut ports = Vec::new();
    for name in dice.some(&PORT_NAMES, 40) {
        ports.push(ContainerPort { name: name.to_owned(), ..port(dice) });
    }
    if dice.chance(15) {
        ports.push(ContainerPort { name: dice.pick(&MORE_PORT_NAMES).to_owned(), ..port(dice) });
    }
    if dice.chance(20) {
        ports.push(port(dice));
    }
    Container { ports }
}

fn port(dice: &mut Dice) -> ContainerPort {
    let protocol = dice.pick(&["", "TCP", "TCP", "UDP", "UDP", "SCTP"]).to_owned();
    let container_port = if dice.chance(2) { dice.pick(&[0, -1, 65536]) } else { dice.pick(&PORTS).into() };
    ContainerPort { name: String::new(), container_port, protocol }
}

/// One address of each family, seldom more, written as the API server does, or in one of the two fields.
fn set_addresses(dice: &mut Dice, pod: &mut Pod, addresses: &[IpAddr]) {
    let mut texts: Vec<String> = Vec::new();
    let all = dice.chance(10);
    for ipv4 in [true, false] {
        let of_family = addresses.iter().filter(|address| address.is_ipv4() == ipv4);
        texts.extend(of_family.take(if all { 2 } else { 1 }).map(|address| address::spelled(dice, *address)));
    }
    dice.shuffle(&mut texts);
    if texts.len() < 2 && dice.chance(15) {
        pod.status.pod_ip = texts.pop().unwrap_or_default();
        return;
    }
    if dice.chance(70) {
        pod.status.pod_ip = texts.first().cloned().unwrap_or_default();
    }
    pod.status.pod_ips = texts.into_iter().map(|ip| PodIp { ip }).collect();
}

/// All addresses that a pod says it has.
pub(super) fn addresses_of(pod: &Pod) -> Vec<IpAddr> {
    let listed = pod.status.pod_ips.iter().map(|listed| &listed.ip);
    listed.chain([&pod.status.pod_ip]).filter_map(|text| block::address(text)).collect()
}
