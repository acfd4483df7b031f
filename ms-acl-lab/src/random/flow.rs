//! Flows at the edges of what a world's policies say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use ms_acl_core::object::IntOrString;
use serde_json::Value;

use super::{Dice, address, pod};
use crate::oracle::{Flow, Protocol, World, block, governs_egress, governs_ingress};

/// Where a world's answers can change.
struct Edges {
    /// Addresses of pods, in whatever state.
    pods: Vec<IpAddr>,
    /// Addresses of pods of which a policy says something.
    governed: Vec<IpAddr>,
    /// Addresses of pods, nodes, strangers, and on both sides of every edge of every block.
    addresses: Vec<IpAddr>,
    /// Ports on both sides of every edge of every range.
    ports: Vec<u16>,
    /// The ports that the pods at an address name.
    doors: BTreeMap<IpAddr, Vec<(Protocol, u16)>>,
}

/// All flows at the edges that have a pod at one of their ends, without repetition. These are many:
/// ten thousand for a small world.
pub fn edge_flows(world: &World) -> Vec<Flow> {
    let edges = edges(world);
    let mut flows = BTreeSet::new();
    for &pod in &edges.pods {
        for &other in edges.addresses.iter().filter(|other| other.is_ipv4() == pod.is_ipv4()) {
            for (from, to) in [(pod, other), (other, pod)] {
                flows.insert(Flow { from, to, protocol: Protocol::Icmp, port: 0 });
                for &port in &edges.ports {
                    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
                        flows.insert(Flow { from, to, protocol, port });
                    }
                }
            }
        }
    }
    flows.into_iter().collect()
}

/// So many of the flows at the edges, with repetition: more of those between pods than of others.
/// None where the world has no address of a pod.
pub fn some_flows(world: &World, dice: &mut Dice, count: usize) -> Vec<Flow> {
    let edges = edges(world);
    if edges.pods.is_empty() {
        return Vec::new();
    }
    (0..count).map(|_| edges.flow(dice)).collect()
}

impl Edges {
    fn flow(&self, dice: &mut Dice) -> Flow {
        let governed = !self.governed.is_empty() && dice.chance(60);
        let pod = dice.pick(if governed { &self.governed } else { &self.pods });
        let among = if dice.chance(60) { &self.pods } else { &self.addresses };
        let of_family: Vec<IpAddr> =
            among.iter().copied().filter(|ip| ip.is_ipv4() == pod.is_ipv4()).collect();
        let other = dice.pick(&of_family);
        let (from, to) = if dice.chance(50) { (pod, other) } else { (other, pod) };
        if let Some(doors) = self.doors.get(&to).filter(|_| dice.chance(40)) {
            let (protocol, port) = dice.pick(doors);
            return Flow { from, to, protocol, port };
        }
        let protocol = dice.pick(&[
            Protocol::Tcp,
            Protocol::Tcp,
            Protocol::Tcp,
            Protocol::Udp,
            Protocol::Sctp,
            Protocol::Icmp,
        ]);
        let port = if protocol == Protocol::Icmp { 0 } else { dice.pick(&self.ports) };
        Flow { from, to, protocol, port }
    }
}

fn edges(world: &World) -> Edges {
    let pods: BTreeSet<IpAddr> =
        world.pods.iter().filter(|pod| !pod.spec.host_network).flat_map(pod::addresses_of).collect();
    let mut addresses = pods.clone();
    addresses.extend(world.pods.iter().flat_map(pod::addresses_of));
    addresses.extend(address::strangers());
    for node in &world.nodes {
        addresses.extend(node.status.addresses.iter().filter_map(|listed| block::address(&listed.address)));
    }
    addresses.extend(world.local_addresses.values().flatten());
    for block in blocks(world) {
        addresses.extend(edges_of_block(block));
    }
    let mut ports = BTreeSet::from([1, 80, 65535]);
    for (first, last) in ranges(world) {
        ports.extend([first.saturating_sub(1).max(1), first.max(1), last.max(1), last.saturating_add(1)]);
    }
    let pods: Vec<IpAddr> = pods.into_iter().collect();
    let is_governed = |pod: &&IpAddr| governs_egress(world, **pod) || governs_ingress(world, **pod);
    // In a crowd a few are enough: to ask for each takes long.
    let some = pods.iter().step_by(pods.len().div_ceil(32).max(1));
    Edges {
        governed: some.filter(is_governed).copied().collect(),
        pods,
        addresses: addresses.into_iter().collect(),
        ports: ports.into_iter().collect(),
        doors: doors(world),
    }
}

fn doors(world: &World) -> BTreeMap<IpAddr, Vec<(Protocol, u16)>> {
    let mut doors: BTreeMap<IpAddr, Vec<(Protocol, u16)>> = BTreeMap::new();
    for pod in &world.pods {
        for container in pod.spec.containers.iter().chain(&pod.spec.init_containers) {
            for port in &container.ports {
                let protocol = match port.protocol.as_str() {
                    "UDP" => Protocol::Udp,
                    "SCTP" => Protocol::Sctp,
                    _ => Protocol::Tcp,
                };
                let Ok(number) = u16::try_from(port.container_port) else { continue };
                for address in pod::addresses_of(pod) {
                    doors.entry(address).or_default().push((protocol, number));
                }
            }
        }
    }
    doors
}

/// The first and the last address of a block and their neighbours outside, as far as there are any.
fn edges_of_block(block: IpNet) -> Vec<IpAddr> {
    let mut edges = vec![block.network(), block.broadcast()];
    edges.extend(neighbours(block));
    edges
}

/// The addresses just outside of a block, as far as there are any.
pub(super) fn neighbours(block: IpNet) -> Vec<IpAddr> {
    [step(block.network(), false), step(block.broadcast(), true)].into_iter().flatten().collect()
}

fn step(address: IpAddr, up: bool) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => {
            let bits = u32::from(address);
            let bits = if up { bits.checked_add(1) } else { bits.checked_sub(1) };
            bits.map(|bits| Ipv4Addr::from(bits).into())
        }
        IpAddr::V6(address) => {
            let bits = u128::from(address);
            let bits = if up { bits.checked_add(1) } else { bits.checked_sub(1) };
            bits.map(|bits| Ipv6Addr::from(bits).into())
        }
    }
}

/// All blocks of a world: of policies, of the document, of the settings.
fn blocks(world: &World) -> Vec<IpNet> {
    let mut texts: Vec<String> = Vec::new();
    for policy in &world.network_policies {
        let from = policy.spec.ingress.iter().flat_map(|rule| &rule.from);
        let to = policy.spec.egress.iter().flat_map(|rule| &rule.to);
        for block in from.chain(to).filter_map(|peer| peer.ip_block.as_ref()) {
            texts.push(block.cidr.clone());
            texts.extend(block.except.iter().cloned());
        }
    }
    texts_of(&world.acl, &mut texts);
    let hosts = texts.iter().filter_map(|text| block::address(text)).map(IpNet::from);
    let mut blocks: Vec<IpNet> = texts.iter().filter_map(|text| block::block(text)).chain(hosts).collect();
    blocks.extend(&world.settings.pod_ip_range);
    blocks.extend("fe80::/10".parse::<IpNet>());
    blocks
}

/// All texts in a document, whatever they mean.
fn texts_of(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| texts_of(value, texts)),
        Value::Object(fields) => fields.values().for_each(|value| texts_of(value, texts)),
        _ => {}
    }
}

/// All ranges of ports of a world: of containers, of policies, of the document.
fn ranges(world: &World) -> Vec<(u16, u16)> {
    let mut ranges = Vec::new();
    for pod in &world.pods {
        for container in pod.spec.containers.iter().chain(&pod.spec.init_containers) {
            let numbers = container.ports.iter().filter_map(|port| u16::try_from(port.container_port).ok());
            ranges.extend(numbers.map(|number| (number, number)));
        }
    }
    for policy in &world.network_policies {
        let ingress = policy.spec.ingress.iter().flat_map(|rule| &rule.ports);
        let egress = policy.spec.egress.iter().flat_map(|rule| &rule.ports);
        for port in ingress.chain(egress) {
            if let Some(IntOrString::Int(first)) = port.port {
                let ends = (u16::try_from(first), u16::try_from(port.end_port.unwrap_or(first)));
                ranges.extend(ends.0.ok().zip(ends.1.ok()));
            }
        }
    }
    numbers_of(&world.acl, &mut ranges);
    ranges
}

/// All numbers in a document, and texts that look like ranges.
fn numbers_of(value: &Value, ranges: &mut Vec<(u16, u16)>) {
    match value {
        Value::Number(number) => {
            ranges.extend(
                number.as_u64().and_then(|number| u16::try_from(number).ok()).map(|port| (port, port)),
            );
        }
        Value::String(text) => {
            let ends =
                text.split_once('-').and_then(|(first, last)| first.parse().ok().zip(last.parse().ok()));
            ranges.extend(ends);
        }
        Value::Array(values) => values.iter().for_each(|value| numbers_of(value, ranges)),
        Value::Object(fields) => fields.values().for_each(|value| numbers_of(value, ranges)),
        _ => {}
    }
}
