//! Rules to bytes and back, without a kernel: laws, and bytes that a kernel test has seen the iptables
//! tool agree with (`tests/kernel_rules.rs`).

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fmt::Write;

use common::strategy::any_rule;
use common::{every_rule, set_name};
use ipnet::IpNet;
use ms_acl_core::model::{PortRange, Protocol};
use ms_acl_core::render::iptables_rule;
use ms_acl_core::ruleset::{Family, Icmp, Match, RejectWith, Rule, SetKey, SetKind, States, Target};
use ms_acl_netfilter::xtables::{EncodeError, SetIndexes, decode, encode};
use proptest::collection::vec;
use proptest::prelude::*;

const KINDS: [SetKind; 3] = [SetKind::Addresses, SetKind::Networks, SetKind::AddressPorts];

fn sets() -> SetIndexes {
    let mut sets = SetIndexes::default();
    for (index, (family, kind)) in
        Family::BOTH.into_iter().flat_map(|family| KINDS.map(|kind| (family, kind))).enumerate()
    {
        sets.insert(set_name(kind, family, 1), u16::try_from(index).unwrap());
    }
    sets
}

/// One line a rule: its text, and the bytes of its expressions.
fn bytes_of_every_rule(family: Family) -> String {
    let mut text = String::new();
    for rule in every_rule(family) {
        let encoded = encode(family, &rule, &sets()).unwrap();
        let _ = write!(text, "{}\n ", iptables_rule(&rule, family).trim());
        // A run of zeros stands as its length: an extension's structure is mostly empty.
        let mut zeros = 0;
        for byte in encoded.expressions.iter().chain([&1]) {
            if *byte == 0 {
                zeros += 1;
                continue;
            }
            match zeros {
                0..4 => text.push_str(&"00".repeat(zeros)),
                count => write!(text, "({count}x00)").unwrap(),
            }
            zeros = 0;
            write!(text, "{byte:02x}").unwrap();
        }
        text.truncate(text.len() - 2);
        text.push('\n');
    }
    text
}

#[cfg(target_endian = "little")]
#[test]
fn every_rule_has_the_bytes_that_were_compared_with_the_tool() {
    for family in Family::BOTH {
        let path = format!("{}/tests/golden/xtables-{family}.txt", env!("CARGO_MANIFEST_DIR"));
        let now = bytes_of_every_rule(family);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &now).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap();
        for (now, golden) in now.lines().zip(golden.lines()) {
            assert_eq!(now, golden, "{path}");
        }
        assert_eq!(now.len(), golden.len(), "{path}");
    }
}

#[test]
fn every_rule_decodes_to_itself() {
    for family in Family::BOTH {
        for rule in every_rule(family) {
            let encoded = encode(family, &rule, &sets()).unwrap();
            assert_eq!(decode(family, &encoded.expressions, None, &sets()), rule);
        }
    }
}

fn refused(family: Family, matches: Vec<Match>, target: Target) -> EncodeError {
    encode(family, &Rule::new(matches, target), &sets()).unwrap_err()
}

#[test]
fn what_iptables_cannot_say_is_refused() {
    let v4 = |text: &str| text.parse::<IpNet>().unwrap();
    let port = || Match::Port(PortRange::single(1));
    let tcp = || Match::Protocol(Protocol::Tcp);
    let icmp = || Match::Protocol(Protocol::Icmp);
    let flags = |mask, set| Match::TcpFlags { mask, set, inverted: false };
    let say = |matches, target| refused(Family::V4, matches, target).to_string();

    assert_eq!(say(vec![Match::Source(v4("fd00::/8"))], Target::Drop), "fd00::/8 is no ipv4 network");
    assert_eq!(
        say(vec![Match::Source(v4("10.0.0.0/8")), Match::NotSource(v4("10.1.0.0/16"))], Target::Drop),
        "the rule has more than one source"
    );
    assert_eq!(say(vec![tcp(), tcp()], Target::Drop), "the rule has more than one protocol");
    assert_eq!(say(vec![port()], Target::Drop), "a port needs the protocol tcp, udp or sctp");
    assert_eq!(say(vec![icmp(), port()], Target::Drop), "a port needs the protocol tcp, udp or sctp");
    let ports = |count| Match::Ports(vec![PortRange::single(1); count]);
    assert!(matches!(refused(Family::V4, vec![tcp(), ports(0)], Target::Drop), EncodeError::Ports));
    assert!(matches!(refused(Family::V4, vec![tcp(), ports(16)], Target::Drop), EncodeError::Ports));
    let ranges = Match::Ports(vec![PortRange::new(1, 2).unwrap(); 8]);
    assert!(matches!(refused(Family::V4, vec![tcp(), ranges], Target::Drop), EncodeError::Ports));
    assert!(say(vec![Match::Icmp(Icmp { kind: 8 })], Target::Drop).contains("needs the protocol icmp"));
    assert!(say(vec![icmp(), Match::Icmp(Icmp { kind: 255 })], Target::Drop).contains("any type"));
    assert!(say(vec![flags(1, 1)], Target::Drop).contains("needs the protocol tcp"));
    assert!(say(vec![tcp(), flags(0, 0)], Target::Drop).contains("six bits"));
    assert!(say(vec![tcp(), port(), flags(64, 0)], Target::Drop).contains("six bits"));
    assert!(say(vec![Match::State(States::from_bits(0))], Target::Drop).contains("at least one"));
    assert!(say(vec![], Target::Reject(RejectWith::TcpReset)).contains("needs the protocol tcp"));
    assert!(say(vec![], Target::Unreadable).contains("unreadable"));
    let unknown = Match::InSet(set_name(SetKind::Networks, Family::V4, 9), SetKey::Source);
    assert!(say(vec![unknown], Target::Drop).contains("doesn't exist"));
    let nothing = Match::NotSource(v4("0.0.0.0/0"));
    assert!(say(vec![nothing], Target::Drop).contains("matches nothing"));
    let many = vec![Match::SourceIsLocal; 1500];
    assert!(matches!(refused(Family::V4, many, Target::Drop), EncodeError::TooLong(_)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn a_rule_decodes_to_itself((family, rule) in any_rule()) {
        let encoded = encode(family, &rule, &sets()).unwrap();
        prop_assert_eq!(decode(family, &encoded.expressions, None, &sets()), rule);
    }

    #[test]
    fn damaged_bytes_are_read_without_panic(
        (family, rule) in any_rule(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encode(family, &rule, &sets()).unwrap().expressions;
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let _ = decode(family, &bytes, None, &sets());
        bytes.truncate(cut.index(bytes.len()));
        let _ = decode(family, &bytes, None, &sets());
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = decode(Family::V4, &bytes, None, &sets());
        let _ = decode(Family::V6, &bytes, Some("x"), &sets());
    }
}
