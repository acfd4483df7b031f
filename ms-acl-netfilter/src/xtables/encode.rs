//! From a rule to bytes.

use std::net::IpAddr;

use ipnet::IpNet;
use ms_acl_core::model::Protocol;
use ms_acl_core::ruleset::{Family, Match, RejectWith, Rule, SetName, States, Target};

use super::SetIndexes;
use super::expression::{self, EQUAL, NOT_EQUAL};
use super::extension::{self, Extension};
use crate::netlink::Writer;

/// The longest list of expressions that we send: a rule with its names must fit into one attribute.
const LIMIT: usize = 60_000;
/// Every state that `-m conntrack --ctstate` can name.
const ALL_STATES: u16 = 0b1_1100_1111;

/// A rule's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The value of `NFTA_RULE_EXPRESSIONS`.
    pub expressions: Vec<u8>,
    /// The protocol number that `NFTA_RULE_COMPAT` has to repeat, because extensions ask for it.
    pub protocol: Option<u8>,
}

/// Why a rule can't be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// An address of the other family.
    #[error("{network} is no {family} network")]
    Family {
        /// The network.
        network: IpNet,
        /// The rule's family.
        family: Family,
    },
    /// Two matches that iptables has room for once.
    #[error("the rule has more than one {0}")]
    Twice(&'static str),
    /// A match that asks for a protocol that the rule doesn't name.
    #[error("{what} needs the protocol {needed}")]
    Protocol {
        /// The match or target.
        what: &'static str,
        /// What the rule should name.
        needed: &'static str,
    },
    /// No ports, or more than there is room for.
    #[error("a list of ports takes {} slots at most and isn't empty", Match::MULTIPORT_SLOTS)]
    Ports,
    /// Numbers that iptables can't print or means something else by.
    #[error("{0}")]
    Value(&'static str),
    /// The kernel's number of the set isn't known: the set doesn't exist.
    #[error("the set {0} doesn't exist")]
    NoSet(SetName),
    /// A rule that was read back and not understood.
    #[error("an unreadable rule can't be written")]
    Unreadable,
    /// More matches than a netlink attribute holds.
    #[error("the rule takes {0} bytes, at most {LIMIT} are possible")]
    TooLong(usize),
}

/// The protocol's number in a family.
pub(super) fn protocol_number(family: Family, protocol: Protocol) -> u8 {
    match (protocol, family) {
        (Protocol::Tcp, _) => 6,
        (Protocol::Udp, _) => 17,
        (Protocol::Sctp, _) => 132,
        (Protocol::Icmp, Family::V4) => 1,
        (Protocol::Icmp, Family::V6) => 58,
    }
}

/// Where an address stands in the network header.
pub(super) fn address_offset(family: Family, source: bool) -> u32 {
    match (family, source) {
        (Family::V4, true) => 12,
        (Family::V4, false) => 16,
        (Family::V6, true) => 8,
        (Family::V6, false) => 24,
    }
}

/// Writes a rule as the kernel and iptables take it.
///
/// [`decode`](super::decode()) gives the same rule again if its matches are in canonical order: source,
/// destination, protocol, then the others, of which none is there twice and a port stands right before TCP
/// flags. In another order, or with a network of all addresses, it does so too until somebody else saves and
/// restores it: the tool writes it in its own way.
pub fn encode(family: Family, rule: &Rule, sets: &SetIndexes) -> Result<Encoded, EncodeError> {
    let mut list = Writer::attributes();
    let protocol = header(family, rule, &mut list)?;
    let mut rest = rule.matches.iter().filter(|found| !is_header(found)).peekable();
    while let Some(found) = rest.next() {
        let written = match (found, rest.peek()) {
            // One `-m tcp` says both.
            (Match::Port(port), Some(&&Match::TcpFlags { mask, set, inverted }))
                if protocol == Some(Protocol::Tcp) && !(port.first() == 0 && port.last() == u16::MAX) =>
            {
                rest.next();
                check_flags(mask, set)?;
                extension::tcp(Some(*port), Some((mask, set, inverted)))
            }
            _ => other(family, protocol, found, sets)?,
        };
        write_match(&mut list, &written);
    }
    if let Some(text) = &rule.comment {
        write_match(&mut list, &extension::comment(text));
    }
    expression::counter(&mut list);
    target(family, protocol, &rule.target, &mut list)?;
    if list.len() > LIMIT {
        return Err(EncodeError::TooLong(list.len()));
    }
    Ok(Encoded {
        expressions: list.into_bytes(),
        protocol: protocol.map(|protocol| protocol_number(family, protocol)),
    })
}

fn is_header(found: &Match) -> bool {
    matches!(
        found,
        Match::Source(_)
            | Match::NotSource(_)
            | Match::Destination(_)
            | Match::NotDestination(_)
            | Match::Protocol(_)
    )
}

/// Writes protocol, source and destination, in this order, and returns the protocol.
fn header(family: Family, rule: &Rule, list: &mut Writer) -> Result<Option<Protocol>, EncodeError> {
    let (mut protocol, mut source, mut destination) = (None, None, None);
    for found in &rule.matches {
        let former = match found {
            Match::Protocol(found) => ("protocol", protocol.replace(*found).is_some()),
            Match::Source(net) => ("source", source.replace((net, EQUAL)).is_some()),
            Match::NotSource(net) => ("source", source.replace((net, NOT_EQUAL)).is_some()),
            Match::Destination(net) => ("destination", destination.replace((net, EQUAL)).is_some()),
            Match::NotDestination(net) => ("destination", destination.replace((net, NOT_EQUAL)).is_some()),
            _ => continue,
        };
        if former.1 {
            return Err(EncodeError::Twice(former.0));
        }
    }
    if let Some(protocol) = protocol {
        expression::meta(list, expression::META_PROTOCOL);
        expression::compare(list, EQUAL, &[protocol_number(family, protocol)]);
    }
    for (net, is_source) in [(source, true), (destination, false)] {
        if let Some((net, operation)) = net {
            address(family, is_source, net, operation, list)?;
        }
    }
    Ok(protocol)
}

/// An address comparison as the tool writes it: only the prefix's bytes if it ends between two, else
/// the whole address under a mask.
fn address(
    family: Family,
    source: bool,
    net: &IpNet,
    operation: u32,
    list: &mut Writer,
) -> Result<(), EncodeError> {
    if Family::of(net.addr()) != family {
        return Err(EncodeError::Family { network: *net, family });
    }
    if net.prefix_len() == 0 && operation == NOT_EQUAL {
        // The tool prints `! -s 0.0.0.0/0` and can't restore it, nor anything else of its table then.
        return Err(EncodeError::Value("no address lies outside of all addresses: the rule matches nothing"));
    }
    let (address, mask) = (octets(net.network()), octets(net.netmask()));
    let offset = address_offset(family, source);
    let prefix = net.prefix_len();
    let whole = u32::from(family.bits() / 8);
    if prefix.is_multiple_of(8) && prefix > 0 {
        let length = u32::from(prefix / 8);
        expression::payload(list, expression::BASE_NETWORK, offset, length);
        expression::compare(list, operation, &address[..usize::from(prefix / 8)]);
    } else {
        expression::payload(list, expression::BASE_NETWORK, offset, whole);
        expression::bitwise(list, &mask);
        expression::compare(list, operation, &address);
    }
    Ok(())
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn write_match(list: &mut Writer, written: &Extension) {
    expression::extension(list, "match", written.name, written.revision, &written.info);
}

fn check_flags(mask: u8, set: u8) -> Result<(), EncodeError> {
    if mask == 0 || (mask | set) & !0x3f != 0 {
        return Err(EncodeError::Value("TCP flags are six bits, and at least one is looked at"));
    }
    Ok(())
}

/// One match that is an extension.
fn other(
    family: Family,
    protocol: Option<Protocol>,
    found: &Match,
    sets: &SetIndexes,
) -> Result<Extension, EncodeError> {
    let needs_ports = |what| EncodeError::Protocol { what, needed: "tcp, udp or sctp" };
    let set = |name: &SetName, key, inverted| {
        let index = sets.index(name).ok_or_else(|| EncodeError::NoSet(name.clone()))?;
        Ok(extension::set(index, key, inverted))
    };
    match found {
        Match::Port(port) => match protocol {
            Some(Protocol::Tcp) => Ok(extension::tcp(Some(*port), None)),
            Some(Protocol::Udp) => Ok(extension::udp(*port)),
            Some(Protocol::Sctp) => Ok(extension::sctp(*port)),
            _ => Err(needs_ports("a port")),
        },
        Match::Ports(_) if !protocol.is_some_and(Protocol::has_ports) => Err(needs_ports("a list of ports")),
        Match::Ports(ranges) => extension::multiport(ranges).ok_or(EncodeError::Ports),
        Match::TcpFlags { mask, set, inverted } => {
            if protocol != Some(Protocol::Tcp) {
                return Err(EncodeError::Protocol { what: "a test of TCP flags", needed: "tcp" });
            }
            check_flags(*mask, *set)?;
            Ok(extension::tcp(None, Some((*mask, *set, *inverted))))
        }
        Match::Icmp(_) if protocol != Some(Protocol::Icmp) => {
            Err(EncodeError::Protocol { what: "an ICMP type", needed: "icmp" })
        }
        Match::Icmp(icmp) if family == Family::V4 && icmp.kind == u8::MAX => {
            Err(EncodeError::Value("ICMP type 255 means any type to iptables"))
        }
        Match::Icmp(icmp) => Ok(extension::icmp(family, *icmp)),
        Match::State(states) => {
            if *states == States::from_bits(0) || states.bits() & !ALL_STATES != 0 {
                return Err(EncodeError::Value("a test of states names at least one, and only known ones"));
            }
            Ok(extension::conntrack(*states))
        }
        Match::Mark { value, mask } => Ok(extension::mark("mark", *value, *mask)),
        Match::Connmark { value, mask } => Ok(extension::mark("connmark", *value, *mask)),
        Match::SourceIsLocal => Ok(extension::addrtype(true)),
        Match::DestinationIsLocal => Ok(extension::addrtype(false)),
        Match::InSet(name, key) => set(name, *key, false),
        Match::NotInSet(name, key) => set(name, *key, true),
        Match::Source(_)
        | Match::NotSource(_)
        | Match::Destination(_)
        | Match::NotDestination(_)
        | Match::Protocol(_) => unreachable!("header matches are written by `header`"),
    }
}

fn target(
    family: Family,
    protocol: Option<Protocol>,
    target: &Target,
    list: &mut Writer,
) -> Result<(), EncodeError> {
    let written = match target {
        Target::Accept => {
            expression::verdict(list, expression::ACCEPT, None);
            return Ok(());
        }
        Target::Drop => {
            expression::verdict(list, expression::DROP, None);
            return Ok(());
        }
        Target::Return => {
            expression::verdict(list, expression::RETURN, None);
            return Ok(());
        }
        Target::Jump(chain) => {
            expression::verdict(list, expression::JUMP, Some(chain.as_str()));
            return Ok(());
        }
        Target::Goto(chain) => {
            expression::verdict(list, expression::GOTO, Some(chain.as_str()));
            return Ok(());
        }
        Target::Reject(RejectWith::TcpReset) if protocol != Some(Protocol::Tcp) => {
            return Err(EncodeError::Protocol { what: "a TCP reset", needed: "tcp" });
        }
        Target::Reject(with) => extension::reject(family, *with),
        Target::SetMark { value, mask } => extension::set_mark(*value, *mask),
        Target::SetConnmark { value, mask } => extension::set_connmark(*value, *mask),
        Target::Nflog { group, prefix } => extension::nflog(*group, prefix),
        Target::Unreadable => return Err(EncodeError::Unreadable),
    };
    expression::extension(list, "target", written.name, written.revision, &written.info);
    Ok(())
}
