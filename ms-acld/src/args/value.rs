//! Values of flags.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use ipnet::IpNet;
use ms_acl_core::ruleset::Family;

/// Where objects come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SourceArg {
    /// The Kubernetes API.
    Kube,
    /// A folder of manifests.
    Dir(PathBuf),
}

impl std::fmt::Display for SourceArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SourceArg::Kube => f.write_str("kube"),
            SourceArg::Dir(path) => write!(f, "dir:{}", path.display()),
        }
    }
}

/// Addresses of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Addresses(pub(crate) Vec<IpAddr>);

/// Where the HTTP API listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bind {
    /// On a port of all addresses of both families.
    All(u16),
    /// On one address.
    One(SocketAddr),
}

impl std::fmt::Display for Bind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Bind::All(port) => write!(f, ":{port}"),
            Bind::One(address) => write!(f, "{address}"),
        }
    }
}

pub(super) fn filled(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.to_owned()) }
}

pub(super) fn source(text: &str) -> Result<SourceArg, String> {
    match text.split_once(':') {
        None if text == "kube" => Ok(SourceArg::Kube),
        Some(("dir", path)) if !path.is_empty() => Ok(SourceArg::Dir(path.into())),
        _ => Err("kube or dir:PATH is needed".to_owned()),
    }
}

pub(super) fn bind(text: &str) -> Result<Bind, String> {
    let all = text.strip_prefix(':').map(|port| port.parse().map(Bind::All).map_err(|_| ()));
    all.unwrap_or_else(|| text.parse().map(Bind::One).map_err(|_| ()))
        .map_err(|()| "an address such as :18080, 127.0.0.1:18080 or [::1]:18080 is needed".to_owned())
}

/// A network; a bare address is a host, host bits are masked.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    net.map(|net| net.trunc()).ok_or_else(|| "networks such as 10.0.0.0/8,fd00::/8 are needed".to_owned())
}

/// Addresses with commas between them; an empty variable is one that isn't set.
pub(super) fn addresses(text: &str) -> Result<Addresses, String> {
    let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
    let addresses: Result<_, _> = texts.map(str::parse).collect();
    addresses.map(Addresses).map_err(|_| "addresses such as 10.0.0.1,fd00::1 are needed".to_owned())
}

/// Hexadecimal behind `0x`, else decimal.
pub(super) fn mask(text: &str) -> Result<u32, String> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let mask = hex.map_or_else(|| text.parse(), |digits| u32::from_str_radix(digits, 16));
    mask.map_err(|_| "a mask of 32 bits such as 0x3800 is needed".to_owned())
}

/// Where a daemon serves its HTTP API.
pub(super) fn server(text: &str) -> Result<Uri, String> {
    let uri = text.parse::<Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    let uri = uri.ok_or_else(|| "an address such as http://127.0.0.1:18080 is needed".to_owned())?;
    match uri.scheme_str() {
        Some("http") if uri.query().is_none() => Ok(uri),
        Some("http") => Err("it must have no query of its own".to_owned()),
        Some("https") => Err("this command speaks no TLS yet, http:// is needed".to_owned()),
        _ => Err("it must begin with http://".to_owned()),
    }
}

pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let time = text.parse().map(Duration::from_secs).ok().or_else(|| humantime::parse_duration(text).ok());
    time.filter(|time| (Duration::from_secs(1)..=Duration::from_hours(24)).contains(time))
        .ok_or_else(|| "a time from 1s to 24h such as 60s or 5m is needed".to_owned())
}

pub(super) fn family(text: &str) -> Result<Family, String> {
    match text {
        "4" => Ok(Family::V4),
        "6" => Ok(Family::V6),
        _ => Err("4 or 6 is needed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_host_means_both_families() {
        assert_eq!(bind(":0"), Ok(Bind::All(0)));
        assert_eq!(bind("127.0.0.1:80"), Ok(Bind::One("127.0.0.1:80".parse().unwrap())));
        assert_eq!(bind("[::1]:80"), Ok(Bind::One("[::1]:80".parse().unwrap())));
        for wrong in ["", ":", "80", ":65536", "localhost", "::1:80x", "1.2.3.4"] {
            assert!(bind(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_mask_is_hexadecimal_or_decimal() {
        assert_eq!(mask("0x3800"), Ok(0x3800));
        assert_eq!(mask("14336"), Ok(0x3800));
        assert!(mask("0x1ffffffff").is_err() && mask("").is_err() && mask("-1").is_err());
    }

    #[test]
    fn a_network_is_made_canonical() {
        assert_eq!(network("10.1.2.3/8"), Ok("10.0.0.0/8".parse().unwrap()));
        assert_eq!(network(" fd00::1"), Ok("fd00::1/128".parse().unwrap()));
        assert!(network("10.0.0.0/33").is_err());
    }

    #[test]
    fn addresses_may_be_none_or_several() {
        assert_eq!(addresses(""), Ok(Addresses(Vec::new())));
        let two = vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
        assert_eq!(addresses("10.0.0.1, fd00::1"), Ok(Addresses(two)));
        assert!(addresses("node1").is_err());
    }

    #[test]
    fn an_interval_has_a_unit_or_is_in_seconds() {
        assert_eq!(interval("60s"), Ok(Duration::from_mins(1)));
        assert_eq!(interval("5"), Ok(Duration::from_secs(5)));
        assert_eq!(interval("2m"), Ok(Duration::from_mins(2)));
        assert!(interval("0").is_err() && interval("10ms").is_err() && interval("2days").is_err());
    }
}
