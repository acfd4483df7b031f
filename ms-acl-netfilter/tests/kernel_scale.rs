//! Many rules and many members at once.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use common::{chain, in_namespace, open, ours, policy, rule, set, set_name};
use ms_acl_core::diff::diff;
use ms_acl_core::model::{PortRange, Protocol};
use ms_acl_core::ruleset::{Family, Hook, Match, Member, Rule, Rulesets, SetKey, SetKind, Target};

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from(0x0a00_0001 + number).into()
}

/// Chains of forty rules each, dispatched to by address.
fn many_rules(chains: u32) -> Rulesets {
    let mut both = Rulesets::empty();
    let graph = &mut both.v4;
    let members = set_name(SetKind::Addresses, Family::V4, 1);
    graph.sets.insert(
        members.clone(),
        set(SetKind::Addresses, Family::V4, [Member::Address(address(0)), Member::Address(address(1))]),
    );
    let mut dispatch: Vec<Rule> = Vec::new();
    for number in 0..chains {
        let name = policy(usize::try_from(number).unwrap());
        let of_port = |port: u16| {
            let matches = vec![
                Match::Protocol(Protocol::Tcp),
                Match::Port(PortRange::single(port)),
                Match::InSet(members.clone(), SetKey::Source),
            ];
            rule(matches, Target::Return)
        };
        graph.chains.insert(name.clone(), ours((1..=39).map(of_port).collect()));
        dispatch.push(rule(vec![Match::Destination(address(number).into())], Target::Jump(name)));
    }
    graph.chains.insert(chain("MS-FORWARD"), ours(dispatch));
    graph.hooks.insert(Hook::Forward, chain("MS-FORWARD"));
    both
}

#[test]
fn twenty_thousand_rules_load_in_one_batch() {
    in_namespace(|| {
        let mut dataplane = open();
        let desired = many_rules(500);
        assert_eq!(desired.v4.rule_count(), 20_000);
        let change = diff(&Rulesets::empty(), &desired);
        let start = Instant::now();
        let report = dataplane.commit(&change).unwrap();
        println!("{} rules in {:?}", report.rules_added, start.elapsed());
        assert_eq!((report.chains_added, report.rules_added), (501, 20_000));

        let start = Instant::now();
        let observed = dataplane.observe().unwrap();
        println!("read back in {:?}", start.elapsed());
        assert_eq!(diff(&observed.rulesets, &desired).steps, []);

        let mut next = desired.clone();
        next.v4.chains.insert(policy(7), ours(vec![rule(vec![], Target::Drop)]));
        let start = Instant::now();
        let report = dataplane.commit(&diff(&observed.rulesets, &next)).unwrap();
        println!("a changed chain in {:?}", start.elapsed());
        assert_eq!((report.rules_added, report.rules_removed), (1, 39));

        let start = Instant::now();
        let report = dataplane.remove_all().unwrap();
        println!("removed in {:?}", start.elapsed());
        assert_eq!((report.chains, report.sets, report.kept.len()), (501, 1, 0));
    });
}

#[test]
fn a_hundred_thousand_members_of_each_kind() {
    in_namespace(|| {
        let mut dataplane = open();
        for kind in [SetKind::Addresses, SetKind::Networks, SetKind::AddressPorts] {
            let member = |number: u32| match kind {
                SetKind::Addresses => Member::Address(address(number)),
                SetKind::Networks => Member::Network(
                    ipnet::IpNet::new(Ipv4Addr::from(0x0a00_0000 + number * 16).into(), 28).unwrap(),
                ),
                SetKind::AddressPorts => Member::AddressPort(address(number), Protocol::Udp, 53),
            };
            let mut desired = Rulesets::empty();
            let name = set_name(kind, Family::V4, 1);
            desired.v4.sets.insert(name, set(kind, Family::V4, (0..100_000).map(member)));
            let start = Instant::now();
            let report = dataplane.commit(&diff(&Rulesets::empty(), &desired)).unwrap();
            println!("{kind:?}: {} members in {:?}", report.members_added, start.elapsed());
            let start = Instant::now();
            assert_eq!(dataplane.observe().unwrap().rulesets.v4.sets, desired.v4.sets);
            println!("{kind:?}: read back in {:?}", start.elapsed());
            dataplane.commit(&diff(&desired, &Rulesets::empty())).unwrap();
        }
    });
}

#[test]
fn a_batch_beyond_the_default_queues_is_carried_out_whole() {
    in_namespace(|| {
        let mut dataplane = open();
        let desired = many_rules(1500);
        let start = Instant::now();
        let report = dataplane.commit(&diff(&Rulesets::empty(), &desired)).unwrap();
        println!("{} rules in {:?}", report.rules_added, start.elapsed());
        assert_eq!(diff(&dataplane.observe().unwrap().rulesets, &desired).steps, []);
        // All handles are known: a change of every chain goes through without reading back.
        let mut next = desired.clone();
        for chain in next.v4.chains.values_mut() {
            let mut rules = chain.rules.clone();
            rules.truncate(20);
            *chain = ours(rules);
        }
        dataplane.commit(&diff(&desired, &next)).unwrap();
        assert_eq!(diff(&dataplane.observe().unwrap().rulesets, &next).steps, []);
    });
}
