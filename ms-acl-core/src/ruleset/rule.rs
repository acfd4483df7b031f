//! A rule: matches, one target, and where it comes from.

use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;

use super::{ChainName, Provenance, SetName};
use crate::model::{PortRange, Protocol};

/// A rule of a chain. A packet for which all matches hold meets the target.
///
/// The canonical order of matches is: source, destination, protocol, then the others in the order
/// in which they were written (iptables prints header matches first, whatever came first).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What must hold, all of it; empty = every packet.
    pub matches: Vec<Match>,
    /// What happens then.
    pub target: Target,
    /// A text that iptables shows, only where a person looks for one.
    pub comment: Option<Comment>,
    /// The object and the rule of it that caused this one. Not programmed, so not compared by
    /// [`Rule::programs_same`]; `None` for the scaffolding and for rules read back from a kernel.
    pub provenance: Option<Arc<Provenance>>,
}

impl Rule {
    /// A rule without comment and provenance.
    pub fn new(matches: Vec<Match>, target: Target) -> Self {
        Rule { matches, target, comment: None, provenance: None }
    }

    /// The chain that a packet enters by this rule, by jump or by goto.
    pub fn leads_to(&self) -> Option<&ChainName> {
        match &self.target {
            Target::Jump(to) | Target::Goto(to) => Some(to),
            _ => None,
        }
    }

    /// The sets that it looks into.
    pub fn sets(&self) -> impl Iterator<Item = &SetName> {
        self.matches.iter().filter_map(|test| match test {
            Match::InSet(set, _) | Match::NotInSet(set, _) => Some(set),
            _ => None,
        })
    }

    /// Whether a kernel can't tell the two apart.
    pub fn programs_same(&self, other: &Rule) -> bool {
        self.target == other.target && self.matches == other.matches && self.comment == other.comment
    }
}

/// One test of a packet. Ports are destination ports.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Match {
    /// The source address lies in the network (`-s`).
    Source(IpNet),
    /// The source address lies outside of the network (`! -s`).
    NotSource(IpNet),
    /// The destination address lies in the network (`-d`).
    Destination(IpNet),
    /// The destination address lies outside of the network (`! -d`).
    NotDestination(IpNet),
    /// The transport protocol (`-p`). [`Protocol::Icmp`] means the family's own: ICMP or ICMPv6.
    Protocol(Protocol),
    /// The destination port lies in the range (`-m tcp --dport`). The same rule holds a
    /// [`Match::Protocol`] of TCP, UDP or SCTP before it.
    Port(PortRange),
    /// The destination port lies in one of the ranges (`-m multiport --dports`): at least one range,
    /// at most [`Match::MULTIPORT_SLOTS`] slots, where a range of several ports takes two. The same
    /// rule holds a [`Match::Protocol`] of TCP, UDP or SCTP before it.
    Ports(Vec<PortRange>),
    /// The ICMP or ICMPv6 type. The same rule holds [`Match::Protocol`]`(Icmp)` before it.
    Icmp(Icmp),
    /// TCP flags: of the flags in `mask`, exactly those in `set` are set (`-m tcp --tcp-flags`). Bits as
    /// in the TCP header: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32.
    TcpFlags {
        /// The flags that are looked at.
        mask: u8,
        /// Those of them that must be set.
        set: u8,
        /// The other way round: the test must fail (`! --syn`).
        inverted: bool,
    },
    /// The connection's state is one of these (`-m conntrack --ctstate`).
    State(States),
    /// `packet mark & mask == value` (`-m mark`).
    Mark {
        /// The value.
        value: u32,
        /// The mask.
        mask: u32,
    },
    /// `connection mark & mask == value` (`-m connmark`).
    Connmark {
        /// The value.
        value: u32,
        /// The mask.
        mask: u32,
    },
    /// The source is an address of this machine (`-m addrtype --src-type LOCAL`).
    SourceIsLocal,
    /// The destination is an address of this machine (`-m addrtype --dst-type LOCAL`).
    DestinationIsLocal,
    /// The packet's key is a member of the set (`-m set --match-set`).
    InSet(SetName, SetKey),
    /// The packet's key is not a member of the set (`-m set ! --match-set`).
    NotInSet(SetName, SetKey),
}

impl Match {
    /// The number of port slots that one multiport match has.
    pub const MULTIPORT_SLOTS: usize = 15;
}

/// What of a packet is looked up in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SetKey {
    /// The source address: `src`.
    Source,
    /// The destination address: `dst`.
    Destination,
    /// The destination address and the destination port: `dst,dst`.
    DestinationPort,
}

/// An ICMP or ICMPv6 type with all of its codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Icmp {
    /// The type's number.
    pub kind: u8,
}

/// A set of connection states. Bits as in conntrack revision 3 of xtables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct States(u16);

impl States {
    /// No valid connection.
    pub const INVALID: States = States(1);
    /// A known connection that was answered.
    pub const ESTABLISHED: States = States(2);
    /// A new connection or an error that belongs to a known one.
    pub const RELATED: States = States(4);
    /// The first packet of a connection.
    pub const NEW: States = States(8);

    /// States from bits.
    pub const fn from_bits(bits: u16) -> Self {
        States(bits)
    }

    /// The states as bits.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Both sets of states together.
    #[must_use]
    pub const fn or(self, other: States) -> States {
        States(self.0 | other.0)
    }

    /// Whether every state of `other` is among these.
    pub const fn contains(self, other: States) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What a rule does with a packet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// Ends the base chain: the packet goes on.
    Accept,
    /// Ends everything: the packet is gone.
    Drop,
    /// Back to the chain that jumped here.
    Return,
    /// Enters a chain and comes back to the next rule.
    Jump(ChainName),
    /// Enters a chain and comes back to where this chain would have come back to.
    Goto(ChainName),
    /// Drops the packet and tells its sender.
    Reject(RejectWith),
    /// `packet mark = (mark & !mask) ^ value` and on to the next rule (`-j MARK --set-xmark`).
    SetMark {
        /// The bits to set.
        value: u32,
        /// The bits to clear first.
        mask: u32,
    },
    /// The same with the connection mark (`-j CONNMARK --set-xmark`).
    SetConnmark {
        /// The bits to set.
        value: u32,
        /// The bits to clear first.
        mask: u32,
    },
    /// Writes the packet to a log group and on to the next rule (`-j NFLOG`).
    Nflog {
        /// The netlink group.
        group: u16,
        /// The text before each entry.
        prefix: NflogPrefix,
    },
    /// A rule that was found in a kernel and can't be read. It equals nothing that is compiled, so a
    /// diff always replaces it; it is never sent.
    Unreadable,
}

/// How a refusal is told to the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectWith {
    /// `icmp-port-unreachable`, or `icmp6-port-unreachable` in IPv6.
    PortUnreachable,
    /// `tcp-reset`. The rule holds a [`Match::Protocol`] of TCP.
    TcpReset,
    /// `icmp-admin-prohibited`, or `icmp6-adm-prohibited` in IPv6.
    AdminProhibited,
}

/// A comment that the tools show: at most 255 bytes, no control characters, no quotes or backslashes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Comment(Box<str>);

impl Comment {
    /// The longest comment in bytes: the tool cuts longer ones silently.
    pub const MAX: usize = 255;

    /// Makes a comment of any text: characters that would need quoting become `_`, a text that is too
    /// long is cut and ends in a hash of the whole.
    pub fn new(text: &str) -> Self {
        let clean: String = text
            .chars()
            .map(|c| if c.is_control() || matches!(c, '"' | '\'' | '\\' | '`') { '_' } else { c })
            .collect();
        Comment(cut(&clean, Self::MAX).into())
    }

    /// The comment as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Comment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The prefix of a log entry: at most 63 bytes, no control characters, no quotes or backslashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NflogPrefix(Box<str>);

impl NflogPrefix {
    /// The longest prefix in bytes.
    pub const MAX: usize = 63;

    /// Makes a prefix of any text, as [`Comment::new`] does, but cut plainly at 63 bytes.
    pub fn new(text: &str) -> Self {
        let clean: String = text
            .chars()
            .map(|c| if c.is_control() || matches!(c, '"' | '\'' | '\\' | '`') { '_' } else { c })
            .collect();
        NflogPrefix(clean[..boundary(&clean, Self::MAX)].into())
    }

    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The largest index that is at most `limit` and between two characters.
fn boundary(text: &str, limit: usize) -> usize {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    end
}

fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let tail = blake3::hash(text.as_bytes()).to_hex();
    let tail = &tail[..16];
    format!("{}~{tail}", &text[..boundary(text, limit - tail.len() - 1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_comment_is_cut_and_keeps_its_identity() {
        let (a, b) = (Comment::new(&"ä".repeat(200)), Comment::new(&("ä".repeat(199) + "b")));
        assert!(a.as_str().len() <= 255 && b.as_str().len() <= 255);
        assert_ne!(a, b);
        assert_eq!(Comment::new("netpol a/b").as_str(), "netpol a/b");
        assert_eq!(Comment::new("a\"b\nc").as_str(), "a_b_c");
    }

    #[test]
    fn a_log_prefix_is_cut_at_63_bytes() {
        assert_eq!(NflogPrefix::new(&"x".repeat(80)).as_str().len(), 63);
        assert_eq!(NflogPrefix::new(&"ä".repeat(40)).as_str().len(), 62);
    }
}
