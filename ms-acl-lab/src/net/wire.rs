//! The lines of `ip -batch` that wire namespaces. Pure: nothing here runs anything.

use std::net::IpAddr;

use ipnet::IpNet;

use super::address::{self, FABRIC, UNDERLAY_BITS, host_bits, link_local, mac, mac_text};
use super::cluster::{Node, Pod};
use super::spec::Wiring;

/// The interface of every namespace but the fabric's towards its neighbour.
pub(crate) const UPLINK: &str = "eth0";
/// The bridge in the fabric.
const FABRIC_BRIDGE: &str = "fab0";
/// The bridge of a node with bridged pods.
const POD_BRIDGE: &str = "cni0";
/// The gateway that a routed pod sends IPv4 packets to; the node answers ARP for it.
const ROUTED_GATEWAY: &str = "169.254.1.1";
/// The Ethernet address of the node's end of every routed pod's veth.
const ROUTED_MAC: [u8; 6] = [0xee; 6];

/// In the fabric: the bridge, and one port for each namespace of `members`.
pub(crate) fn fabric(members: &[&str]) -> Vec<String> {
    let mut lines = loopback();
    lines.push(format!("link add {FABRIC_BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"));
    lines.extend(underlay_addresses(FABRIC, FABRIC_BRIDGE));
    lines.push(format!("link set {FABRIC_BRIDGE} up"));
    for (n, member) in members.iter().enumerate() {
        // Numbers of their own: a veth whose ends have the same number waits a second for its carrier.
        let index = 100 + n;
        lines.push(format!("link add port{n} index {index} type veth peer name {UPLINK} netns {member}"));
        lines.push(format!("link set port{n} master {FABRIC_BRIDGE} up"));
    }
    lines
}

/// In a node: its uplink, its routes, its bridge if it has one.
pub(crate) fn node(
    node: &Node,
    others: &[&Node],
    outside: &[IpAddr],
    outside_via: [IpAddr; 2],
) -> Vec<String> {
    let mut lines = uplink(node.addresses);
    lines.push(format!("route add 0.0.0.0/0 via {}", FABRIC[0]));
    lines.push(format!("route add ::/0 via {}", FABRIC[1]));
    lines.extend(routes_to_pods(others));
    for address in outside {
        lines.push(format!("route add {} via {}", host(*address), same_family(outside_via, *address)));
    }
    match node.wiring {
        // As Calico: addresses of the range that no pod has are nowhere.
        Wiring::Routed => lines.extend(node.pod_ranges.map(|range| format!("route add blackhole {range}"))),
        Wiring::Bridged => {
            lines.push(format!("link add {POD_BRIDGE} type bridge stp_state 0 forward_delay 0"));
            lines.extend(node.pod_ranges.map(|range| {
                address_line(IpNet::new_assert(address::gateway(range), range.prefix_len()), POD_BRIDGE)
            }));
            lines.push(format!("link set {POD_BRIDGE} up"));
        }
    }
    lines
}

/// The interfaces that a node has before any pod.
pub(crate) fn node_interfaces(node: &Node) -> &'static [&'static str] {
    match node.wiring {
        Wiring::Routed => &[UPLINK],
        Wiring::Bridged => &[UPLINK, POD_BRIDGE],
    }
}

/// In the outside host: its uplink, its further addresses and its routes.
pub(crate) fn outside(addresses: [IpAddr; 2], further: &[IpAddr], nodes: &[&Node]) -> Vec<String> {
    let mut lines = uplink(addresses);
    lines.extend(further.iter().map(|a| address_line(host(*a), "lo")));
    lines.extend(routes_to_pods(nodes));
    lines
}

/// In a node: the veth of one of its pods, and the routes to it.
pub(crate) fn attach(node: &Node, pod: &Pod, namespace: &str) -> Vec<String> {
    let Pod { interface, index, .. } = pod;
    let peer = format!("peer name {UPLINK} address {} netns {namespace}", mac_text(pod_mac(pod)));
    match node.wiring {
        Wiring::Routed => {
            let own = mac_text(ROUTED_MAC);
            let mut lines = vec![
                format!("link add {interface} index {index} address {own} type veth {peer}"),
                format!("link set {interface} up"),
            ];
            lines.extend(
                pod.addresses().map(|a| format!("route add {} dev {interface}{}", host(a), scope(a))),
            );
            lines
        }
        Wiring::Bridged => vec![
            format!("link add {interface} index {index} type veth {peer}"),
            format!("link set {interface} master {POD_BRIDGE} up"),
            // As the bridge plugin's hairpinMode: a pod reaches itself through its Service.
            format!("link set {interface} type bridge_slave hairpin on"),
        ],
    }
}

/// In a pod: its addresses and its default routes.
pub(crate) fn pod(node: &Node, pod: &Pod) -> Vec<String> {
    let mut lines = loopback();
    for (address, range) in pod.addresses().map(|a| (a, same_family(node.pod_ranges, a))) {
        let bits = match node.wiring {
            Wiring::Routed => host_bits(address),
            Wiring::Bridged => range.prefix_len(),
        };
        lines.push(address_line(IpNet::new_assert(address, bits), UPLINK));
    }
    lines.push(format!("link set {UPLINK} up"));
    if node.wiring == Wiring::Routed && pod.v4.is_some() {
        lines.push(format!("route add {ROUTED_GATEWAY} dev {UPLINK} scope link"));
    }
    for address in pod.addresses() {
        let gateway = match (node.wiring, address) {
            (Wiring::Bridged, _) => address::gateway(same_family(node.pod_ranges, address)).to_string(),
            (Wiring::Routed, IpAddr::V4(_)) => ROUTED_GATEWAY.to_owned(),
            (Wiring::Routed, IpAddr::V6(_)) => link_local(ROUTED_MAC).to_string(),
        };
        lines.push(format!("route add {} via {gateway} dev {UPLINK}", everywhere(address)));
    }
    lines
}

/// The Ethernet address of a pod.
pub(crate) fn pod_mac(pod: &Pod) -> [u8; 6] {
    pod.addresses().next().map_or([2; 6], mac)
}

fn loopback() -> Vec<String> {
    vec!["link set lo up".to_owned()]
}

fn uplink(addresses: [IpAddr; 2]) -> Vec<String> {
    let mut lines = loopback();
    lines.extend(underlay_addresses(addresses, UPLINK));
    lines.push(format!("link set {UPLINK} up"));
    lines
}

fn underlay_addresses(addresses: [IpAddr; 2], interface: &str) -> [String; 2] {
    let [v4, v6] = addresses;
    let [v4_bits, v6_bits] = UNDERLAY_BITS;
    [(v4, v4_bits), (v6, v6_bits)].map(|(a, bits)| address_line(IpNet::new_assert(a, bits), interface))
}

fn address_line(address: IpNet, interface: &str) -> String {
    let nodad = if address.addr().is_ipv6() { " nodad" } else { "" };
    format!("addr add {address} dev {interface}{nodad}")
}

fn routes_to_pods<'a>(nodes: &'a [&Node]) -> impl Iterator<Item = String> + 'a {
    nodes.iter().flat_map(|node| {
        node.pod_ranges.iter().zip(node.addresses).map(|(range, via)| format!("route add {range} via {via}"))
    })
}

fn host(address: IpAddr) -> IpNet {
    IpNet::new_assert(address, host_bits(address))
}

fn everywhere(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "0.0.0.0/0" } else { "::/0" }
}

fn scope(address: IpAddr) -> &'static str {
    if address.is_ipv4() { " scope link" } else { "" }
}

fn same_family<T>([v4, v6]: [T; 2], address: IpAddr) -> T {
    if address.is_ipv4() { v4 } else { v6 }
}
