//! Blocks of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Whether an address lies in a block. Host bits of the block don't matter (34); a block of one
/// family holds no address of the other (35).
pub(super) fn holds(block: IpNet, address: IpAddr) -> bool {
    match (block, address) {
        (IpNet::V4(block), IpAddr::V4(address)) => {
            let ignored = 32 - u32::from(block.prefix_len());
            let shift = |address: Ipv4Addr| u32::from(address).checked_shr(ignored).unwrap_or(0);
            shift(block.addr()) == shift(address)
        }
        (IpNet::V6(block), IpAddr::V6(address)) => {
            let ignored = 128 - u32::from(block.prefix_len());
            let shift = |address: Ipv6Addr| u128::from(address).checked_shr(ignored).unwrap_or(0);
            shift(block.addr()) == shift(address)
        }
        _ => false,
    }
}

/// Whether an address lies in `cidr` and in none of its holes (31). The block is a valid one.
pub(super) fn holds_with_holes(cidr: &str, except: &[String], address: IpAddr) -> bool {
    let lies_in = |text: &str| text.parse().is_ok_and(|block| holds(block, address));
    lies_in(cidr) && !except.iter().any(|hole| lies_in(hole))
}

/// Whether an address is a link-local one of IPv6: fe80::/10.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.segments()[0] & 0xffc0 == 0xfe80)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lies(address: &str, block: &str, holes: &[&str]) -> bool {
        let holes: Vec<String> = holes.iter().map(|&hole| hole.to_owned()).collect();
        holds_with_holes(block, &holes, address.parse().unwrap())
    }

    #[test]
    fn a_block_holds_its_first_and_last_address_and_not_their_neighbours() {
        assert!(lies("10.0.4.0", "10.0.4.0/22", &[]) && lies("10.0.7.255", "10.0.4.0/22", &[]));
        assert!(!lies("10.0.3.255", "10.0.4.0/22", &[]) && !lies("10.0.8.0", "10.0.4.0/22", &[]));
        assert!(lies("fd00::ffff", "fd00::/112", &[]) && !lies("fd00::1:0", "fd00::/112", &[]));
    }

    #[test]
    fn a_block_of_everything_holds_its_family_only() {
        assert!(lies("255.255.255.255", "0.0.0.0/0", &[]) && !lies("::1", "0.0.0.0/0", &[]));
        assert!(lies("ffff::1", "::/0", &[]) && !lies("10.0.0.1", "::/0", &[]));
    }

    #[test]
    fn host_bits_do_not_matter() {
        assert!(lies("10.255.0.1", "10.1.2.3/8", &[]));
        assert!(lies("10.255.0.1", "10.0.0.0/8", &["10.1.2.3/16"]));
        assert!(!lies("10.1.0.0", "10.0.0.0/8", &["10.1.2.3/16"]));
    }

    #[test]
    fn a_hole_is_not_in_its_block() {
        assert!(!lies("10.0.0.5", "10.0.0.0/24", &["10.0.0.9/32", "10.0.0.4/30"]));
        assert!(lies("10.0.0.8", "10.0.0.0/24", &["10.0.0.9/32", "10.0.0.4/30"]));
    }

    #[test]
    fn link_local_is_a_tenth_of_a_byte_and_two_bits() {
        assert!(is_link_local("fe80::1".parse().unwrap()) && is_link_local("febf:ffff::".parse().unwrap()));
        assert!(!is_link_local("fec0::1".parse().unwrap()) && !is_link_local("169.254.0.1".parse().unwrap()));
    }
}
