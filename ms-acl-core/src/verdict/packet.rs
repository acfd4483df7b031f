//! A packet, as far as rules look at it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::model::Protocol;
use crate::ruleset::{Match, Member, Set, SetKey, SetKind, SetName, States};

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Its source address.
    pub source: IpAddr,
    /// Its destination address, after translation; of the same family.
    pub destination: IpAddr,
    /// Its protocol; `None` = one that no policy can name.
    pub protocol: Option<Protocol>,
    /// Its destination port, where the protocol has ports.
    pub port: u16,
    /// Its ICMP or ICMPv6 type.
    pub icmp_type: u8,
    /// Its TCP flags, bits as in the header.
    pub tcp_flags: u8,
    /// The state of its connection: one state, or none for untracked packets.
    pub state: States,
    /// Whether its source is an address of the machine that judges it.
    pub source_is_local: bool,
    /// Whether its destination is an address of the machine that judges it.
    pub destination_is_local: bool,
    /// Its mark.
    pub mark: u32,
    /// Its connection's mark.
    pub connmark: u32,
}

impl Packet {
    /// The first packet of a flow: NEW, with SYN set if it is TCP, an echo request if it is ICMP.
    pub fn first(source: IpAddr, destination: IpAddr, protocol: Protocol, port: u16) -> Self {
        Packet {
            source,
            destination,
            protocol: Some(protocol),
            port,
            icmp_type: if source.is_ipv4() { 8 } else { 128 },
            tcp_flags: 2,
            state: States::NEW,
            source_is_local: false,
            destination_is_local: false,
            mark: 0,
            connmark: 0,
        }
    }

    /// Whether a match holds for it. A set that isn't there has no members.
    pub fn matches(&self, test: &Match, sets: &BTreeMap<SetName, Arc<Set>>) -> bool {
        let has_ports = self.protocol.is_some_and(Protocol::has_ports);
        match test {
            Match::Source(net) => net.contains(&self.source),
            Match::NotSource(net) => !net.contains(&self.source),
            Match::Destination(net) => net.contains(&self.destination),
            Match::NotDestination(net) => !net.contains(&self.destination),
            Match::Protocol(protocol) => self.protocol == Some(*protocol),
            Match::Port(range) => has_ports && range.contains(self.port),
            Match::Ports(ranges) => has_ports && ranges.iter().any(|range| range.contains(self.port)),
            Match::Icmp(icmp) => self.protocol == Some(Protocol::Icmp) && self.icmp_type == icmp.kind,
            Match::TcpFlags { mask, set, inverted } => {
                self.protocol == Some(Protocol::Tcp) && (self.tcp_flags & mask == *set) != *inverted
            }
            Match::State(states) => self.state.bits() & states.bits() != 0,
            Match::Mark { value, mask } => self.mark & mask == *value,
            Match::Connmark { value, mask } => self.connmark & mask == *value,
            Match::SourceIsLocal => self.source_is_local,
            Match::DestinationIsLocal => self.destination_is_local,
            Match::InSet(name, key) => self.is_member(sets.get(name), *key),
            Match::NotInSet(name, key) => !self.is_member(sets.get(name), *key),
        }
    }

    fn is_member(&self, set: Option<&Arc<Set>>, key: SetKey) -> bool {
        let Some(set) = set else { return false };
        let address = match key {
            SetKey::Source => self.source,
            SetKey::Destination | SetKey::DestinationPort => self.destination,
        };
        match set.kind {
            SetKind::Addresses => set.members.contains(&Member::Address(address)),
            SetKind::Networks => set
                .members
                .iter()
                .any(|member| matches!(member, Member::Network(net) if net.contains(&address))),
            SetKind::AddressPorts => self.protocol.is_some_and(|protocol| {
                protocol.has_ports()
                    && set.members.contains(&Member::AddressPort(address, protocol, self.port))
            }),
        }
    }
}
