//! The messages of the ipset subsystem.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use ms_acl_core::model::Protocol;
use ms_acl_core::ruleset::{Family, Member, SetKind, SetName};

use super::SetHeader;
use crate::batch::message::family_number;
use crate::netlink::{Attribute, Attributes, Message, Writer, flag, subsystem};
use crate::sys::{NFGEN_HEADER, NLMSG_HEADER};

/// The protocol's version: the one that knows sets' numbers (Linux 4.20).
pub(crate) const PROTOCOL: u8 = 7;
/// How long a list of members gets. The attribute around it is at most 64 KiB.
const LIST_BYTES: usize = 60_000;

/// Commands.
pub(super) mod command {
    pub(crate) const PROTOCOL: u16 = 1;
    pub(crate) const CREATE: u16 = 2;
    pub(crate) const DESTROY: u16 = 3;
    pub(crate) const FLUSH: u16 = 4;
    pub(crate) const SWAP: u16 = 6;
    pub(crate) const LIST: u16 = 7;
    pub(crate) const ADD: u16 = 9;
    pub(crate) const DELETE: u16 = 10;
}

/// Attributes of a message.
pub(super) mod attribute {
    pub(crate) const PROTOCOL: u16 = 1;
    pub(crate) const NAME: u16 = 2;
    pub(crate) const SECOND_NAME: u16 = 3;
    pub(crate) const TYPE: u16 = 3;
    pub(crate) const REVISION: u16 = 4;
    pub(crate) const FAMILY: u16 = 5;
    pub(crate) const FLAGS: u16 = 6;
    pub(crate) const DATA: u16 = 7;
    pub(crate) const LIST: u16 = 8;
    pub(crate) const LINE: u16 = 9;
    pub(crate) const INDEX: u16 = 11;
}

/// Attributes of a member, and of a set's parameters.
mod data {
    pub(super) const ADDRESS: u16 = 1;
    pub(super) const PREFIX: u16 = 3;
    pub(super) const PORT: u16 = 4;
    pub(super) const TIMEOUT: u16 = 6;
    pub(super) const PROTOCOL: u16 = 7;
    pub(super) const FLAGS: u16 = 8;
    pub(super) const LINE: u16 = 9;
    pub(super) const ROWS: u16 = 18;
    pub(super) const LIMIT: u16 = 19;
    pub(super) const NETMASK: u16 = 20;
    pub(super) const MEMBERS: u16 = 24;
    pub(super) const REFERENCES: u16 = 25;
    pub(super) const BITMASK: u16 = 27;
    /// A flag of a member: what it covers is none of the set.
    pub(super) const NO_MATCH: u32 = 1 << 2;
}

const ADDRESS_V4: u16 = 1;
const ADDRESS_V6: u16 = 2;
/// A flag of the listing: without members.
const HEADERS_ONLY: u32 = 1 << 2;

/// A member that a set of its kind can't have, or that is of another kind.
#[derive(Debug)]
pub(super) struct UnfitMember(pub(super) Member);

/// A message with the protocol's version in it.
pub(super) fn new(command: u16, flags: u16, family: Family) -> Writer {
    let mut writer = Writer::new(subsystem::IPSET, command, flags, family_number(family));
    writer.bytes(attribute::PROTOCOL, &[PROTOCOL]);
    writer
}

/// The kernel's name of a kind of set, and the oldest revision that does what we need: the tools of
/// every age can list it. Revision 1 of the third knows SCTP.
fn kind_name(kind: SetKind) -> (&'static str, u8) {
    match kind {
        SetKind::Addresses => ("hash:ip", 0),
        SetKind::Networks => ("hash:net", 0),
        SetKind::AddressPorts => ("hash:ip,port", 1),
    }
}

/// Whether a set is what we would have created: its type, its family, its limit, and nothing that takes members
/// away or makes others of them.
pub(crate) fn is_kind(header: &SetHeader, kind: SetKind, family: Family) -> bool {
    header.kind == kind_name(kind).0
        && header.family == family_number(family)
        && header.limit == u32::MAX
        && header.special.is_none()
}

pub(super) fn create(
    name: &SetName,
    kind: SetKind,
    family: Family,
    expected: usize,
    exclusive: bool,
) -> Vec<u8> {
    // The kernel's default is 1,024 rows, and it doubles them when a row has twelve members; each time
    // costs more than adding the members. Four members a row leave room for unequal rows.
    let rows = u32::try_from(expected / 4).unwrap_or(u32::MAX).clamp(1 << 10, 1 << 20).next_power_of_two();
    let (kind, revision) = kind_name(kind);
    let flags = flag::CREATE | if exclusive { flag::EXCL } else { 0 };
    let mut writer = new(command::CREATE, flags, family);
    writer.text(attribute::NAME, name.as_str());
    writer.text(attribute::TYPE, kind);
    writer.bytes(attribute::REVISION, &[revision]);
    writer.bytes(attribute::FAMILY, &[family_number(family)]);
    writer.nest(attribute::DATA, |parameters| {
        // The limit reserves nothing.
        parameters.net_order(data::LIMIT, &u32::MAX.to_be_bytes());
        parameters.net_order(data::ROWS, &rows.to_be_bytes());
    });
    writer.finish()
}

/// A message with as many of the members as fit, and how many these are.
pub(super) fn members(
    command: u16,
    name: &SetName,
    family: Family,
    members: &[Member],
) -> Result<(Vec<u8>, usize), UnfitMember> {
    let mut writer = new(command, 0, family);
    writer.text(attribute::NAME, name.as_str());
    // The kernel writes the line of the refused member here, in its copy of the message.
    writer.bytes(attribute::LINE, &0_u32.to_ne_bytes());
    let mut taken = 0;
    let mut unfit = None;
    writer.nest(attribute::LIST, |list| {
        for member in members {
            if list.len() > LIST_BYTES {
                break;
            }
            taken += 1;
            let line = u32::try_from(taken).unwrap_or(u32::MAX);
            list.nest(attribute::DATA, |entry| {
                if !write_member(entry, member, family) {
                    unfit = unfit.or(Some(*member));
                }
                entry.bytes(data::LINE, &line.to_ne_bytes());
            });
        }
    });
    match unfit {
        Some(member) => Err(UnfitMember(member)),
        None => Ok((writer.finish(), taken)),
    }
}

/// Writes a member; `false` if no set can have it.
fn write_member(entry: &mut Writer, member: &Member, family: Family) -> bool {
    let (address, prefix, port) = match *member {
        Member::Address(address) => (address, None, None),
        Member::Network(net) => (net.network(), Some(net.prefix_len()), None),
        Member::AddressPort(address, protocol, port) => {
            let number = match protocol {
                Protocol::Tcp => 6,
                Protocol::Udp => 17,
                Protocol::Sctp => 132,
                // Its "port" would be a type and a code.
                Protocol::Icmp => return false,
            };
            (address, None, Some((number, port)))
        }
    };
    write_entry(entry, address, prefix, port);
    Family::of(address) == family && prefix != Some(0)
}

fn write_entry(entry: &mut Writer, address: IpAddr, prefix: Option<u8>, port: Option<(u8, u16)>) {
    entry.nest(data::ADDRESS, |nest| match address {
        IpAddr::V4(address) => nest.net_order(ADDRESS_V4, &address.octets()),
        IpAddr::V6(address) => nest.net_order(ADDRESS_V6, &address.octets()),
    });
    if let Some(prefix) = prefix {
        entry.bytes(data::PREFIX, &[prefix]);
    }
    if let Some((protocol, port)) = port {
        entry.net_order(data::PORT, &port.to_be_bytes());
        entry.bytes(data::PROTOCOL, &[protocol]);
    }
}

/// Asks for sets with or without their members.
pub(super) fn list(name: Option<&SetName>, headers_only: bool) -> Vec<u8> {
    let mut writer = new(command::LIST, 0, Family::V4);
    if let Some(name) = name {
        writer.text(attribute::NAME, name.as_str());
    }
    if headers_only {
        writer.net_order(attribute::FLAGS, &HEADERS_ONLY.to_be_bytes());
    }
    writer.finish()
}

/// Reads a set's header from a listing.
pub(super) fn read_header(message: &Message<'_>) -> Option<SetHeader> {
    let attributes = message.attributes();
    let parameters = attributes.get(attribute::DATA)?.nested();
    let number = |kind| parameters.get(kind).and_then(Attribute::be32);
    Some(SetHeader {
        name: attributes.get(attribute::NAME)?.text()?.to_owned(),
        kind: attributes.get(attribute::TYPE)?.text()?.to_owned(),
        family: attributes.get(attribute::FAMILY).and_then(Attribute::u8).unwrap_or(0),
        index: attributes.get(attribute::INDEX).and_then(Attribute::be16),
        members: number(data::MEMBERS).unwrap_or(0),
        references: number(data::REFERENCES).unwrap_or(0),
        limit: number(data::LIMIT).unwrap_or(0),
        special: [(data::TIMEOUT, "a timeout"), (data::NETMASK, "a netmask"), (data::BITMASK, "a bitmask")]
            .into_iter()
            .find(|(kind, _)| parameters.get(*kind).is_some())
            .map(|(_, name)| name),
    })
}

/// A member as it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListedMember {
    /// One that we can have.
    Fit(Member),
    /// One that we never add: of a protocol without ports, or an exception.
    Strange(StrangeMember),
}

/// A member that we never add, by what names it to the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrangeMember {
    address: IpAddr,
    prefix: Option<u8>,
    /// A protocol's number and a port, or what takes its place.
    port: Option<(u8, u16)>,
}

/// Reads the members in a part of a listing.
pub(super) fn read_members(
    message: &Message<'_>,
    kind: SetKind,
    family: Family,
    all: &mut Vec<ListedMember>,
) {
    let Some(list) = message.attributes().get(attribute::LIST) else { return };
    all.extend(list.nested().filter_map(|entry| read_member(&entry.nested(), kind, family)));
}

/// A message that removes members as they were listed, and how many of them.
pub(super) fn strange_members(name: &SetName, family: Family, members: &[StrangeMember]) -> (Vec<u8>, usize) {
    let mut writer = new(command::DELETE, 0, family);
    writer.text(attribute::NAME, name.as_str());
    writer.bytes(attribute::LINE, &0_u32.to_ne_bytes());
    let mut taken = 0;
    writer.nest(attribute::LIST, |list| {
        for member in members {
            if list.len() > LIST_BYTES {
                break;
            }
            taken += 1;
            list.nest(attribute::DATA, |entry| {
                write_entry(entry, member.address, member.prefix, member.port);
            });
        }
    });
    (writer.finish(), taken)
}

/// Reads a member; `None` if it has no address, which none of our kinds of sets allows.
fn read_member(entry: &Attributes<'_>, kind: SetKind, family: Family) -> Option<ListedMember> {
    let address = entry.get(data::ADDRESS)?.nested();
    let address = match family {
        Family::V4 => {
            let octets: [u8; 4] = address.get(ADDRESS_V4)?.value.try_into().ok()?;
            IpAddr::V4(Ipv4Addr::from(octets))
        }
        Family::V6 => {
            let octets: [u8; 16] = address.get(ADDRESS_V6)?.value.try_into().ok()?;
            IpAddr::V6(Ipv6Addr::from(octets))
        }
    };
    let prefix = entry.get(data::PREFIX).and_then(Attribute::u8);
    let protocol = entry.get(data::PROTOCOL).and_then(Attribute::u8);
    let port = protocol.zip(entry.get(data::PORT).and_then(Attribute::be16));
    let flags = entry.get(data::FLAGS).and_then(Attribute::be32).unwrap_or(0);
    let fit = match kind {
        _ if flags & data::NO_MATCH != 0 => None,
        SetKind::Addresses => Some(Member::Address(address)),
        SetKind::Networks => IpNet::new(address, prefix.unwrap_or(family.bits())).ok().map(Member::Network),
        SetKind::AddressPorts => port.and_then(|(protocol, port)| {
            let protocol = match protocol {
                6 => Protocol::Tcp,
                17 => Protocol::Udp,
                132 => Protocol::Sctp,
                _ => return None,
            };
            Some(Member::AddressPort(address, protocol, port))
        }),
    };
    let strange = StrangeMember { address, prefix, port };
    Some(fit.map_or(ListedMember::Strange(strange), ListedMember::Fit))
}

/// The line that the kernel wrote into its copy of a refused message of members.
pub(super) fn refused_line(error: &Message<'_>) -> Option<u32> {
    let copy = error.payload.get(4 + NLMSG_HEADER + NFGEN_HEADER..)?;
    Attributes::of(copy).get(attribute::LINE)?.ne32().filter(|line| *line > 0)
}
