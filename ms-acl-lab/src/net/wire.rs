//! The lines of `ip -batch` that wire namespaces. Pure: nothing here runs anything.

use std::net::IpAddr;

use ipnet::IpNet;

use super::address::{self, FABRIC, OUTSIDE, UNDERLAY, host_bits, link_local, mac, mac_text};
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

/// In the fabric: the bridge, and one port for each member: its namespace and its first address.
pub(crate) fn fabric(members: &[(&str, IpAddr)]) -> Vec<String> {
    let mut lines = loopback();
    lines.push(format!("link add {FABRIC_BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"));
    lines.extend(FABRIC.into_iter().zip(UNDERLAY).map(|(address, underlay)| {
        address_line(IpNet::new_assert(address, underlay.prefix_len()), FABRIC_BRIDGE)
    }));
    lines.push(format!("link set {FABRIC_BRIDGE} up"));
    // What nobody has is lost here: without routes IPv6 would answer that it is unreachable.
    lines.extend(["route add blackhole 0.0.0.0/0", "route add blackhole ::/0"].map(str::to_owned));
    for (n, (member, address)) in members.iter().enumerate() {
        let mac = mac_text(mac(*address));
        // Numbers of their own: a veth whose ends have the same number waits a second for its carrier.
        let (port, index) = (fabric_port(n), 100 + n);
        lines.push(format!(
            "link add {port} index {index} type veth peer name {UPLINK} address {mac} netns {member}"
        ));
        lines.push(format!("link set {port} master {FABRIC_BRIDGE} up"));
    }
    lines
}

/// In a node: its uplink, its routes, its bridge if it has one.
pub(crate) fn node(node: &Node, nodes: &[Node], outside: &[IpAddr]) -> Vec<String> {
    let mut lines = uplink(node.addresses);
    lines.extend(default_routes());
    lines.extend(routes_to_nodes(nodes, Some(node)));
    lines.extend(outside.iter().map(|a| format!("route add {} via {}", host(*a), same_family(OUTSIDE, *a))));
    match node.wiring {
        // As Calico: addresses of the range that no pod has are nowhere.
        Wiring::Routed => lines.extend(node.pod_ranges.map(|range| format!("route add blackhole {range}"))),
        Wiring::Bridged => {
            let mac = mac(address::gateway(node.pod_ranges[0]));
            lines.push(format!(
                "link add {POD_BRIDGE} address {} type bridge stp_state 0 forward_delay 0",
                mac_text(mac)
            ));
            lines.push(link_local_line(mac, POD_BRIDGE));
            lines.extend(node.pod_ranges.map(|range| {
                address_line(IpNet::new_assert(address::gateway(range), range.prefix_len()), POD_BRIDGE)
            }));
            lines.push(format!("link set {POD_BRIDGE} up"));
        }
    }
    lines
}

/// The name of a member's port in the fabric.
pub(crate) fn fabric_port(n: usize) -> String {
    format!("port{n}")
}

/// The interfaces that a node has before any pod.
pub(crate) fn node_interfaces(node: &Node) -> &'static [&'static str] {
    match node.wiring {
        Wiring::Routed => &[UPLINK],
        Wiring::Bridged => &[UPLINK, POD_BRIDGE],
    }
}

/// In the outside host: its uplink, its further addresses and its routes.
pub(crate) fn outside(further: &[IpAddr], nodes: &[Node]) -> Vec<String> {
    let mut lines = uplink(OUTSIDE);
    lines.extend(further.iter().map(|a| address_line(host(*a), "lo")));
    lines.extend(default_routes());
    lines.extend(routes_to_nodes(nodes, None));
    lines
}

/// Elsewhere: the route to an address of one of a node's pods, unless the route to the node's range covers it.
pub(crate) fn stray_route(node: &Node, verb: &str, address: IpAddr) -> Option<String> {
    let via = same_family(node.addresses, address);
    (!in_range(node, address)).then(|| format!("route {verb} {} via {via}", host(address)))
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
                link_local_line(ROUTED_MAC, interface),
                format!("link set {interface} up"),
            ];
            lines.extend(
                pod.addresses().map(|a| format!("route add {} dev {interface}{}", host(a), scope(a))),
            );
            lines
        }
        Wiring::Bridged => {
            let mut lines = vec![
                format!("link add {interface} index {index} type veth {peer}"),
                format!("link set {interface} master {POD_BRIDGE} up"),
                // As the bridge plugin's hairpinMode: a pod reaches itself through its Service.
                format!("link set {interface} type bridge_slave hairpin on"),
            ];
            let strays = pod.addresses().filter(|address| !in_range(node, *address));
            lines.extend(strays.map(|address| format!("route add {} dev {POD_BRIDGE}", host(address))));
            lines
        }
    }
}

/// In a node: the end of one of its pods.
///
/// By hand, because the kernel deletes the veth only when it gets to cleaning the pod's namespace up.
pub(crate) fn detach(node: &Node, pod: &Pod) -> Vec<String> {
    let mut lines = vec![format!("link del {}", pod.interface)];
    if node.wiring == Wiring::Bridged {
        // The device of these routes stays.
        let strays = pod.addresses().filter(|address| !in_range(node, *address));
        lines.extend(strays.map(|address| format!("route del {} dev {POD_BRIDGE}", host(address))));
    }
    lines
}

/// In a pod: its addresses and its default routes.
pub(crate) fn pod(node: &Node, pod: &Pod) -> Vec<String> {
    let mut lines = loopback();
    lines.push(link_local_line(pod_mac(pod), UPLINK));
    for address in pod.addresses() {
        let bits = match node.wiring {
            Wiring::Bridged if in_range(node, address) => same_family(node.pod_ranges, address).prefix_len(),
            Wiring::Bridged | Wiring::Routed => host_bits(address),
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
        lines.push(format!("route add {} via {gateway} dev {UPLINK} onlink", everywhere(address)));
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
    lines.push(link_local_line(mac(addresses[0]), UPLINK));
    for (address, underlay) in addresses.into_iter().zip(UNDERLAY) {
        if underlay.contains(&address) {
            lines.push(address_line(IpNet::new_assert(address, underlay.prefix_len()), UPLINK));
        } else {
            lines.push(address_line(host(address), UPLINK));
        }
    }
    lines.push(format!("link set {UPLINK} up"));
    for (address, underlay) in addresses.into_iter().zip(UNDERLAY) {
        if !underlay.contains(&address) {
            lines.push(format!("route add {underlay} dev {UPLINK}"));
        }
    }
    lines
}

fn link_local_line(mac: [u8; 6], interface: &str) -> String {
    address_line(IpNet::new_assert(link_local(mac).into(), 64), interface)
}

fn address_line(address: IpNet, interface: &str) -> String {
    let nodad = if address.addr().is_ipv6() { " nodad" } else { "" };
    format!("addr add {address} dev {interface}{nodad}")
}

/// To the fabric, where what has no better route is lost.
fn default_routes() -> [String; 2] {
    FABRIC.map(|gateway| format!("route add {} via {gateway}", everywhere(gateway)))
}

/// The routes to nodes' own addresses, where they aren't on the underlay's network, and to their pods.
fn routes_to_nodes(nodes: &[Node], except: Option<&Node>) -> Vec<String> {
    let mut lines = Vec::new();
    for node in nodes.iter().filter(|node| except.is_none_or(|except| except.name != node.name)) {
        for ((range, via), underlay) in node.pod_ranges.iter().zip(node.addresses).zip(UNDERLAY) {
            if !underlay.contains(&via) {
                lines.push(format!("route add {} dev {UPLINK}", host(via)));
            }
            lines.push(format!("route add {range} via {via}"));
        }
    }
    lines
}

fn in_range(node: &Node, address: IpAddr) -> bool {
    same_family(node.pod_ranges, address).contains(&address)
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
