//! The laws of packets that open no flow, and of marks: later packets share the first one's fate, what
//! keeps bridged pods alive always passes, and nobody else's marks are touched.

mod law;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use law::{cluster, compile_all, first_packet, is_link_local, trail, walk_packet};
use ms_acl_core::compile::Compiled;
use ms_acl_core::model::{Marks, Protocol};
use ms_acl_core::ruleset::{Hook, States};
use ms_acl_core::verdict::{Outcome, Packet};
use ms_acl_lab::oracle::{Flow, World, governs_egress, governs_ingress, node_of, pod_name_at};
use ms_acl_lab::random::{Case, Shape, cases};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

type Check = fn(&World, &str, &Compiled, &Flow) -> Result<(), TestCaseError>;

/// Checks every flow on every node.
fn everywhere(case: &Case, check: Check) -> Result<(), TestCaseError> {
    let cluster = cluster(&case.world);
    let compiled: BTreeMap<String, Compiled> = compile_all(&case.world, &cluster);
    for flow in &case.flows {
        for (node, rules) in &compiled {
            check(&case.world, node, rules, flow)?;
        }
    }
    Ok(())
}

/// A packet the other way, of the same connection.
fn reply(packet: &Packet, hook: Hook, state: States, connmark: u32) -> (Hook, Packet) {
    let hook = match hook {
        Hook::Input => Hook::Output,
        Hook::Forward => Hook::Forward,
        Hook::Output => Hook::Input,
    };
    let reply = Packet {
        source: packet.destination,
        destination: packet.source,
        source_is_local: packet.destination_is_local,
        destination_is_local: packet.source_is_local,
        port: 40_000,
        icmp_type: 0,
        tcp_flags: 0x12,
        state,
        connmark,
        ..packet.clone()
    };
    (hook, reply)
}

fn later_packets_share_the_first_ones_fate(
    world: &World,
    node: &str,
    rules: &Compiled,
    flow: &Flow,
) -> Result<(), TestCaseError> {
    let (hook, packet) = first_packet(world, node, flow);
    let first = walk_packet(rules, hook, &packet);
    let expected = match first.outcome {
        Outcome::Pass | Outcome::Accept => first.outcome,
        // What was refused has no later packets; an answer to it is our own and leaves.
        Outcome::Drop | Outcome::Reject(_) => Outcome::Pass,
    };
    let further = Packet { state: States::ESTABLISHED, connmark: first.connmark, ..packet.clone() };
    let mut later = vec![(hook, further)];
    for state in [States::ESTABLISHED, States::RELATED] {
        later.push(reply(&packet, hook, state, first.connmark));
    }
    for (hook, packet) in later {
        let walk = walk_packet(rules, hook, &packet);
        // Only FORWARD has strangers' rules that an accepted flow is kept from.
        if hook == Hook::Forward {
            prop_assert_eq!(
                walk.outcome,
                expected,
                "{} on {}: {}\n{}",
                flow,
                node,
                trail(&first),
                trail(&walk)
            );
        }
        prop_assert!(
            matches!(walk.outcome, Outcome::Pass | Outcome::Accept),
            "{} on {}: {}",
            flow,
            node,
            trail(&walk)
        );
    }
    Ok(())
}

fn invalid_packets_of_governed_pods_are_dropped(
    world: &World,
    node: &str,
    rules: &Compiled,
    flow: &Flow,
) -> Result<(), TestCaseError> {
    let (hook, mut packet) = first_packet(world, node, flow);
    packet.state = States::INVALID;
    let to_itself = flow.from == flow.to
        || pod_name_at(world, flow.from).is_some_and(|pod| pod_name_at(world, flow.to) == Some(pod));
    if hook != Hook::Forward || is_link_local(flow.from, flow.to) || to_itself {
        return Ok(());
    }
    let governed = node_of(world, flow.from) == Some(node) && governs_egress(world, flow.from)
        || node_of(world, flow.to) == Some(node) && governs_ingress(world, flow.to);
    let walk = walk_packet(rules, hook, &packet);
    let expected = if governed { Outcome::Drop } else { Outcome::Pass };
    prop_assert_eq!(walk.outcome, expected, "{} on {}: {}", flow, node, trail(&walk));
    Ok(())
}

fn neighbours_find_each_other(
    world: &World,
    node: &str,
    rules: &Compiled,
    flow: &Flow,
) -> Result<(), TestCaseError> {
    if flow.from.is_ipv4() {
        return Ok(());
    }
    let (hook, packet) = first_packet(world, node, flow);
    for icmp_type in [130, 131, 132, 133, 134, 135, 136, 143] {
        for source in [flow.from, IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 5))] {
            for state in [States::from_bits(0), States::INVALID, States::NEW] {
                let protocol = Some(Protocol::Icmp);
                let packet = Packet { icmp_type, source, state, protocol, ..packet.clone() };
                let walk = walk_packet(rules, hook, &packet);
                prop_assert_eq!(walk.outcome, Outcome::Pass, "{} {}: {}", flow, icmp_type, trail(&walk));
            }
        }
    }
    Ok(())
}

fn marks_come_and_go_as_they_were(
    world: &World,
    node: &str,
    rules: &Compiled,
    flow: &Flow,
) -> Result<(), TestCaseError> {
    let ours = Marks::default();
    let (hook, packet) = first_packet(world, node, flow);
    let plain = walk_packet(rules, hook, &packet);
    for mark in [ours.all(), ours.pass, ours.accept, ours.next, !ours.all(), 0xc000, u32::MAX] {
        let marked = Packet { mark, connmark: 0xff00 & !ours.seen, ..packet.clone() };
        let walk = walk_packet(rules, hook, &marked);
        let report = || format!("{flow} on {node} with {mark:#x}: {}", trail(&walk));
        prop_assert_eq!(walk.outcome, plain.outcome, "{}", report());
        if matches!(walk.outcome, Outcome::Pass | Outcome::Accept) {
            prop_assert_eq!(walk.mark & !ours.all(), mark & !ours.all(), "{}", report());
            prop_assert!(walk.mark & ours.all() == 0 || walk.mark == mark, "{}", report());
            let seen = if walk.outcome == Outcome::Accept { ours.seen } else { 0 };
            prop_assert_eq!(walk.connmark, marked.connmark | seen, "{}", report());
        }
    }
    Ok(())
}

#[test]
fn packets_obey() {
    law::check("packets_obey", 1_000, cases(Shape::default(), 20), |case| {
        everywhere(case, later_packets_share_the_first_ones_fate)?;
        everywhere(case, invalid_packets_of_governed_pods_are_dropped)?;
        everywhere(case, neighbours_find_each_other)?;
        everywhere(case, marks_come_and_go_as_they_were)
    });
}
