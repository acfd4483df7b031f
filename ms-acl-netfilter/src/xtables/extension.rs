//! The binary layouts of the xtables extensions that we use, as the kernel's headers
//! (`linux/netfilter/xt_*.h`) define them: sizes are padded to 8, numbers are in this machine's
//! order. Fields that we don't use hold what the iptables tool puts there, because `iptables -C`
//! compares every byte.

use ms_acl_core::model::{PortRange, Protocol};
use ms_acl_core::ruleset::{Comment, Family, Icmp, Match, NflogPrefix, RejectWith, SetKey, States, Target};

use super::SetIndexes;

/// Whether an extension is a match or a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExtensionKind {
    Match,
    Target,
}

/// Every extension and revision that [`super::encode()`] may write, for asking the kernel whether it
/// has them. `icmp6` is IPv6's, `icmp` IPv4's.
pub(crate) const EXTENSIONS: [(&str, u32, ExtensionKind); 16] = [
    ("addrtype", 1, ExtensionKind::Match),
    ("comment", 0, ExtensionKind::Match),
    ("connmark", 1, ExtensionKind::Match),
    ("conntrack", 3, ExtensionKind::Match),
    ("icmp", 0, ExtensionKind::Match),
    ("icmp6", 0, ExtensionKind::Match),
    ("mark", 1, ExtensionKind::Match),
    ("multiport", 1, ExtensionKind::Match),
    ("sctp", 0, ExtensionKind::Match),
    ("set", 4, ExtensionKind::Match),
    ("tcp", 0, ExtensionKind::Match),
    ("udp", 0, ExtensionKind::Match),
    ("CONNMARK", 2, ExtensionKind::Target),
    ("MARK", 2, ExtensionKind::Target),
    ("NFLOG", 0, ExtensionKind::Target),
    ("REJECT", 0, ExtensionKind::Target),
];

const ADDRTYPE_LOCAL: u16 = 1 << 2;
const ADDRTYPE_INVERT: u32 = 3;
const CONNTRACK_STATE: u16 = 1;
const SCTP_DESTINATION_PORTS: u32 = 2;
const MULTIPORT_DESTINATION: u8 = 1;
const TCP_INVERT_FLAGS: u8 = 4;
const SET_INVERT: u8 = 1;
const SET_FIRST_IS_SOURCE: u8 = 2;
const COMMENT_BYTES: usize = 256;
const PREFIX_BYTES: usize = 64;

/// An extension's bytes with its name and revision.
pub(super) struct Extension {
    pub(super) name: &'static str,
    pub(super) revision: u32,
    pub(super) info: Vec<u8>,
}

/// What a match extension says.
pub(super) enum Decoded {
    Matches(Vec<Match>),
    Comment(Comment),
}

/// A structure that is being filled.
struct Info(Vec<u8>);

impl Info {
    fn new(size: usize) -> Self {
        Info(vec![0; size])
    }

    fn put(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    fn u16(self, at: usize, value: u16) -> Self {
        self.put(at, &value.to_ne_bytes())
    }

    fn u32(self, at: usize, value: u32) -> Self {
        self.put(at, &value.to_ne_bytes())
    }

    fn range(self, at: usize, range: PortRange) -> Self {
        self.u16(at, range.first()).u16(at + 2, range.last())
    }

    fn of(self, name: &'static str, revision: u32) -> Extension {
        Extension { name, revision, info: self.0 }
    }
}

fn u16_at(info: &[u8], at: usize) -> u16 {
    info.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_ne_bytes)
}

fn u32_at(info: &[u8], at: usize) -> u32 {
    info.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

fn range_at(info: &[u8], at: usize) -> Option<PortRange> {
    PortRange::new(u16_at(info, at), u16_at(info, at + 2)).ok()
}

pub(super) fn text_of(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end]).ok()
}

/// `tcp`: source ports, destination ports, and then option, flag mask, flags, inversions.
pub(super) fn tcp(port: Option<PortRange>, flags: Option<(u8, u8, bool)>) -> Extension {
    let (mask, set, inverted) = flags.unwrap_or_default();
    Info::new(16)
        .range(0, PortRange::ALL)
        .range(4, port.unwrap_or(PortRange::ALL))
        .put(9, &[mask, set, if inverted { TCP_INVERT_FLAGS } else { 0 }])
        .of("tcp", 0)
}

/// `udp`: source ports, destination ports, inversions.
pub(super) fn udp(port: PortRange) -> Extension {
    Info::new(16).range(0, PortRange::ALL).range(4, port).of("udp", 0)
}

/// `sctp`: destination ports, source ports (0 to 0, because they aren't tested), a map of chunks, how each chunk's flags are tested (none
/// is), what is tested, inversions.
pub(super) fn sctp(port: PortRange) -> Extension {
    Info::new(296)
        .range(0, port)
        .put(268, &[0xff, 0, 0, 0xff, 0, 0, 0xff, 0, 0, 0xff, 0, 0])
        .u32(284, SCTP_DESTINATION_PORTS)
        .of("sctp", 0)
}

/// `multiport`: which ports, how many slots, the slots, and which of them start a range. `None` if the
/// ranges take no slot or more than there are.
pub(super) fn multiport(ranges: &[PortRange]) -> Option<Extension> {
    let mut info = Info::new(48);
    let mut slots = 0_u8;
    for range in ranges {
        let numbers = if range.is_single() { &[range.first()][..] } else { &[range.first(), range.last()] };
        if usize::from(slots) + numbers.len() > Match::MULTIPORT_SLOTS {
            return None;
        }
        info.0[32 + usize::from(slots)] = u8::from(!range.is_single());
        for number in numbers {
            info = info.u16(2 + 2 * usize::from(slots), *number);
            slots += 1;
        }
    }
    (slots > 0).then(|| info.put(0, &[MULTIPORT_DESTINATION, slots]).of("multiport", 1))
}

/// `icmp` and `icmp6`: the type, the first and the last code.
pub(super) fn icmp(family: Family, icmp: Icmp) -> Extension {
    let name = match family {
        Family::V4 => "icmp",
        Family::V6 => "icmp6",
    };
    Info::new(8).put(0, &[icmp.kind, 0, 0xff]).of(name, 0)
}

/// `conntrack`: addresses, masks and ports that we leave empty, then what is tested, what of it is
/// inverted, and the states.
pub(super) fn conntrack(states: States) -> Extension {
    Info::new(168).u16(146, CONNTRACK_STATE).u16(150, states.bits()).of("conntrack", 3)
}

/// `mark` and `connmark`: value and mask.
pub(super) fn mark(name: &'static str, value: u32, mask: u32) -> Extension {
    Info::new(16).u32(0, value).u32(4, mask).of(name, 1)
}

/// `addrtype`: types of the source, types of the destination, options.
pub(super) fn addrtype(source: bool) -> Extension {
    Info::new(8).u16(if source { 0 } else { 2 }, ADDRTYPE_LOCAL).of("addrtype", 1)
}

/// `set`: its number, how many fields of the packet make the key, which of them are the source's.
pub(super) fn set(index: u16, key: SetKey, inverted: bool) -> Extension {
    let (fields, sides) = match key {
        SetKey::Source => (1, SET_FIRST_IS_SOURCE),
        SetKey::Destination => (1, 0),
        SetKey::DestinationPort => (2, 0),
    };
    Info::new(48).u16(0, index).put(2, &[fields, sides | u8::from(inverted)]).of("set", 4)
}

/// `comment`: a text.
pub(super) fn comment(text: &Comment) -> Extension {
    Info::new(COMMENT_BYTES).put(0, text.as_str().as_bytes()).of("comment", 0)
}

/// `MARK`: value and mask.
pub(super) fn set_mark(value: u32, mask: u32) -> Extension {
    Info::new(8).u32(0, value).u32(4, mask).of("MARK", 2)
}

/// `CONNMARK`: value, mask, the packet mark's mask (unused), no shift, mode 0 = set.
pub(super) fn set_connmark(value: u32, mask: u32) -> Extension {
    Info::new(16).u32(0, value).u32(4, mask).u32(8, u32::MAX).of("CONNMARK", 2)
}

/// `NFLOG`: length, group, threshold, flags, padding, prefix.
pub(super) fn nflog(group: u16, prefix: &NflogPrefix) -> Extension {
    Info::new(80).u16(4, group).put(12, prefix.as_str().as_bytes()).of("NFLOG", 0)
}

/// `REJECT`: with what.
pub(super) fn reject(family: Family, with: RejectWith) -> Extension {
    let code = match (family, with) {
        (Family::V4, RejectWith::PortUnreachable) => 3,
        (Family::V4, RejectWith::TcpReset) => 7,
        (Family::V4, RejectWith::AdminProhibited) => 8,
        (Family::V6, RejectWith::AdminProhibited) => 1,
        (Family::V6, RejectWith::PortUnreachable) => 4,
        (Family::V6, RejectWith::TcpReset) => 6,
    };
    Info::new(8).u32(0, code).of("REJECT", 0)
}

/// Reads a match. `None` if it says anything that [`Match`] can't say: every byte must be what the
/// encoder would write for the result.
pub(super) fn decode_match(
    family: Family,
    protocol: Option<Protocol>,
    sets: &SetIndexes,
    name: &str,
    revision: u32,
    info: &[u8],
) -> Option<Decoded> {
    let (matches, again) = match (name, revision) {
        ("comment", 0) => {
            let text = text_of(info.get(..COMMENT_BYTES)?)?;
            return Some(Decoded::Comment(Comment::new(text)));
        }
        ("tcp", 0) if protocol == Some(Protocol::Tcp) => {
            let port = range_at(info, 4)?;
            let (mask, set) = (*info.get(9)?, *info.get(10)?);
            let inverted = info.get(11)? & TCP_INVERT_FLAGS != 0;
            let flags = (mask != 0).then_some((mask, set, inverted));
            let mut matches = Vec::new();
            if flags.is_none() || port != PortRange::ALL {
                matches.push(Match::Port(port));
            }
            matches.extend(flags.map(|(mask, set, inverted)| Match::TcpFlags { mask, set, inverted }));
            (matches, tcp(Some(port), flags))
        }
        ("udp", 0) if protocol == Some(Protocol::Udp) => {
            let port = range_at(info, 4)?;
            (vec![Match::Port(port)], udp(port))
        }
        ("sctp", 0) if protocol == Some(Protocol::Sctp) => {
            let port = range_at(info, 0)?;
            (vec![Match::Port(port)], sctp(port))
        }
        ("multiport", 1) if protocol.is_some_and(Protocol::has_ports) => {
            let ranges = multiport_ranges(info)?;
            let again = multiport(&ranges)?;
            (vec![Match::Ports(ranges)], again)
        }
        ("icmp" | "icmp6", 0) if protocol == Some(Protocol::Icmp) => {
            let kind = Icmp { kind: *info.first()? };
            (vec![Match::Icmp(kind)], icmp(family, kind))
        }
        ("conntrack", 3) => {
            let states = States::from_bits(u16_at(info, 150));
            (vec![Match::State(states)], conntrack(states))
        }
        ("mark", 1) => {
            let (value, mask) = (u32_at(info, 0), u32_at(info, 4));
            (vec![Match::Mark { value, mask }], mark("mark", value, mask))
        }
        ("connmark", 1) => {
            let (value, mask) = (u32_at(info, 0), u32_at(info, 4));
            (vec![Match::Connmark { value, mask }], mark("connmark", value, mask))
        }
        ("addrtype", 1) => return decode_addrtype(info),
        ("set", 4) => {
            let (index, fields, sides) = (u16_at(info, 0), *info.get(2)?, *info.get(3)?);
            let key = match (fields, sides & !SET_INVERT) {
                (1, SET_FIRST_IS_SOURCE) => SetKey::Source,
                (1, 0) => SetKey::Destination,
                (2, 0) => SetKey::DestinationPort,
                _ => return None,
            };
            let inverted = sides & SET_INVERT != 0;
            let name = sets.name(index)?.clone();
            let found = if inverted { Match::NotInSet(name, key) } else { Match::InSet(name, key) };
            (vec![found], set(index, key, inverted))
        }
        _ => return None,
    };
    (name == again.name && info == again.info).then_some(Decoded::Matches(matches))
}

/// The tool may put both sides into one match; we write one a side.
fn decode_addrtype(info: &[u8]) -> Option<Decoded> {
    let (source, destination, flags) = (u16_at(info, 0), u16_at(info, 2), u32_at(info, 4));
    if flags & ADDRTYPE_INVERT != 0 || flags != 0 || info.len() != 8 {
        return None;
    }
    let matches = match (source, destination) {
        (ADDRTYPE_LOCAL, 0) => vec![Match::SourceIsLocal],
        (0, ADDRTYPE_LOCAL) => vec![Match::DestinationIsLocal],
        (ADDRTYPE_LOCAL, ADDRTYPE_LOCAL) => vec![Match::SourceIsLocal, Match::DestinationIsLocal],
        _ => return None,
    };
    Some(Decoded::Matches(matches))
}

fn multiport_ranges(info: &[u8]) -> Option<Vec<PortRange>> {
    let count = usize::from(*info.get(1)?);
    let mut ranges = Vec::new();
    let mut slot = 0;
    while slot < count {
        let number = u16_at(info, 2 + 2 * slot);
        if *info.get(32 + slot)? == 0 {
            ranges.push(PortRange::single(number));
            slot += 1;
        } else {
            ranges.push(PortRange::new(number, u16_at(info, 4 + 2 * slot)).ok()?);
            slot += 2;
        }
    }
    Some(ranges)
}

/// Reads a target, as [`decode_match`] does.
pub(super) fn decode_target(family: Family, name: &str, revision: u32, info: &[u8]) -> Option<Target> {
    let (target, again) = match (name, revision) {
        ("MARK", 2) => {
            let (value, mask) = (u32_at(info, 0), u32_at(info, 4));
            (Target::SetMark { value, mask }, set_mark(value, mask))
        }
        ("CONNMARK", 2) => {
            let (value, mask) = (u32_at(info, 0), u32_at(info, 4));
            (Target::SetConnmark { value, mask }, set_connmark(value, mask))
        }
        ("NFLOG", 0) => {
            let group = u16_at(info, 4);
            let prefix = NflogPrefix::new(text_of(info.get(12..12 + PREFIX_BYTES)?)?);
            let again = nflog(group, &prefix);
            (Target::Nflog { group, prefix }, again)
        }
        ("REJECT", 0) => {
            let with = [RejectWith::PortUnreachable, RejectWith::TcpReset, RejectWith::AdminProhibited]
                .into_iter()
                .find(|with| reject(family, *with).info == info)?;
            return Some(Target::Reject(with));
        }
        _ => return None,
    };
    (info == again.info).then_some(target)
}
