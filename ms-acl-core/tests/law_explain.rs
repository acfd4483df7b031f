//! The laws of explanations: they say what the oracle says, of every direction by itself; a
//! direction is the first refusal of its gates; and the rules that they call matching are those of
//! which a line of the graph matches.

#![allow(clippy::unwrap_used, reason = "tests read better so")]

mod law;

use std::collections::BTreeSet;
use std::net::IpAddr;

use law::{cluster, first_packet, settings};
use ms_acl_core::model::Protocol;
use ms_acl_core::ruleset::{ChainName, Direction, Family, Ruleset, Target};
use ms_acl_core::verdict::explain::{Question, Reason, Side};
use ms_acl_core::verdict::{self, Endpoint, FlowPort, Nodes, Packet, explain, walk};
use ms_acl_lab::oracle::{self, DirectionAnswer, Flow, World, judge};
use ms_acl_lab::random::{Case, Shape, cases};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

fn same(ours: verdict::Verdict, oracles: oracle::Verdict) -> bool {
    matches!(
        (ours, oracles),
        (verdict::Verdict::Allow, oracle::Verdict::Allow)
            | (verdict::Verdict::Drop, oracle::Verdict::Drop)
            | (verdict::Verdict::Reject, oracle::Verdict::Reject)
    )
}

/// A direction says what the oracle says, for the oracle's reason.
fn check_side(side: Option<&Side>, expected: Option<&DirectionAnswer>) -> Result<(), TestCaseError> {
    let (Some(side), Some(expected)) = (side, expected) else {
        prop_assert!(side.is_none() && expected.is_none(), "{side:?} {expected:?}");
        return Ok(());
    };
    prop_assert!(same(side.verdict, expected.verdict), "{side:?} {expected:?}");
    let refusing = side.gates.iter().find(|gate| gate.verdict != verdict::Verdict::Allow);
    match refusing {
        Some(gate) => prop_assert_eq!(gate.verdict, side.verdict),
        None => prop_assert!(side.verdict == verdict::Verdict::Allow || side.reason == Reason::LinkLocal),
    }
    if let Some(object) = &expected.object {
        let decision = side.decision().unwrap();
        let named = decision.object.clone().unwrap_or_default();
        prop_assert!(
            named == *object || (decision.rule.is_none() && named.split(", ").any(|name| name == object)),
            "{named} is not {object}: {side:?}"
        );
        if expected.verdict != oracle::Verdict::Allow || decision.policies.len() == 1 {
            prop_assert_eq!(decision.rule, expected.rule, "{:?} {:?}", side, expected);
        }
    }
    Ok(())
}

fn targets<'a>(
    graph: &'a Ruleset,
    chain: &ChainName,
    prefix: &'a str,
) -> impl Iterator<Item = &'a ChainName> {
    let rules = graph.chains.get(chain).into_iter().flat_map(|chain| &chain.rules);
    rules.filter_map(move |rule| match &rule.target {
        Target::Jump(name) | Target::Goto(name) if name.as_str().starts_with(prefix) => Some(name),
        _ => None,
    })
}

/// The rules of which a line matches the packet, in the group of chains that a walk comes to.
fn matching(graph: &Ruleset, group: &ChainName, packet: &Packet) -> BTreeSet<(String, usize)> {
    let policies = targets(graph, group, "MS-G-").flat_map(|gate| targets(graph, gate, "MS-P-"));
    let rules = policies.flat_map(|policy| &graph.chains[policy].rules);
    let lines = rules.filter(|rule| rule.matches.iter().all(|m| packet.matches(m, &graph.sets)));
    lines
        .filter_map(|rule| {
            let provenance = rule.provenance.as_ref()?;
            Some((provenance.object.as_ref()?.to_string(), provenance.rule?))
        })
        .collect()
}

/// What is called matching is what the graph's lines match.
fn check_lines(
    world: &World,
    nodes: &mut Nodes<'_>,
    flow: &Flow,
    (side, direction): (&Side, Direction),
) -> Result<(), TestCaseError> {
    let (hook, packet) = first_packet(world, &side.node, flow);
    let graph = nodes.node(&side.node).rulesets.family(Family::of(flow.from));
    let prefix = if direction == Direction::Egress { "MS-E-" } else { "MS-I-" };
    let walk = walk(graph, hook, &packet);
    let group = walk.hits.iter().find_map(|hit| match &hit.rule.target {
        Target::Goto(name) if name.as_str().starts_with(prefix) => Some(name),
        _ => None,
    });
    let Some(group) = group else { return Ok(()) };
    let judged = side.gates.iter().filter(|gate| gate.reason != Reason::OutsidePodIpRange);
    let policies: BTreeSet<&String> = judged.clone().flat_map(|gate| &gate.policies).collect();
    let said: BTreeSet<(String, usize)> = judged
        .flat_map(|gate| {
            let deciding = gate.object.clone().zip(gate.rule);
            let others = gate.matching.iter().map(|rule| (rule.object.clone(), rule.rule));
            deciding.into_iter().chain(others)
        })
        .collect();
    let mut lines = matching(graph, group, &packet);
    lines.retain(|(object, _)| policies.contains(object));
    prop_assert_eq!(said, lines, "{:?}", side);
    Ok(())
}

fn holds(case: &Case) -> Result<(), TestCaseError> {
    let cluster = cluster(&case.world);
    let settings = settings(&case.world, "");
    let mut nodes = Nodes::new(&cluster, &settings);
    let local =
        |node: &str| -> Vec<IpAddr> { case.world.local_addresses.get(node).cloned().unwrap_or_default() };
    for flow in &case.flows {
        let port = match flow.protocol {
            oracle::Protocol::Icmp => FlowPort::ICMP,
            oracle::Protocol::Tcp => FlowPort::new(Protocol::Tcp, flow.port),
            oracle::Protocol::Udp => FlowPort::new(Protocol::Udp, flow.port),
            oracle::Protocol::Sctp => FlowPort::new(Protocol::Sctp, flow.port),
        };
        let question = Question { from: Endpoint::Address(flow.from), to: Endpoint::Address(flow.to), port };
        let explanation = explain(&mut nodes, &question, &local).unwrap();
        let expected = judge(&case.world, flow);
        let trail = &explanation.trail;
        prop_assert!(same(trail.verdict, expected.verdict), "{explanation} {expected:?}");
        prop_assert_eq!(trail.accepted, expected.accepted, "{} {:?}", explanation, expected);
        check_side(trail.egress.as_ref(), expected.egress.as_ref())?;
        check_side(trail.ingress.as_ref(), expected.ingress.as_ref())?;
        let first = trail.refusal().map_or(verdict::Verdict::Allow, |(_, side)| side.verdict);
        prop_assert_eq!(trail.verdict, first);
        for (side, direction) in [(&trail.egress, Direction::Egress), (&trail.ingress, Direction::Ingress)] {
            if let Some(side) = side {
                check_lines(&case.world, &mut nodes, flow, (side, direction))?;
            }
        }
    }
    Ok(())
}

#[test]
fn explanations_say_what_the_oracle_and_the_graph_say() {
    law::check(
        "explanations_say_what_the_oracle_and_the_graph_say",
        1_000,
        cases(Shape::default(), 40),
        holds,
    );
}
