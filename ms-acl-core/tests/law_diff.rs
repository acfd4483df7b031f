//! The laws of differences: a difference leads from any state to any other, between equal ones it is
//! empty, and after each of its steps no packet passes that both states refuse, and none is refused
//! that both let pass.

mod law;

use law::{cluster, first_packet, nodes, settings, trail};
use ms_acl_core::compile::compile;
use ms_acl_core::diff::{apply, diff};
use ms_acl_core::ruleset::{Chain, Family, Rulesets};
use ms_acl_core::verdict::{Outcome, walk};
use ms_acl_lab::oracle::{Flow, World};
use ms_acl_lab::random::{Dice, GivenNode, Shape, drawn, history, some_flows, world_from_seed};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde::{Deserialize, Serialize};

/// Two worlds, and the flows that are watched on the way from one to the other.
#[derive(Clone, Serialize, Deserialize)]
struct Case {
    flows: Vec<Flow>,
    from: World,
    to: World,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| std::fmt::Error)?)
    }
}

/// Worlds that have a few edits between them, or nothing in common but names.
fn cases() -> impl Strategy<Value = Case> {
    drawn(|dice| {
        let mut shape = Shape { max_pods: 8, max_policies: 5, ..Shape::default() };
        if dice.chance(60) {
            // Pods of one node meet each other in both directions.
            shape.nodes =
                vec![GivenNode { name: "n0".to_owned(), addresses: Vec::new(), local_addresses: Vec::new() }];
        }
        let (from, to) = if dice.chance(60) {
            let most = dice.pick(&[1, 2, 3, 8]);
            let history = history(dice, &shape, most);
            let mut last = history.world.clone();
            history.edits.iter().for_each(|edit| edit.happen(&mut last));
            (history.world, last)
        } else {
            let from = world_from_seed(dice.seed(), &shape);
            let to = World { settings: from.settings.clone(), ..world_from_seed(dice.seed(), &shape) };
            (from, to)
        };
        let mut flows = some_flows(&from, dice, 20);
        flows.extend(some_flows(&to, dice, 20));
        Case { flows, from, to }
    })
}

/// What a kernel can tell of a state.
fn bare(mut state: Rulesets) -> Rulesets {
    for family in Family::BOTH {
        let graph = state.family_mut(family);
        for chain in graph.chains.values_mut() {
            let rules = chain.rules.iter().map(|rule| {
                let mut rule = rule.clone();
                rule.provenance = None;
                rule
            });
            *chain = Chain { rules: rules.collect(), content: chain.content, title: String::new() }.into();
        }
    }
    state
}

fn passes(state: &Rulesets, world: &World, node: &str, flow: &Flow) -> (bool, String) {
    let (hook, packet) = first_packet(world, node, flow);
    let walk = walk(state.family(Family::of(packet.source)), hook, &packet);
    (matches!(walk.outcome, Outcome::Pass | Outcome::Accept), trail(&walk))
}

fn holds(case: &Case, node: &str) -> Result<(), TestCaseError> {
    let [from, to] =
        [&case.from, &case.to].map(|world| compile(&cluster(world), &settings(&case.from, node)).rulesets);
    prop_assert!(diff(&from, &from.clone()).is_empty());
    let before: Vec<bool> = case.flows.iter().map(|flow| passes(&from, &case.from, node, flow).0).collect();
    let after: Vec<bool> = case.flows.iter().map(|flow| passes(&to, &case.from, node, flow).0).collect();
    let mut state = from.clone();
    for step in diff(&from, &to).steps {
        apply(&step, &mut state);
        for (flow, (before, after)) in case.flows.iter().zip(before.iter().zip(&after)) {
            let (passes, trail) = passes(&state, &case.from, node, flow);
            prop_assert!(
                passes == *before || passes == *after,
                "{flow} on {node}: {before}, then {passes}, then {after}, after {step:?}\n{trail}"
            );
        }
    }
    prop_assert_eq!(bare(state), bare(to));
    Ok(())
}

#[test]
fn every_step_is_safe_and_the_last_one_arrives() {
    law::check("every_step_is_safe_and_the_last_one_arrives", 1_000, cases(), |case| {
        let mut all = nodes(&case.from);
        all.extend(nodes(&case.to));
        all.sort();
        all.dedup();
        all.iter().try_for_each(|node| holds(case, node))
    });
}

#[test]
fn sets_that_change_with_the_rules_are_switched_and_stand_ins_go() {
    let shape = Shape { max_pods: 8, max_policies: 5, ..Shape::default() };
    let mut switches = 0;
    for seed in 0..300 {
        let case = history(&mut Dice::from_seed(seed), &shape, 8);
        let mut last = case.world.clone();
        case.edits.iter().for_each(|edit| edit.happen(&mut last));
        for node in nodes(&case.world) {
            let [from, to] = [&case.world, &last]
                .map(|world| compile(&cluster(world), &settings(&case.world, &node)).rulesets);
            let steps = diff(&from, &to).steps;
            let batches = steps.iter().filter(|step| matches!(step, ms_acl_core::diff::Step::Rules(_)));
            switches += usize::from(batches.count() == 2);
        }
    }
    assert!(switches > 20, "{switches}");
}
