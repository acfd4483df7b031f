//! Addresses, and blocks that have them near their edges.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::Dice;

/// Addresses that are nobody's.
pub(super) fn strangers() -> Vec<IpAddr> {
    [
        "203.0.113.7",
        "198.51.100.200",
        "10.1.2.3",
        "169.254.1.1",
        "2001:db8::7",
        "fc00::1",
        "fe80::9",
        "fd00:245::1",
    ]
    .iter()
    .filter_map(|text| text.parse().ok())
    .collect()
}

/// The address of a pod on the node of this number.
pub(super) fn of_pod(dice: &mut Dice, node: usize, ipv4: bool) -> IpAddr {
    let host = dice.between(1, 20);
    in_node_range(node, if dice.chance(10) { 253 } else { host }, ipv4)
}

/// An address of a node's pod range. Hosts from 256 on lie in a further range of it.
pub(super) fn in_node_range(node: usize, host: usize, ipv4: bool) -> IpAddr {
    let byte = |number: usize| u8::try_from(number % 256).unwrap_or(0);
    if ipv4 {
        let second = if host < 256 { 244 } else { byte(100 + host / 256) };
        Ipv4Addr::new(10, second, byte(node), byte(host)).into()
    } else {
        let word = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
        Ipv6Addr::new(0xfd00, 0x244, word(node), 0, 0, 0, 0, word(host)).into()
    }
}

/// An address as it may be written: seldom as an IPv4-mapped one of IPv6, or with zeros before its numbers.
pub(super) fn spelled(dice: &mut Dice, address: IpAddr) -> String {
    match (address, dice.below(40)) {
        (IpAddr::V4(address), 0) => address.to_ipv6_mapped().to_string(),
        (IpAddr::V4(address), 1) => address.octets().map(|number| format!("{number:03}")).join("."),
        _ => address.to_string(),
    }
}

/// A block as it may be written, likewise.
pub(super) fn spelled_block(dice: &mut Dice, block: IpNet) -> String {
    let address = spelled(dice, block.addr());
    let shift = if address.starts_with("::ffff:") && block.addr().is_ipv4() { 96 } else { 0 };
    format!("{address}/{}", block.prefix_len() + shift)
}

/// A block around one of these addresses: of any length, as likely as not with host bits.
pub(super) fn block(dice: &mut Dice, around: &[IpAddr]) -> IpNet {
    let address = dice.pick(around);
    let length = match (address, dice.below(10)) {
        (_, 0) => 0,
        (IpAddr::V4(_), 1..=3) => dice.pick(&[8, 12, 16, 24]),
        (IpAddr::V6(_), 1..=3) => dice.pick(&[7, 8, 10, 32, 48, 64, 112]),
        (IpAddr::V4(_), 4..=6) => 32,
        (IpAddr::V6(_), 4..=6) => 128,
        (IpAddr::V4(_), _) => dice.between(1, 32),
        (IpAddr::V6(_), _) => dice.between(1, 128),
    };
    let whole = IpNet::new_assert(address, u8::try_from(length).unwrap_or(0));
    if dice.chance(50) { whole.trunc() } else { whole }
}

/// Holes of a block: around these addresses, halves, nested, equal, overlapping.
pub(super) fn holes(dice: &mut Dice, outer: IpNet, around: &[IpAddr]) -> Vec<IpNet> {
    let inside: Vec<IpAddr> = around.iter().copied().filter(|address| outer.contains(address)).collect();
    let first = outer.prefix_len() + 1;
    if first > outer.max_prefix_len() || inside.is_empty() || dice.chance(50) {
        return Vec::new();
    }
    if dice.chance(6) {
        // Two halves leave nothing.
        return outer.subnets(first).map(Iterator::collect).unwrap_or_default();
    }
    let mut holes = dice.several(1, 3, |dice| {
        let length = match dice.below(4) {
            0 => outer.max_prefix_len(),
            1 => first,
            _ => {
                first + u8::try_from(dice.below(usize::from(outer.max_prefix_len() - first) + 1)).unwrap_or(0)
            }
        };
        let hole = IpNet::new_assert(dice.pick(&inside), length);
        if dice.chance(50) { hole.trunc() } else { hole }
    });
    if dice.chance(15) {
        holes.push(holes[0]);
    }
    holes
}
