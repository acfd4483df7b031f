//! One rule of an entry.

use std::net::IpAddr;

use ipnet::IpNet;

use super::action;
use super::read::{Fields, Reader};
use crate::lower::{Tree, TreeNumber, cidr};
use crate::model::{Block, Peer, Peers, PolicyRule, PortMatch, PortRange, PortSpec, Ports, Protocol};
use crate::ruleset::{Direction, ObjectRef};

const FIELDS: [&str; 11] = [
    "action",
    "direction",
    "srcCIDR",
    "srcCIDRs",
    "dstCIDR",
    "dstCIDRs",
    "protocol",
    "port",
    "ports",
    "name",
    "log",
];

/// Reads a rule. `None` where so much is wrong that there is none; the faults are with the reader.
pub(super) fn rule(
    reader: &mut Reader,
    path: &str,
    item: &Tree,
    index: usize,
    object: &ObjectRef,
) -> Option<(Direction, PolicyRule)> {
    let fields = reader.fields(path, item, &FIELDS);
    let action = if let Some((path, value)) = fields.get("action") {
        action(reader, &path, value)
    } else {
        if matches!(item, Tree::Map(_)) {
            reader.fault(&fields.path_of("action"), "is missing".to_owned());
        }
        None
    };
    let direction = direction(reader, &fields);
    let peers = peers(reader, &fields, direction);
    let ports = ports(reader, &fields);
    let label = fields.get("name").and_then(|(path, value)| reader.text(&path, value)).map(str::to_owned);
    let log = log(reader, &fields).then(|| format!("MS {}/{}#{index} ", object.namespace, object.name));
    Some((direction, PolicyRule { index, label, peers, ports, action: action?, log }))
}

fn direction(reader: &mut Reader, fields: &Fields<'_>) -> Direction {
    let Some((path, value)) = fields.get("direction") else { return Direction::Ingress };
    match reader.text(&path, value).map(str::to_ascii_lowercase).as_deref() {
        Some("egress") => Direction::Egress,
        Some("ingress") | None => Direction::Ingress,
        Some(other) => {
            reader.fault(&path, format!("{other:?} is not a direction: ingress and egress are"));
            Direction::Ingress
        }
    }
}

fn log(reader: &mut Reader, fields: &Fields<'_>) -> bool {
    match fields.get("log") {
        Some((_, Tree::Bool(log))) => *log,
        Some((path, other)) => {
            reader.fault(&path, format!("is {}, a boolean is needed", other.kind()));
            false
        }
        None => false,
    }
}

fn peers(reader: &mut Reader, fields: &Fields<'_>, direction: Direction) -> Peers {
    let (one, many, wrong) = match direction {
        Direction::Ingress => ("srcCIDR", "srcCIDRs", ["dstCIDR", "dstCIDRs"]),
        Direction::Egress => ("dstCIDR", "dstCIDRs", ["srcCIDR", "srcCIDRs"]),
    };
    for field in wrong {
        if fields.has(field) {
            reader.fault(&fields.path_of(field), format!("an {direction} rule has {one} or {many}"));
        }
    }
    if fields.has(one) && fields.has(many) {
        reader.fault(&fields.path_of(many), format!("{one} and {many} can't both be given"));
    }
    let mut items = reader.filled_list(fields, many);
    items.extend(fields.get(one));
    if items.is_empty() {
        return Peers::Any;
    }
    let blocks = items.into_iter().filter_map(|(path, value)| network(reader, &path, value));
    Peers::Of(blocks.map(|net| Peer::Block(Block { net, except: Vec::new() })).collect())
}

/// A network; a bare address is a host; host bits are masked with a warning.
fn network(reader: &mut Reader, path: &str, value: &Tree) -> Option<IpNet> {
    let text = reader.text(path, value)?;
    let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let Some(written) = net else {
        reader.fault(path, format!("{text:?} is not a CIDR such as 10.0.0.0/8, nor an address"));
        return None;
    };
    let net = cidr::unmapped(written);
    if net != written {
        reader.warn(path, format!("{text} is the IPv4-mapped form of {}: it means that", net.trunc()));
    } else if net.trunc() != net {
        reader.warn(path, format!("{text} has host bits: it means {}", net.trunc()));
    }
    Some(net.trunc())
}

fn ports(reader: &mut Reader, fields: &Fields<'_>) -> Ports {
    let protocol = protocol(reader, fields);
    let ranges = ranges(reader, fields);
    match (protocol, ranges) {
        (Err(()), _) | (Ok(None), None) => Ports::Any,
        (Ok(Some(protocol)), None) => Ports::Of(vec![PortMatch { protocol, port: PortSpec::Any }]),
        (Ok(Some(protocol)), Some(ranges)) if protocol.has_ports() => Ports::Of(
            ranges.into_iter().map(|range| PortMatch { protocol, port: PortSpec::Range(range) }).collect(),
        ),
        (Ok(protocol), Some(_)) => {
            let field = if fields.has("ports") { "ports" } else { "port" };
            let name = protocol.map_or_else(|| "any".to_owned(), |protocol| protocol.to_string());
            reader.fault(
                &fields.path_of(field),
                format!("a port needs the protocol tcp, udp or sctp; here it is {name}"),
            );
            Ports::Any
        }
    }
}

/// The protocol; `Ok(None)` = any.
fn protocol(reader: &mut Reader, fields: &Fields<'_>) -> Result<Option<Protocol>, ()> {
    let Some((path, value)) = fields.get("protocol") else { return Ok(None) };
    let text = reader.text(&path, value).ok_or(())?;
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Some(Protocol::Tcp)),
        "udp" => Ok(Some(Protocol::Udp)),
        "sctp" => Ok(Some(Protocol::Sctp)),
        "icmp" => Ok(Some(Protocol::Icmp)),
        "any" => Ok(None),
        _ => {
            reader.fault(&path, format!("{text:?} is not a protocol: tcp, udp, sctp, icmp and any are"));
            Err(())
        }
    }
}

/// The ports; `None` = every port.
fn ranges(reader: &mut Reader, fields: &Fields<'_>) -> Option<Vec<PortRange>> {
    if fields.has("port") && fields.has("ports") {
        reader.fault(&fields.path_of("ports"), "port and ports can't both be given".to_owned());
    }
    if let Some((path, value)) = fields.get("port") {
        return match value {
            Tree::Number(TreeNumber::Unsigned(0)) => None,
            _ => number(reader, &path, value, 0).map(|port| vec![PortRange::single(port)]),
        };
    }
    let items = reader.filled_list(fields, "ports");
    if items.is_empty() {
        return None;
    }
    Some(items.into_iter().filter_map(|(path, value)| range(reader, &path, value)).collect())
}

fn number(reader: &mut Reader, path: &str, value: &Tree, least: u16) -> Option<u16> {
    let port = match value {
        Tree::Number(TreeNumber::Unsigned(number)) => {
            u16::try_from(*number).ok().filter(|port| *port >= least)
        }
        _ => None,
    };
    if port.is_none() {
        let given = match value {
            Tree::Number(number) => number.to_string(),
            other => other.kind().to_owned(),
        };
        reader.fault(path, format!("is {given}, a whole number from {least} to 65535 is needed"));
    }
    port
}

/// `80`, `"80"` or `"8000-8100"`.
fn range(reader: &mut Reader, path: &str, value: &Tree) -> Option<PortRange> {
    let Tree::String(text) = value else {
        return number(reader, path, value, 1).map(PortRange::single);
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let port =
        |part: &str| Some(part).filter(|p| digits(p)).and_then(|p| p.parse::<u16>().ok()).filter(|p| *p > 0);
    let (Some(first), Some(last)) = (port(first), port(last)) else {
        reader.fault(path, format!("{text:?} is not a port or a range of ports such as \"8000-8100\""));
        return None;
    };
    match PortRange::new(first, last) {
        Ok(range) => Some(range),
        Err(error) => {
            reader.fault(path, error.to_string());
            None
        }
    }
}
