//! The law of arrival: what a node enforces doesn't depend on the order in which it heard of things,
//! nor on what it heard of before.

mod law;

use law::{cluster, cluster_of, compile_all, set_acl};
use ms_acl_core::compile::Compiled;
use ms_acl_core::ruleset::Rulesets;
use ms_acl_lab::oracle::World;
use ms_acl_lab::random::{Dice, Shape, drawn, world_from_seed};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde::{Deserialize, Serialize};

/// A world, another one that was there before, and a seed for the order of things.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Case {
    world: World,
    before: World,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    drawn(|dice| {
        let mut draw = || world_from_seed(dice.seed(), &Shape::default());
        Case { world: draw(), before: draw(), seed: dice.seed() }
    })
}

fn rulesets(world: &World, cluster: &ms_acl_core::cluster::Cluster) -> Vec<Rulesets> {
    compile_all(world, cluster).into_values().map(|Compiled { rulesets, .. }| rulesets).collect()
}

fn in_any_order(case: &Case) -> Result<(), TestCaseError> {
    let Case { world, seed, .. } = case;
    let mut dice = Dice::from_seed(*seed);
    let mut objects = world.objects();
    dice.shuffle(&mut objects);
    let after = dice.below(objects.len() + 1);
    let shuffled = cluster_of(objects, &world.acl, after);
    let sorted = cluster(world);
    prop_assert_eq!(rulesets(world, &shuffled), rulesets(world, &sorted));
    prop_assert_eq!(shuffled.diagnostics(), sorted.diagnostics());
    Ok(())
}

fn after_anything(case: &Case) -> Result<(), TestCaseError> {
    let Case { world, before, seed } = case;
    let mut dice = Dice::from_seed(*seed);
    let mut later = cluster(before);
    // An object's last valid version stays in force: what was there before goes, or is valid now.
    let mut news = world.objects();
    dice.shuffle(&mut news);
    let kept: Vec<_> = news.iter().map(ms_acl_core::object::Object::reference).collect();
    for old in before.objects() {
        let reference = old.reference();
        if reference.kind == "NetworkPolicy" || !kept.contains(&reference) {
            later.delete(&reference);
        }
    }
    for object in news {
        later.apply(object);
    }
    // A document with a fault changes nothing, so the former one goes first.
    set_acl(&mut later, &serde_json::Value::Null);
    set_acl(&mut later, &world.acl);
    let fresh = cluster(world);
    prop_assert_eq!(rulesets(world, &later), rulesets(world, &fresh));
    prop_assert_eq!(later.diagnostics(), fresh.diagnostics());
    Ok(())
}

#[test]
fn rules_do_not_depend_on_the_order_of_arrival() {
    law::check("rules_do_not_depend_on_the_order_of_arrival", 1_000, cases(), in_any_order);
}

#[test]
fn rules_do_not_depend_on_what_was_there_before() {
    law::check("rules_do_not_depend_on_what_was_there_before", 1_000, cases(), after_anything);
}
