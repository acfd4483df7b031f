//! The lab's addresses: one underlay, one pod range a node in each family.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use ms_acl_core::ruleset::Family;

/// The underlay's own address in the fabric, the default gateway of nodes. It forwards nothing.
pub(crate) const FABRIC: [IpAddr; 2] = underlay(0, 1);
/// The outside host's addresses on the underlay.
pub(crate) const OUTSIDE: [IpAddr; 2] = underlay(1, 1);
/// The networks of the underlay.
pub(crate) const UNDERLAY: [IpNet; 2] = [
    IpNet::new_assert(IpAddr::V4(Ipv4Addr::new(172, 30, 0, 0)), 16),
    IpNet::new_assert(IpAddr::V6(Ipv6Addr::new(0xfd00, 0x172, 0x30, 0, 0, 0, 0, 0)), 64),
];

/// The underlay address of the node with this number.
pub(crate) fn node(number: u8) -> [IpAddr; 2] {
    underlay(0, 10 + u16::from(number))
}

const fn underlay(high: u8, low: u16) -> [IpAddr; 2] {
    let [_, last] = low.to_be_bytes();
    [
        IpAddr::V4(Ipv4Addr::new(172, 30, high, last)),
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0x172, 0x30, 0, 0, 0, high as u16, low)),
    ]
}

/// The pod ranges of the node with this number: a /24 and a /64.
pub(crate) fn pod_ranges(number: u8) -> [IpNet; 2] {
    let v4 = Ipv4Net::new_assert(Ipv4Addr::new(10, 244, number, 0), 24);
    let v6 = Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0x10, 0x244, number.into(), 0, 0, 0, 0), 64);
    [v4.into(), v6.into()]
}

/// The first address of a pod range: the gateway of bridged pods.
pub(crate) fn gateway(range: IpNet) -> IpAddr {
    nth(range, 1)
}

/// The first address of a range that `taken` doesn't refuse, past network and gateway.
pub(crate) fn free(range: IpNet, taken: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    (2..255).map(|n| nth(range, n)).find(|address| !taken(*address))
}

fn nth(range: IpNet, n: u8) -> IpAddr {
    match range.network() {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() + u32::from(n))),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() + u128::from(n))),
    }
}

/// The number of bits of a host's network: 32 or 128.
pub(crate) fn host_bits(address: IpAddr) -> u8 {
    Family::of(address).bits()
}

/// An Ethernet address derived from a pod's first address, as the bridge plugin of CNI did it: whoever gets an
/// address again also gets its Ethernet address, so nobody's neighbour table grows stale.
pub(crate) fn mac(address: IpAddr) -> [u8; 6] {
    let [.., a, b, c, d] = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            (bits ^ (bits >> 64) ^ (bits >> 32)).to_be_bytes()
        }
    };
    [0x0a, 0x58, a, b, c, d]
}

/// The link-local address that the kernel forms from an Ethernet address (RFC 4291, appendix A).
pub(crate) fn link_local(mac: [u8; 6]) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets[..2].copy_from_slice(&[0xfe, 0x80]);
    octets[8..11].copy_from_slice(&mac[..3]);
    octets[11..13].copy_from_slice(&[0xff, 0xfe]);
    octets[13..].copy_from_slice(&mac[3..]);
    // The bit that says "universally administered", inverted.
    octets[8] ^= 2;
    Ipv6Addr::from_octets(octets)
}

/// An Ethernet address as `ip link` takes it.
pub(crate) fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_addresses_are_the_kernels() {
        assert_eq!(link_local([0xee; 6]), "fe80::ecee:eeff:feee:eeee".parse::<Ipv6Addr>().unwrap());
    }

    #[test]
    fn free_addresses_skip_network_gateway_and_taken_ones() {
        let [v4, v6] = pod_ranges(3);
        assert_eq!(free(v4, |_| false), Some("10.244.3.2".parse().unwrap()));
        assert_eq!(free(v6, |a| a == nth(v6, 2)), Some("fd00:10:244:3::3".parse().unwrap()));
        assert_eq!(free(v4, |_| true), None);
    }

    #[test]
    fn ethernet_addresses_follow_pod_addresses() {
        assert_eq!(mac_text(mac("10.244.1.2".parse().unwrap())), "0a:58:0a:f4:01:02");
        assert_ne!(mac("fd00::1:2".parse().unwrap()), mac("fd00::2:2".parse().unwrap()));
    }
}
