//! Random rules.

use ipnet::IpNet;
use ms_acl_core::model::{PortRange, Protocol};
use ms_acl_core::ruleset::{
    Comment, Family, Icmp, Match, NflogPrefix, RejectWith, Rule, SetKey, SetKind, States, Target,
};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{policy, set_name};

const KINDS: [SetKind; 3] = [SetKind::Addresses, SetKind::Networks, SetKind::AddressPorts];

fn port_range() -> impl Strategy<Value = PortRange> {
    (any::<u16>(), any::<u16>(), any::<bool>()).prop_map(|(a, b, single)| {
        if single { PortRange::single(a) } else { PortRange::new(a.min(b), a.max(b)).unwrap() }
    })
}

fn network(family: Family) -> impl Strategy<Value = IpNet> {
    (any::<[u8; 16]>(), 0..=family.bits()).prop_map(move |(octets, prefix)| {
        let address: std::net::IpAddr = match family {
            Family::V4 => <[u8; 4]>::try_from(&octets[..4]).unwrap().into(),
            Family::V6 => octets.into(),
        };
        IpNet::new(address, prefix).unwrap().trunc()
    })
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop::sample::select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp, Protocol::Icmp])
}

/// A match that fits a rule with this protocol.
fn other_match(family: Family, protocol: Option<Protocol>) -> BoxedStrategy<Match> {
    let name = move |kind: usize| set_name(KINDS[kind], family, 1);
    let key = prop::sample::select(vec![SetKey::Source, SetKey::Destination, SetKey::DestinationPort]);
    let state = (1_u16..16).prop_map(States::from_bits);
    let mut any_rule: Vec<BoxedStrategy<Match>> = vec![
        state.prop_map(Match::State).boxed(),
        (any::<u32>(), any::<u32>()).prop_map(|(value, mask)| Match::Mark { value, mask }).boxed(),
        (any::<u32>(), any::<u32>()).prop_map(|(value, mask)| Match::Connmark { value, mask }).boxed(),
        Just(Match::SourceIsLocal).boxed(),
        Just(Match::DestinationIsLocal).boxed(),
        (0_usize..3, key.clone()).prop_map(move |(kind, key)| Match::InSet(name(kind), key)).boxed(),
        (0_usize..3, key).prop_map(move |(kind, key)| Match::NotInSet(name(kind), key)).boxed(),
    ];
    if protocol.is_some_and(Protocol::has_ports) {
        any_rule.push(port_range().prop_map(Match::Port).boxed());
        any_rule.push(vec(port_range(), 1..8).prop_map(Match::Ports).boxed());
    }
    if protocol == Some(Protocol::Tcp) {
        let flags = (1_u8..64, 0_u8..64, any::<bool>());
        any_rule
            .push(flags.prop_map(|(mask, set, inverted)| Match::TcpFlags { mask, set, inverted }).boxed());
    }
    if protocol == Some(Protocol::Icmp) {
        any_rule.push((0_u8..255).prop_map(|kind| Match::Icmp(Icmp { kind })).boxed());
    }
    prop::strategy::Union::new(any_rule).boxed()
}

fn target(protocol: Option<Protocol>) -> BoxedStrategy<Target> {
    let number = || (any::<u32>(), any::<u32>());
    let mut targets: Vec<BoxedStrategy<Target>> = vec![
        Just(Target::Accept).boxed(),
        Just(Target::Drop).boxed(),
        Just(Target::Return).boxed(),
        Just(Target::Jump(policy(2))).boxed(),
        Just(Target::Goto(policy(2))).boxed(),
        Just(Target::Reject(RejectWith::PortUnreachable)).boxed(),
        Just(Target::Reject(RejectWith::AdminProhibited)).boxed(),
        number().prop_map(|(value, mask)| Target::SetMark { value, mask }).boxed(),
        number().prop_map(|(value, mask)| Target::SetConnmark { value, mask }).boxed(),
        (any::<u16>(), any::<String>())
            .prop_map(|(group, prefix)| Target::Nflog { group, prefix: NflogPrefix::new(&prefix) })
            .boxed(),
    ];
    if protocol == Some(Protocol::Tcp) {
        targets.push(Just(Target::Reject(RejectWith::TcpReset)).boxed());
    }
    prop::strategy::Union::new(targets).boxed()
}

/// Any rule of either family.
pub fn any_rule() -> impl Strategy<Value = (Family, Rule)> {
    let family = prop::sample::select(Family::BOTH.to_vec());
    family.prop_flat_map(|family| rule_of(family).prop_map(move |rule| (family, rule)))
}

/// Any rule that can be written, its matches in canonical order.
pub fn rule_of(family: Family) -> impl Strategy<Value = Rule> {
    prop::option::of(protocol()).prop_flat_map(move |protocol| {
        let side = || prop::option::of((network(family), any::<bool>()));
        let others = vec(other_match(family, protocol), 0..5);
        let comment = prop::option::of(any::<String>());
        (side(), side(), others, comment, target(protocol)).prop_map(
            move |(source, destination, others, comment, target)| {
                let mut matches = Vec::new();
                matches.extend(source.map(|(net, not)| {
                    if not && net.prefix_len() > 0 { Match::NotSource(net) } else { Match::Source(net) }
                }));
                matches.extend(destination.map(|(net, not)| {
                    if not && net.prefix_len() > 0 {
                        Match::NotDestination(net)
                    } else {
                        Match::Destination(net)
                    }
                }));
                matches.extend(protocol.map(Match::Protocol));
                matches.extend(others);
                let comment = comment.map(|text| Comment::new(&text));
                Rule { comment, ..Rule::new(matches, target) }
            },
        )
    })
}
