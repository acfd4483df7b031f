//! Texts of addresses and networks, as the API server reads them.
//!
//! Kubernetes reads addresses as Go once did: numbers of an IPv4 address are decimal and may begin
//! with zeros, and an IPv4-mapped IPv6 address is the IPv4 address. Newer API servers refuse both in
//! new objects and keep them in old ones, so both have to mean what they mean there.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// Reads an address.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    spelled(text).map(|address| address.to_canonical())
}

/// Reads a network, with the host bits that it was written with.
pub(crate) fn network(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(unmapped(IpNet::new(spelled(address)?, length.parse().ok()?).ok()?))
}

/// The IPv4 network that an IPv6 network is, if all its addresses are IPv4-mapped; else the network.
pub(crate) fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let length = v6.prefix_len().checked_sub(96);
    let net4 = length.and_then(|length| Ipv4Net::new(v6.addr().to_ipv4_mapped()?, length).ok());
    net4.map_or(net, IpNet::V4)
}

fn spelled(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    // The dotted part, alone or at the end of an IPv6 address, without the zeros before its numbers.
    let (before, dotted) = text.split_at(text.rfind(':').map_or(0, |colon| colon + 1));
    let number = |part: &str| match part.trim_start_matches('0') {
        "" if !part.is_empty() => "0".to_owned(),
        rest => rest.to_owned(),
    };
    let dotted = dotted.split('.').map(number).collect::<Vec<_>>().join(".");
    format!("{before}{dotted}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Option<String> {
        network(text).map(|net| net.to_string())
    }

    #[test]
    fn an_ipv4_mapped_network_is_the_ipv4_network() {
        assert_eq!(net("::ffff:10.0.0.0/104").as_deref(), Some("10.0.0.0/8"));
        assert_eq!(net("::ffff:0:0/96").as_deref(), Some("0.0.0.0/0"));
        assert_eq!(net("::ffff:a00:1/128").as_deref(), Some("10.0.0.1/32"));
        assert_eq!(net("::fffe:0:0/95").as_deref(), Some("::fffe:0:0/95"));
        assert_eq!(net("::/0").as_deref(), Some("::/0"));
        assert_eq!(address("::ffff:10.0.0.1"), "10.0.0.1".parse().ok());
    }

    #[test]
    fn numbers_that_begin_with_zeros_are_decimal() {
        assert_eq!(net("010.000.0.08/08").as_deref(), Some("10.0.0.8/8"));
        assert_eq!(net("::ffff:010.0.0.1/128").as_deref(), Some("10.0.0.1/32"));
        assert_eq!(address("10.0.0.010"), "10.0.0.10".parse().ok());
    }

    #[test]
    fn what_is_no_network_is_none() {
        for text in [
            "",
            "/",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "fd00::/129",
            "10.0.0/8",
            "10.0.0.256/8",
            "web/8",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            " 10.0.0.0/8",
            "10..0.0/8",
            ":10.0.0.0/8",
            "::10.0.0.0.0/8",
            "10.0.0.0/-1",
            "fe80::1%eth0/64",
            "10.0.0.0/255.0.0.0",
            "10.0.0.0/99999999999999999999",
        ] {
            assert_eq!(net(text), None, "{text}");
        }
    }
}
