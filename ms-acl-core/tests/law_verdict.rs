//! The law of verdicts: what the compiled rules do with a packet is what the oracle says of its flow.

mod law;

use std::collections::BTreeMap;

use law::{cluster, compile_all, first_packet, is_link_local, trail, walk_packet};
use ms_acl_core::compile::Compiled;
use ms_acl_core::ruleset::RejectWith;
use ms_acl_core::verdict::Outcome;
use ms_acl_lab::oracle::{Answer, DirectionAnswer, Flow, Protocol, Verdict, World, judge, node_of};
use ms_acl_lab::random::{Case, Shape, cases};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

/// What a node does with a packet.
#[derive(Debug, PartialEq)]
enum Deed {
    Pass,
    Accept,
    Drop,
    Reject,
}

fn deed(outcome: Outcome, flow: &Flow) -> Result<Deed, TestCaseError> {
    Ok(match outcome {
        Outcome::Pass => Deed::Pass,
        Outcome::Accept => Deed::Accept,
        Outcome::Drop => Deed::Drop,
        Outcome::Reject(with) => {
            let reset = with == RejectWith::TcpReset;
            prop_assert_eq!(reset, flow.protocol == Protocol::Tcp, "a reset is for TCP: {}", flow);
            Deed::Reject
        }
    })
}

/// What the oracle expects of a node that these directions of the flow belong to.
fn expected(directions: &[&DirectionAnswer]) -> Deed {
    for direction in directions {
        match direction.verdict {
            Verdict::Allow => {}
            Verdict::Drop => return Deed::Drop,
            Verdict::Reject => return Deed::Reject,
        }
    }
    if directions.iter().any(|direction| direction.accepts) { Deed::Accept } else { Deed::Pass }
}

/// Judges a flow on every node that can see it.
fn check(world: &World, compiled: &BTreeMap<String, Compiled>, flow: &Flow) -> Result<Answer, TestCaseError> {
    let answer = judge(world, flow);
    let (source, destination) = (node_of(world, flow.from), node_of(world, flow.to));
    for (node, rules) in compiled {
        let mut directions = Vec::new();
        if source == Some(node) {
            directions.extend(&answer.egress);
        }
        if destination == Some(node) {
            directions.extend(&answer.ingress);
        }
        let (hook, packet) = first_packet(world, node, flow);
        let walk = walk_packet(rules, hook, &packet);
        let done = deed(walk.outcome, flow)?;
        // A node that has neither end forwards, but for link-local traffic.
        if directions.is_empty() && done == Deed::Drop && is_link_local(flow.from, flow.to) {
            continue;
        }
        let wanted = expected(&directions);
        prop_assert_eq!(done, wanted, "{} on {} {:?}: {:?}\n{}", flow, node, hook, answer, trail(&walk));
    }
    Ok(answer)
}

fn holds(case: &Case) -> Result<(), TestCaseError> {
    let cluster = cluster(&case.world);
    let compiled = compile_all(&case.world, &cluster);
    for flow in &case.flows {
        check(&case.world, &compiled, flow)?;
    }
    Ok(())
}

#[test]
fn rules_do_what_the_oracle_says() {
    law::check("rules_do_what_the_oracle_says", 10_000, cases(Shape::default(), 60), holds);
}

#[test]
fn rules_of_crowded_nodes_do_what_the_oracle_says() {
    let shape = Shape { max_pods: 300, max_policies: 8, running_only: true, ..Shape::default() };
    law::check("rules_of_crowded_nodes_do_what_the_oracle_says", 300, cases(shape, 60), holds);
}
