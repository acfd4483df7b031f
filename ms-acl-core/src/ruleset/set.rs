//! Typed sets of addresses, networks, or addresses with a port.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::Family;
use crate::model::Protocol;

/// What the members of a set are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetKind {
    /// Single addresses (`hash:ip`).
    Addresses,
    /// Networks (`hash:net`). Never a /0: it is split into two /1.
    Networks,
    /// An address with a protocol and a port (`hash:ip,port`).
    AddressPorts,
}

/// On which side of a decision a set stands. It decides the order in which members change: a set
/// that permits grows after one that refuses, and shrinks before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetRole {
    /// Being a member lets packets through.
    Permit,
    /// Being a member refuses packets.
    Refuse,
}

/// A member of a set. A set holds members of one kind only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Member {
    /// Of a set of [`SetKind::Addresses`].
    Address(IpAddr),
    /// Of a set of [`SetKind::Networks`]: canonical (no host bits).
    Network(IpNet),
    /// Of a set of [`SetKind::AddressPorts`].
    AddressPort(IpAddr, Protocol, u16),
}

impl std::fmt::Display for Member {
    /// As ipset prints it: `10.0.0.1`, `10.0.0.0/8` (a host network without its length), `10.0.0.1,tcp:80`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Member::Address(address) => write!(f, "{address}"),
            Member::Network(net) if net.prefix_len() == net.max_prefix_len() => {
                write!(f, "{}", net.addr())
            }
            Member::Network(net) => write!(f, "{net}"),
            Member::AddressPort(address, protocol, port) => {
                write!(f, "{address},{protocol}:{port}")
            }
        }
    }
}

/// A set and its members. Its name is its key in the ruleset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// The family of all addresses in it.
    pub family: Family,
    /// What its members are.
    pub kind: SetKind,
    /// The side of the decision it stands on.
    pub role: SetRole,
    /// The members.
    pub members: BTreeSet<Member>,
    /// What the set stands for, for people: `pods app=web in namespace default`.
    /// Not programmed; empty when the set was read back from a kernel.
    pub title: String,
}
