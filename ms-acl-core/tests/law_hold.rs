//! The laws of a hold: while a part of the cluster can't be read, what the kernel had on its account stays.

mod law;

use law::{cluster, first_packet, is_link_local, nodes, settings, trail};
use ms_acl_core::cluster::Cluster;
use ms_acl_core::compile::compile;
use ms_acl_core::hold::Hold;
use ms_acl_core::object::NetworkPolicy;
use ms_acl_core::ruleset::{Family, Rulesets};
use ms_acl_core::verdict::{Outcome, walk};
use ms_acl_lab::oracle::{Flow, World, pod_name_at};
use ms_acl_lab::random::{Dice, Edit, Shape, drawn, history, some_flows};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde::{Deserialize, Serialize};

/// A world, what can't be read of it, and what happens to the rest.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Case {
    flows: Vec<Flow>,
    former: World,
    hidden: Vec<bool>,
    edits: Vec<Edit>,
}

fn cases() -> impl Strategy<Value = Case> {
    drawn(move |dice| {
        let shape = Shape { running_only: true, ..Shape::default() };
        let history = history(dice, &shape, 8);
        let former = history.world;
        let mut now = former.clone();
        history.edits.iter().for_each(|edit| edit.happen(&mut now));
        let mut flows = some_flows(&former, dice, 20);
        flows.extend(some_flows(&now, dice, 20));
        Case { flows, former, hidden: hidden(dice), edits: history.edits }
    })
}

/// Whether it is about a policy, and none that can't be read.
fn is_policy_that_is_read(edit: &Edit, case: &Case) -> bool {
    let readable = readable(&case.former, &case.hidden);
    let hidden = |name: &str, namespace: &str| {
        let of_name =
            |policy: &&NetworkPolicy| policy.metadata.name == name && policy.metadata.namespace == namespace;
        case.former.network_policies.iter().any(|policy| of_name(&policy))
            && !readable.network_policies.iter().any(|policy| of_name(&policy))
    };
    match edit {
        Edit::Acl(_) => true,
        Edit::NetworkPolicy(policy) => !hidden(&policy.metadata.name, &policy.metadata.namespace),
        Edit::Delete { kind, .. } => {
            let Some(object) = edit.deleted().filter(|_| kind == "NetworkPolicy") else { return false };
            !hidden(&object.name, &object.namespace)
        }
        _ => false,
    }
}

fn hidden(dice: &mut Dice) -> Vec<bool> {
    let share = dice.pick(&[0, 20, 50, 90]);
    (0..97).map(|_| dice.chance(share)).collect()
}

/// A world without what can't be read.
fn readable(world: &World, hidden: &[bool]) -> World {
    let mut world = world.clone();
    let mut number = 0;
    let mut hides = || {
        number += 1;
        hidden.get(number % hidden.len().max(1)).copied().unwrap_or_default()
    };
    world.pods.retain(|_| !hides());
    world.network_policies.retain(|_| !hides());
    world.namespaces.retain(|_| !hides());
    world.replica_sets.retain(|_| !hides());
    world.deployments.retain(|_| !hides());
    world
}

fn incomplete(world: &World) -> Cluster {
    let mut cluster = cluster(world);
    cluster.set_incomplete(true);
    cluster
}

fn walked(graphs: &Rulesets, world: &World, node: &str, flow: &Flow) -> (Outcome, String) {
    let (hook, packet) = first_packet(world, node, flow);
    let walk = walk(graphs.family(Family::of(packet.source)), hook, &packet);
    (walk.outcome, trail(&walk))
}

fn passes(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Pass | Outcome::Accept)
}

/// Nothing changed but that something can't be read any more: no packet notices.
fn nothing_is_noticed(case: &Case) -> Result<(), TestCaseError> {
    for node in nodes(&case.former) {
        let settings = settings(&case.former, &node);
        let former = compile(&cluster(&case.former), &settings).rulesets;
        let known = incomplete(&readable(&case.former, &case.hidden));
        let desired = compile(&known, &settings).rulesets;
        let merged = Hold::new(former.clone()).merge(&known, &settings, &desired);
        for flow in &case.flows {
            let (before, _) = walked(&former, &case.former, &node, flow);
            let (after, trail) = walked(&merged, &case.former, &node, flow);
            let read = readable(&case.former, &case.hidden);
            let owners_are_known =
                read.deployments == case.former.deployments && read.replica_sets == case.former.replica_sets;
            let same = if owners_are_known {
                before == after
            } else {
                // A pod may seem to belong to another Deployment: both of them judge then.
                passes(before) || !passes(after)
            };
            prop_assert!(same, "{} on {}: {:?} before, {:?} after\n{}", flow, node, before, after, trail);
        }
    }
    Ok(())
}

/// Where all can be read, a hold is nothing but what is desired.
fn all_read_is_desired(case: &Case) -> Result<(), TestCaseError> {
    for node in nodes(&case.former) {
        let settings = settings(&case.former, &node);
        let now = cluster(&case.former);
        let desired = compile(&now, &settings).rulesets;
        let merged = Hold::new(desired.clone()).merge(&now, &settings, &desired);
        prop_assert_eq!(&merged, &desired);
        let mut hold = Hold::new(desired.clone());
        hold.merge(&now, &settings, &desired);
        prop_assert_eq!(&hold.merge(&now, &settings, &desired), &desired);
    }
    Ok(())
}

/// Policies that are known change, while others and pods can't be read: between ends that are known, all is
/// as if what can't be read were still there as it was. Merged over its own outcome, as after a restart, it
/// stays.
fn changes_count(case: &Case) -> Result<(), TestCaseError> {
    let read = |world: &World| {
        let readable = readable(&case.former, &case.hidden);
        let mut world = world.clone();
        world.pods = readable.pods;
        let was = |list: &[NetworkPolicy], policy: &NetworkPolicy| {
            list.iter().any(|other| {
                other.metadata.name == policy.metadata.name
                    && other.metadata.namespace == policy.metadata.namespace
            })
        };
        world.network_policies.retain(|policy| {
            was(&readable.network_policies, policy) || !was(&case.former.network_policies, policy)
        });
        world
    };
    let known = incomplete(&read(&case.former));
    let pod_at = |world: &World, address| pod_name_at(world, address).is_some();
    let first = read(&case.former);
    let seen = |address| !pod_at(&case.former, address) || pod_at(&first, address);
    let flows: Vec<&Flow> = case
        .flows
        .iter()
        .filter(|flow| seen(flow.from) && seen(flow.to) && !is_link_local(flow.from, flow.to))
        .collect();
    for node in nodes(&case.former) {
        let settings = settings(&case.former, &node);
        let mut hold = Hold::new(compile(&cluster(&case.former), &settings).rulesets);
        hold.merge(&known, &settings, &compile(&known, &settings).rulesets);
        let mut now = case.former.clone();
        for edit in case.edits.iter().filter(|edit| is_policy_that_is_read(edit, case)) {
            edit.happen(&mut now);
            let known = incomplete(&read(&now));
            let desired = compile(&known, &settings).rulesets;
            let merged = hold.merge(&known, &settings, &desired);
            check_whole(&merged)?;
            let wanted = compile(&cluster(&now), &settings).rulesets;
            let unsure = compile(&incomplete(&now), &settings).rulesets;
            let again = Hold::new(merged.clone()).merge(&known, &settings, &desired);
            for flow in &flows {
                let (wanted, _) = walked(&wanted, &now, &node, flow);
                let (got, trail) = walked(&merged, &now, &node, flow);
                // A namespace without an object may have labels that nobody could read.
                let (unsure, _) = walked(&unsure, &now, &node, flow);
                prop_assert!(
                    got == wanted || got == unsure,
                    "{} on {}: {:?}, not {:?}\n{}",
                    flow,
                    node,
                    got,
                    wanted,
                    trail
                );
                let (later, trail) = walked(&again, &now, &node, flow);
                prop_assert!(got == later, "{} on {}: {:?}, then {:?}\n{}", flow, node, got, later, trail);
            }
        }
    }
    Ok(())
}

/// Nothing is named that isn't there.
fn check_whole(graphs: &Rulesets) -> Result<(), TestCaseError> {
    for graph in [&graphs.v4, &graphs.v6] {
        for rule in graph.chains.values().flat_map(|chain| &chain.rules) {
            prop_assert!(rule.leads_to().is_none_or(|to| graph.chains.contains_key(to)));
            prop_assert!(rule.sets().all(|set| graph.sets.contains_key(set)));
        }
    }
    Ok(())
}

#[test]
fn what_cannot_be_read_any_more_is_enforced_as_it_was() {
    law::check("what_cannot_be_read_any_more_is_enforced_as_it_was", 1_000, cases(), nothing_is_noticed);
}

#[test]
fn a_hold_over_what_is_desired_is_what_is_desired() {
    law::check("a_hold_over_what_is_desired_is_what_is_desired", 1_000, cases(), all_read_is_desired);
}

#[test]
fn changes_of_what_is_known_count() {
    law::check("changes_of_what_is_known_count", 1_000, cases(), changes_count);
}
