//! Kernel settings of the lab's namespaces, written to `/proc/sys` of the calling thread's namespace.

use std::fs;

use super::error::{Doing, Result};

/// Settings of every namespace.
///
/// IPv6 works at once (no duplicate address detection; link-local addresses are the lab's to add, because the kernel
/// does it in the background), refusals are never rate-limited, and echo sockets are open
/// to everybody.
const EVERYWHERE: &[(&str, &str)] = &[
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/conf/all/accept_redirects", "0"),
    ("ipv4/conf/default/accept_redirects", "0"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv4/conf/all/arp_notify", "1"),
    ("ipv4/conf/default/arp_notify", "1"),
    ("ipv4/icmp_ratelimit", "0"),
    ("ipv4/icmp_ratemask", "0"),
    ("ipv4/icmp_msgs_per_sec", "1000000"),
    ("ipv4/icmp_msgs_burst", "1000000"),
    ("ipv4/ping_group_range", "0 2147483647"),
    ("ipv6/conf/all/disable_ipv6", "0"),
    ("ipv6/conf/default/disable_ipv6", "0"),
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/dad_transmits", "0"),
    ("ipv6/conf/all/accept_ra", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/default/router_solicitations", "0"),
    ("ipv6/conf/default/addr_gen_mode", "1"),
    ("ipv6/conf/all/ndisc_notify", "1"),
    ("ipv6/conf/default/ndisc_notify", "1"),
    ("ipv6/icmp/ratelimit", "0"),
];

/// Further settings of a node: it routes.
const NODE: &[(&str, &str)] = &[("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")];

/// Further settings of a node whose pods sit on a bridge: bridged packets pass iptables.
const BRIDGED: &[(&str, &str)] =
    &[("bridge/bridge-nf-call-iptables", "1"), ("bridge/bridge-nf-call-ip6tables", "1")];

/// Further settings of the underlay's namespace: its bridge only switches.
const FABRIC: &[(&str, &str)] = &[("ipv4/ip_forward", "0"), ("ipv6/conf/all/forwarding", "0")];

/// The settings that only exist where the module br_netfilter is loaded; off for the fabric.
const FABRIC_BRIDGE: &[(&str, &str)] =
    &[("bridge/bridge-nf-call-iptables", "0"), ("bridge/bridge-nf-call-ip6tables", "0")];

/// Makes the settings of a pod or an outside host.
pub(crate) fn host() -> Result<()> {
    write_all(EVERYWHERE)
}

/// Makes the settings of a node; `bridged` if its pods sit on a bridge.
pub(crate) fn node(bridged: bool) -> Result<()> {
    write_all(EVERYWHERE)?;
    write_all(NODE)?;
    if bridged { write_all(BRIDGED) } else { Ok(()) }
}

/// Makes the settings of the underlay's namespace.
pub(crate) fn fabric() -> Result<()> {
    write_all(EVERYWHERE)?;
    write_all(FABRIC)?;
    if has_bridge_filter() { write_all(FABRIC_BRIDGE) } else { Ok(()) }
}

/// Makes the settings of an interface: the search for a neighbour lasts longer than any test.
///
/// With the kernel's three attempts an address that nobody has would give an ICMP error in the middle of a later
/// probe: a refusal where the truth is that nothing answers. (A namespace has no defaults for this.)
pub(crate) fn interface(interface: &str) -> Result<()> {
    write(&format!("ipv4/neigh/{interface}/mcast_solicit"), "1000")?;
    write(&format!("ipv6/neigh/{interface}/mcast_solicit"), "1000")
}

/// Makes the settings of the node's end of a routed pod's veth: it answers for the pod's gateway, at once.
pub(crate) fn gateway_interface(interface: &str) -> Result<()> {
    self::interface(interface)?;
    write(&format!("ipv4/conf/{interface}/proxy_arp"), "1")?;
    write(&format!("ipv4/neigh/{interface}/proxy_delay"), "0")
}

/// Whether br_netfilter is there.
pub(crate) fn has_bridge_filter() -> bool {
    fs::exists("/proc/sys/net/bridge").unwrap_or(false)
}

fn write_all(settings: &[(&str, &str)]) -> Result<()> {
    settings.iter().try_for_each(|(name, value)| write(name, value))
}

fn write(name: &str, value: &str) -> Result<()> {
    fs::write(format!("/proc/sys/net/{name}"), value).doing(|| format!("set net/{name} to {value}"))
}
