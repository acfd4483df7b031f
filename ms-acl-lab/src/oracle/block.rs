//! Addresses and blocks of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Reads an address. Kubernetes takes zeros before a decimal number for nothing, and an IPv4-mapped
/// address of IPv6 for the IPv4 address that it holds.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    match spelled(text)? {
        IpAddr::V6(address) => Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4)),
        address @ IpAddr::V4(_) => Some(address),
    }
}

/// Reads a block: an address and, after a `/`, the number of the bits that count.
pub(crate) fn block(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    let only_digits = length.chars().all(|character| character.is_ascii_digit());
    let length = length.parse().ok().filter(|_| only_digits)?;
    Some(unmapped(IpNet::new(spelled(address)?, length).ok()?))
}

/// The block of IPv4 that a block of IPv4-mapped addresses stands for; any other block as it is.
pub(super) fn unmapped(block: IpNet) -> IpNet {
    if let IpNet::V6(v6) = block
        && v6.prefix_len() >= 96
        && let Some(v4) = v6.addr().to_ipv4_mapped()
    {
        return IpNet::new(v4.into(), v6.prefix_len() - 96).unwrap_or(block);
    }
    block
}

fn spelled(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let mut plain = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let starts = plain.is_empty() || plain.ends_with(['.', ':']);
        let ends = characters.peek().is_none_or(|next| !next.is_ascii_hexdigit());
        if character != '0' || !starts || ends || !text.contains('.') {
            plain.push(character);
        }
    }
    plain.parse().ok()
}

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
    let lies_in = |text: &str| block(text).is_some_and(|block| holds(block, address));
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
    fn a_block_of_mapped_addresses_is_a_block_of_ipv4() {
        assert!(lies("10.9.9.9", "::ffff:10.0.0.0/104", &[]));
        assert!(!lies("11.0.0.0", "::ffff:10.0.0.0/104", &[]));
        assert!(lies("10.9.9.9", "::ffff:0:0/96", &[]) && !lies("fd00::1", "::ffff:0:0/96", &[]));
        assert!(!lies("10.9.9.9", "::/0", &[]) && !lies("10.9.9.9", "::fffe:0:0/95", &[]));
        assert_eq!(address("::ffff:10.0.0.1"), address("10.0.0.1"));
    }

    #[test]
    fn numbers_are_decimal_whatever_zeros_they_begin_with() {
        assert!(lies("10.0.8.9", "010.000.08.009/032", &[]) && !lies("10.0.8.8", "010.000.08.009/032", &[]));
        assert_eq!(address("::ffff:010.0.0.1"), address("10.0.0.1"));
        for bad in ["", "10.0.0", "10.0.0.256", "10.0.0.0x1", "10..0.1", ":10.0.0.1", "10.0.0.1 "] {
            assert_eq!(address(bad), None, "{bad}");
        }
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
